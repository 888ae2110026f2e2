//! The writer: plain owned parts to bytes. It refuses what the reader refuses, by reading what it wrote.

use super::layout::{self, pad4};
use super::{Artifact, ENTRY, FormatError, HEADER, Layout, kind};
use crate::fixed::{Factor, NormRange};
use crate::spec::EncoderSpec;
use alloc::string::String;
use alloc::vec::Vec;

/// A linear layer: `outputs` biases and factors, `outputs`×`inputs` weights, output channel first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearDesc {
    /// Accumulator start values.
    pub bias: Vec<i32>,
    /// Rule 3 factors.
    pub factor: Vec<Factor>,
    /// Weights −127..=127.
    pub weights: Vec<i8>,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDesc {
    /// 3W×W.
    pub qkv: LinearDesc,
    /// Q·K to logits.
    pub logits: Factor,
    /// exp(−d·scale), 256 entries, first at least 2^15.
    pub softmax: Vec<u16>,
    /// P·V to i8.
    pub values: Factor,
    /// W×W.
    pub proj: LinearDesc,
    /// rW×W.
    pub fc1: LinearDesc,
    /// GELU codes by input code as u8, 256 entries.
    pub gelu: Vec<i8>,
    /// W×rW.
    pub fc2: LinearDesc,
}

/// A test vector to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorDesc {
    /// image·image·C bytes.
    pub pixels: Vec<u8>,
    /// CRC-32 of every tap.
    pub crcs: Vec<u32>,
    /// Codes of the embedding.
    pub codes: Vec<i8>,
    /// Σ code².
    pub norm2: u32,
}

/// Everything an artifact holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactDesc {
    /// Shape.
    pub spec: EncoderSpec,
    /// Folded time step.
    pub time_step: u16,
    /// Resize rule of the preprocessing.
    pub resize: u8,
    /// K×P on centred pixels.
    pub project: LinearDesc,
    /// W×K to the stream.
    pub embed: LinearDesc,
    /// N×W.
    pub positions: Vec<i16>,
    /// L blocks.
    pub blocks: Vec<BlockDesc>,
    /// Bias and factor of each embedding component.
    pub head: Vec<(i32, Factor)>,
    /// Range of every LayerNorm's codes, two a block and the last; empty for ±5.
    pub norms: Vec<NormRange>,
    /// f16 bits of each component's mean, then of each component's deviation; empty for none.
    pub standardisation: Vec<u16>,
    /// f16 bits of the PCA basis K×P, the mean P and the scale; empty for none.
    pub pca_basis: Vec<u16>,
    /// `key=value` lines of printable ASCII.
    pub provenance: String,
    /// Test vectors.
    pub vectors: Vec<VectorDesc>,
}

/// A section and its bytes, before the file is assembled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Kind.
    pub kind: u16,
    /// Readers must know it.
    pub required: bool,
    /// Contents, padded to four.
    pub bytes: Vec<u8>,
}

/// Why an artifact was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// A part's length does not fit the spec.
    Shape {
        /// Which part.
        part: &'static str,
    },
    /// The result exceeds 4 GiB.
    TooLarge,
    /// The reader refuses the result.
    Refused(FormatError),
}

impl core::fmt::Display for WriteError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            WriteError::Shape { part } => write!(f, "{part} does not have the length that the spec implies"),
            WriteError::TooLarge => f.write_str("the artifact would exceed 4 GiB"),
            WriteError::Refused(e) => write!(f, "the reader would refuse the artifact: {e}"),
        }
    }
}

impl core::error::Error for WriteError {}

fn pad(out: &mut Vec<u8>) {
    out.resize(pad4(out.len() as u64) as usize, 0);
}

pub(super) fn put_factor(out: &mut Vec<u8>, f: Factor) {
    out.extend_from_slice(&f.m().to_le_bytes());
    out.extend_from_slice(&[f.t(), 0]);
}

