//! Views of a checked artifact. Accessors are total: on bytes that [`Artifact::parse`] accepted they return what the
//! format says; they contain no panicking operation either way (a short slice would read as empty).

use super::{FormatError, check, layout};
use crate::fixed::{Factor, NormRange};
use crate::spec::EncoderSpec;

/// A validated artifact over borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Artifact<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) spec: EncoderSpec,
    pub(super) time_step: u16,
    pub(super) preprocess: Preprocess,
    pub(super) front: &'a [u8],
    pub(super) blocks: &'a [u8],
    pub(super) head: &'a [u8],
    /// Checked ranges, two a block and the last; empty when all are ±5.
    pub(super) norms: &'a [u8],
    pub(super) standardisation: Option<&'a [u8]>,
    pub(super) pca_basis: Option<&'a [u8]>,
    pub(super) provenance: &'a str,
    pub(super) vectors: TestVectors<'a>,
}

/// How a picture becomes the `image·image·C` bytes that the encoder reads. Part of the artifact because drifting
/// preprocessing is the usual reason why two machines disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preprocess {
    /// 0: the caller supplies exactly-sized pictures; 1: shorter side resized (antialiased triangle filter), centre crop.
    pub resize: u8,
}

impl<'a> Artifact<'a> {
    /// Validates `bytes` completely (see the module documentation).
    ///
    /// # Errors
    /// The first offence found, with its place.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        check::parse(bytes)
    }

    /// Shape.
    pub const fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    /// Diffusion time step that was folded into the weights (METHOD.md section 1).
    pub const fn time_step(&self) -> u16 {
        self.time_step
    }

    /// Preprocessing contract.
    pub const fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    /// The bytes that were parsed.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// SHA-256 of everything behind the header, as computed by the writer: the identity of the model. The device reports
    /// it; it does not recompute it (the CRC detects accidents).
    pub fn identity(&self) -> [u8; 32] {
        let mut id = [0; 32];
        if let Some(bytes) = self.bytes.get(32..64) {
            id.copy_from_slice(bytes);
        }
        id
    }

    /// CRC-32 in the header.
    pub fn crc(&self) -> u32 {
        Cursor(self.bytes.get(12..).unwrap_or(&[])).u32()
    }

    /// Front end.
    pub fn front(&self) -> Front<'a> {
        let s = &self.spec;
        let mut c = Cursor(self.front);
        let project = c.linear(s.rank as u32, s.patch_values());
        let embed = c.linear(s.width as u32, s.rank as u32);
        Front { project, embed, positions: c.take(s.tokens() as u64 * s.width as u64 * 2) }
    }

    /// Blocks in order.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = Block<'a>> + use<'a> {
        let spec = self.spec;
        let bytes = (layout::block_bytes(&spec) as usize).max(1);
        let norms = self.norms;
        self.blocks.chunks_exact(bytes).enumerate().map(move |(i, b)| Block {
            norms: [norm_range(norms, 2 * i), norm_range(norms, 2 * i + 1)],
            ..Block::read(b, &spec)
        })
    }

    /// Standardisation of the embedding.
    pub fn head(&self) -> Head<'a> {
        Head { norm: norm_range(self.norms, layout::norms(&self.spec) - 1), channels: Channels(self.head) }
    }

    /// Float mean and deviation (f16 bits) of component `i` of the pooled embedding, if stored.
    pub fn standardisation(&self, i: usize) -> Option<(u16, u16)> {
        let s = self.standardisation?;
        let e = self.spec.embedding() as usize;
        let at = |i: usize| Some(u16::from_le_bytes([*s.get(2 * i)?, *s.get(2 * i + 1)?]));
        if i < e { Some((at(i)?, at(e + i)?)) } else { None }
    }

    /// PCA basis (K×P then mean P then scale, f16 bits, little-endian), if stored.
    pub const fn pca_basis(&self) -> Option<&'a [u8]> {
        self.pca_basis
    }

    /// `key=value` lines: tool version, data fingerprint, training facts. Empty when absent.
    pub const fn provenance(&self) -> &'a str {
        self.provenance
    }

    /// Embedded test vectors.
    pub const fn vectors(&self) -> TestVectors<'a> {
        self.vectors
    }

    /// Sections as (kind, offset, length).
    pub fn sections(&self) -> impl Iterator<Item = (u16, u32, u32)> + use<'a> {
        let count = Cursor(self.bytes.get(20..).unwrap_or(&[])).u16() as usize;
        let table = self.bytes.get(super::HEADER..super::HEADER + super::ENTRY * count).unwrap_or(&[]);
        table.chunks_exact(super::ENTRY).map(|e| {
            let mut c = Cursor(e);
            let (kind, _flags, offset, length) = (c.u16(), c.u16(), c.u32(), c.u32());
            (kind, offset, length)
        })
    }
}

/// Range `i` of a checked list; ±5 where none is stated.
fn norm_range(norms: &[u8], i: usize) -> NormRange {
    norms.get(i).and_then(|&sixteenths| NormRange::new(sixteenths)).unwrap_or(NormRange::FIVE)
}

/// Front end: patch (P) → latents (K) → stream (W), plus positions.
#[derive(Clone, Copy, Debug)]
pub struct Front<'a> {
    /// PCA projection K×P on centred pixels.
    pub project: Linear<'a>,
    /// Embedding W×K to the i16 stream.
    pub embed: Linear<'a>,
    positions: &'a [u8],
}

impl<'a> Front<'a> {
    /// Positions in row order, N×W, i16 in units of the stream.
    pub fn positions(&self) -> impl ExactSizeIterator<Item = i16> + use<'a> {
        let (pairs, _) = self.positions.as_chunks::<2>();
        pairs.iter().map(|b| i16::from_le_bytes(*b))
    }
}

/// One transformer block.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Ranges of the LayerNorms before qkv and before fc1.
    pub norms: [NormRange; 2],
    /// Queries, keys, values: 3W×W (rows 0..W, W..2W, 2W..3W; heads contiguous inside each).
    pub qkv: Linear<'a>,
    /// Q·K accumulator to i8 logits.
    pub logits: Factor,
    /// exp(−d·scale) for d = 0..=255, u16.
    softmax: &'a [u8],
    /// P·V accumulator to i8.
    pub values: Factor,
    /// Attention output W×W, to the stream.
    pub proj: Linear<'a>,
    /// First MLP layer rW×W.
    pub fc1: Linear<'a>,
    /// GELU table indexed by the code as u8.
    gelu: &'a [u8],
    /// Second MLP layer W×rW, to the stream.
    pub fc2: Linear<'a>,
}

impl<'a> Block<'a> {
    fn read(bytes: &'a [u8], s: &EncoderSpec) -> Self {
        let w = s.width as u32;
        let mut c = Cursor(bytes);
        let qkv = c.linear(3 * w, w);
        let logits = c.factor();
        let softmax = c.take(layout::SOFTMAX_TABLE);
        let values = c.factor();
        let proj = c.linear(w, w);
        let fc1 = c.linear(s.hidden(), w);
        let gelu = c.take(layout::GELU_TABLE);
        let fc2 = c.linear(w, s.hidden());
        Block { norms: [NormRange::FIVE; 2], qkv, logits, softmax, values, proj, fc1, gelu, fc2 }
    }

    /// Softmax table entry for the distance d = maximum − logit.
    #[inline(always)]
    pub fn softmax(&self, d: u8) -> u16 {
        let i = 2 * usize::from(d);
        match (self.softmax.get(i), self.softmax.get(i + 1)) {
            (Some(&lo), Some(&hi)) => u16::from_le_bytes([lo, hi]),
            _ => 0,
        }
    }

    /// GELU of a code.
    #[inline(always)]
    pub fn gelu(&self, code: i8) -> i8 {
        self.gelu.get(usize::from(code as u8)).map_or(0, |&b| b as i8)
    }
}

/// Head: one channel record per embedding component.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Range of the last LayerNorm.
    pub norm: NormRange,
    /// Bias and factor of each component, applied to `pooled << shift`.
    pub channels: Channels<'a>,
}

/// A quantised linear layer, output channel first.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// Inputs (length of a weight row).
    pub inputs: usize,
    /// Bias and factor of each output channel.
    pub channels: Channels<'a>,
    /// Weights, outputs×inputs, two's complement.
    pub weights: &'a [u8],
}

impl<'a> Linear<'a> {
    /// Outputs.
    pub const fn outputs(&self) -> usize {
        self.channels.0.len() / layout::CHANNEL as usize
    }

    /// Channels with their weight rows.
    #[inline]
    pub fn rows(&self) -> impl Iterator<Item = (Channel, &'a [u8])> + use<'a> {
        self.channels.iter().zip(self.weights.chunks_exact(self.inputs.max(1)))
    }

    /// The output channels `from..from + count` as a layer of their own.
    pub fn slice(&self, from: usize, count: usize) -> Linear<'a> {
        let record = layout::CHANNEL as usize;
        let channels = self.channels.0.get(from * record..(from + count) * record).unwrap_or(&[]);
        let weights = self.weights.get(from * self.inputs..(from + count) * self.inputs).unwrap_or(&[]);
        Linear { inputs: self.inputs, channels: Channels(channels), weights }
    }
}