impl LinearDesc {
    fn put(&self, out: &mut Vec<u8>, outputs: u32, inputs: u32, part: &'static str) -> Result<(), WriteError> {
        let (o, i) = (outputs as usize, inputs as usize);
        if self.bias.len() != o || self.factor.len() != o || self.weights.len() != o * i {
            return Err(WriteError::Shape { part });
        }
        for (bias, factor) in self.bias.iter().zip(&self.factor) {
            out.extend_from_slice(&bias.to_le_bytes());
            put_factor(out, *factor);
        }
        out.extend(self.weights.iter().map(|&w| w as u8));
        pad(out);
        Ok(())
    }
}

impl BlockDesc {
    fn put(&self, out: &mut Vec<u8>, s: &EncoderSpec) -> Result<(), WriteError> {
        let w = s.width as u32;
        if self.softmax.len() != 256 || self.gelu.len() != 256 {
            return Err(WriteError::Shape { part: "a table" });
        }
        self.qkv.put(out, 3 * w, w, "qkv")?;
        put_factor(out, self.logits);
        out.extend(self.softmax.iter().flat_map(|e| e.to_le_bytes()));
        put_factor(out, self.values);
        self.proj.put(out, w, w, "proj")?;
        self.fc1.put(out, s.hidden(), w, "fc1")?;
        out.extend(self.gelu.iter().map(|&c| c as u8));
        self.fc2.put(out, w, s.hidden(), "fc2")
    }
}

impl ArtifactDesc {
    /// The sections in file order.
    fn sections(&self) -> Result<Vec<Section>, WriteError> {
        let s = &self.spec;
        s.check().map_err(|e| WriteError::Refused(FormatError::Spec(e)))?;
        let mut sections = Vec::new();
        let mut add = |kind, required, bytes| sections.push(Section { kind, required, bytes });

        let mut b = Vec::with_capacity(layout::SPEC as usize);
        b.extend_from_slice(&s.image.to_le_bytes());
        b.extend_from_slice(&[s.channels, s.pooling.code()]);
        for v in [s.patch, s.rank, s.width, s.depth, s.heads] {
            b.extend_from_slice(&v.to_le_bytes());
        }
        b.extend_from_slice(&[s.mlp_ratio, 0]);
        b.extend_from_slice(&self.time_step.to_le_bytes());
        b.resize(layout::SPEC as usize, 0);
        add(kind::SPEC, true, b);

        let mut b = Vec::from([u8::from(s.channels == 3), 0, self.resize, 0, 128]);
        b.resize(layout::PREPROCESS as usize, 0);
        add(kind::PREPROCESS, true, b);

        let mut b = Vec::new();
        self.project.put(&mut b, s.rank as u32, s.patch_values(), "project")?;
        self.embed.put(&mut b, s.width as u32, s.rank as u32, "embed")?;
        if self.positions.len() as u64 != s.tokens() as u64 * s.width as u64 {
            return Err(WriteError::Shape { part: "positions" });
        }
        b.extend(self.positions.iter().flat_map(|p| p.to_le_bytes()));
        pad(&mut b);
        add(kind::FRONT, true, b);

        if self.blocks.len() != s.depth as usize {
            return Err(WriteError::Shape { part: "blocks" });
        }
        let mut b = Vec::new();
        for block in &self.blocks {
            block.put(&mut b, s)?;
        }
        add(kind::BLOCKS, true, b);

        if self.head.len() as u64 != s.embedding() as u64 {
            return Err(WriteError::Shape { part: "head" });
        }
        let mut b = Vec::new();
        for (bias, factor) in &self.head {
            b.extend_from_slice(&bias.to_le_bytes());
            put_factor(&mut b, *factor);
        }
        add(kind::HEAD, true, b);

        for (kind, halves) in [(kind::STANDARDISATION, &self.standardisation), (kind::PCA_BASIS, &self.pca_basis)] {
            if !halves.is_empty() {
                let mut b: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
                pad(&mut b);
                add(kind, false, b);
            }
        }
        if !self.norms.is_empty() {
            if self.norms.len() != layout::norms(s) {
                return Err(WriteError::Shape { part: "the LayerNorm ranges" });
            }
            let mut b: Vec<u8> = self.norms.iter().map(|r| r.sixteenths()).collect();
            pad(&mut b);
            add(kind::NORMS, true, b);
        }
        if !self.provenance.is_empty() {
            let mut b = self.provenance.clone().into_bytes();
            pad(&mut b);
            add(kind::PROVENANCE, false, b);
        }
        if !self.vectors.is_empty() {
            add(kind::VECTORS, false, self.vector_bytes()?);
        }
        Ok(sections)
    }