/// Bias and factor of one output channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Start value of the accumulator.
    pub bias: i32,
    /// Rule 3 multiplier.
    pub m: u16,
    /// Rule 3 shift.
    pub t: u8,
}

impl Channel {
    /// Rule 3 to i8.
    #[inline(always)]
    pub fn to_i8(self, acc: i32) -> i8 {
        crate::fixed::requantise(acc, self.m, self.t).clamp(-127, 127) as i8
    }

    /// Rule 3 to i16.
    #[inline(always)]
    pub fn to_i16(self, acc: i32) -> i16 {
        crate::fixed::requantise(acc, self.m, self.t).clamp(i16::MIN as i32, i16::MAX as i32) as i16
    }
}

/// Channel records, eight bytes each.
#[derive(Clone, Copy, Debug)]
pub struct Channels<'a>(pub(super) &'a [u8]);

impl<'a> Channels<'a> {
    /// Records in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Channel> + use<'a> {
        let (records, _) = self.0.as_chunks::<8>();
        records.iter().map(|r| Channel {
            bias: i32::from_le_bytes([r[0], r[1], r[2], r[3]]),
            m: u16::from_le_bytes([r[4], r[5]]),
            t: r[6],
        })
    }
}

/// Embedded test vectors: pictures with what every stage must give.
#[derive(Clone, Copy, Debug)]
pub struct TestVectors<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) pixels: usize,
    pub(super) taps: usize,
    pub(super) embedding: usize,
}

/// One test vector.
#[derive(Clone, Copy, Debug)]
pub struct TestVector<'a> {
    /// image·image·C bytes.
    pub pixels: &'a [u8],
    crcs: &'a [u8],
    /// Expected codes (i8 as bytes).
    pub codes: &'a [u8],
    /// Expected Σ code².
    pub norm2: u32,
}

impl<'a> TestVectors<'a> {
    /// Bytes of one record: pixels, CRC per tap, codes, norm; padded to four.
    pub(super) const fn record(pixels: usize, taps: usize, embedding: usize) -> u64 {
        layout::pad4(pixels as u64) + 4 * taps as u64 + layout::pad4(embedding as u64) + 4
    }

    /// Number of vectors.
    pub const fn len(&self) -> usize {
        self.bytes.len() / (Self::record(self.pixels, self.taps, self.embedding) as usize)
    }

    /// True when the artifact carries none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Vectors in order.
    pub fn iter(&self) -> impl Iterator<Item = TestVector<'a>> + use<'a> {
        let (pixels, taps, embedding) = (self.pixels, self.taps, self.embedding);
        let record = (Self::record(pixels, taps, embedding) as usize).max(1);
        self.bytes.chunks_exact(record).map(move |b| {
            let mut c = Cursor(b);
            let pixels = c.take(pixels as u64);
            let crcs = c.take(4 * taps as u64);
            let codes = c.take(embedding as u64);
            TestVector { pixels, crcs, codes, norm2: c.u32() }
        })
    }
}

impl<'a> TestVector<'a> {
    /// Expected CRC-32 of each tap, by tap index.
    pub fn crcs(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let (words, _) = self.crcs.as_chunks::<4>();
        words.iter().map(|w| u32::from_le_bytes(*w))
    }
}

/// Reads forward; a short slice reads as zeros and empty slices.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `bytes` bytes, and the padding to four behind them skipped.
    pub(super) fn take(&mut self, bytes: u64) -> &'a [u8] {
        let (taken, _) = self.0.split_at_checked(bytes as usize).unwrap_or((&[], &[]));
        self.0 = self.0.get(layout::pad4(bytes) as usize..).unwrap_or(&[]);
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *head
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(super) fn factor(&mut self) -> Factor {
        let (m, t, _) = (self.u16(), self.u8(), self.u8());
        // parse() refuses anything else; the smallest factor keeps this total.
        match Factor::new(m, t) {
            Some(f) => f,
            None => Factor::SMALLEST,
        }
    }

    pub(super) fn linear(&mut self, outputs: u32, inputs: u32) -> Linear<'a> {
        let channels = Channels(self.take(outputs as u64 * layout::CHANNEL));
        let weights = self.take(outputs as u64 * inputs as u64);
        Linear { inputs: inputs as usize, channels, weights }
    }
}