    fn vector_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let s = &self.spec;
        let mut b = Vec::new();
        for v in &self.vectors {
            let fits = v.pixels.len() == s.pixels() as usize
                && v.crcs.len() == s.taps()
                && v.codes.len() == s.embedding() as usize;
            if !fits {
                return Err(WriteError::Shape { part: "a test vector" });
            }
            b.extend_from_slice(&v.pixels);
            pad(&mut b);
            b.extend(v.crcs.iter().flat_map(|c| c.to_le_bytes()));
            b.extend(v.codes.iter().map(|&c| c as u8));
            pad(&mut b);
            b.extend_from_slice(&v.norm2.to_le_bytes());
        }
        Ok(b)
    }

    /// Assembles the file. `identity` is the SHA-256 of everything behind the header, computed by the caller from the
    /// bytes it is given (`no_std` code carries no hash function).
    ///
    /// # Errors
    /// A part that does not fit the spec, or anything that [`Artifact::parse`] refuses.
    pub fn write(&self, identity: impl FnOnce(&[u8]) -> [u8; 32]) -> Result<Vec<u8>, WriteError> {
        assemble(&self.sections()?, Layout::Canonical, identity)
    }
}

/// Header, table, bodies, CRC; then parsed as a reader would.
pub(super) fn assemble(
    sections: &[Section],
    weights: Layout,
    identity: impl FnOnce(&[u8]) -> [u8; 32],
) -> Result<Vec<u8>, WriteError> {
    let mut offset = HEADER + ENTRY * sections.len();
    let total: u64 = offset as u64 + sections.iter().map(|s| s.bytes.len() as u64).sum::<u64>();
    let total = u32::try_from(total).map_err(|_| WriteError::TooLarge)?;
    let mut out = Vec::with_capacity(total as usize);
    out.extend_from_slice(&super::MAGIC);
    out.extend_from_slice(&super::VERSION.0.to_le_bytes());
    out.extend_from_slice(&super::VERSION.1.to_le_bytes());
    out.extend_from_slice(&total.to_le_bytes());
    out.extend_from_slice(&[0; 4]); // CRC, below
    out.extend_from_slice(&super::RULES.to_le_bytes());
    out.extend_from_slice(&weights.code().to_le_bytes());
    out.extend_from_slice(&(sections.len() as u16).to_le_bytes());
    out.resize(HEADER, 0);
    for s in sections {
        out.extend_from_slice(&s.kind.to_le_bytes());
        out.extend_from_slice(&u16::from(s.required).to_le_bytes());
        out.extend_from_slice(&(offset as u32).to_le_bytes());
        out.extend_from_slice(&(s.bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        offset += s.bytes.len();
    }
    for s in sections {
        out.extend_from_slice(&s.bytes);
    }
    let id = identity(&out[HEADER..]);
    out[32..64].copy_from_slice(&id);
    reseal(&mut out);
    Artifact::parse_anywhere(&out).map_err(WriteError::Refused)?;
    Ok(out)
}

/// Recomputes the CRC in the header after bytes were changed on purpose (tests, fault injection).
pub fn reseal(bytes: &mut [u8]) {
    if bytes.len() >= 16 {
        let crc = crate::crc::crc32(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    }
}
