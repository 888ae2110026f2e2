//! Views of a checked artifact. Accessors are total: on bytes that [`Artifact::parse`] accepted they return what the
//! format says; they contain no panicking operation either way (a short slice would read as empty).

use super::linear::{Channels, Linear};
use super::vectors::TestVectors;
use super::{FormatError, Layout, check, layout};
use crate::fixed::{Factor, NormRange};
use crate::spec::EncoderSpec;

/// A validated artifact over borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Artifact<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) layout: Layout,
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
    /// Validates `bytes` completely (see the module documentation). A canonical artifact may lie anywhere, a packed one
    /// at a multiple of 16 bytes.
    ///
    /// # Errors
    /// The first offence found, with its place.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let artifact = check::parse(bytes)?;
        if artifact.is_aligned() { Ok(artifact) } else { Err(FormatError::Misaligned) }
    }

    /// True where kernels may read the bytes: a packed artifact lies at a multiple of 16 in memory.
    pub fn is_aligned(&self) -> bool {
        self.layout.is_canonical() || self.bytes.as_ptr().addr().is_multiple_of(self.layout.align() as usize)
    }

    /// [`Artifact::parse`] for reading only, without the alignment that kernels need.
    ///
    /// # Errors
    /// The first offence found, with its place.
    pub fn parse_anywhere(bytes: &'a [u8]) -> Result<Self, FormatError> {
        check::parse(bytes)
    }

    /// Order of the weights.
    pub const fn layout(&self) -> Layout {
        self.layout
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
        let (mut c, layout) = (Cursor(self.front), self.layout);
        let project = c.linear(layout, s.rank as u32, s.patch_values());
        let embed = c.linear(layout, s.width as u32, s.rank as u32);
        Front { project, embed, positions: c.part(layout, s.tokens() as u64 * s.width as u64 * 2) }
    }

    /// Blocks in order.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = Block<'a>> + use<'a> {
        let (spec, layout, norms) = (self.spec, self.layout, self.norms);
        let bytes = (layout::block_bytes(&spec, layout) as usize).max(1);
        self.blocks.chunks_exact(bytes).enumerate().map(move |(i, b)| Block {
            norms: [norm_range(norms, 2 * i), norm_range(norms, 2 * i + 1)],
            ..Block::read(b, &spec, layout)
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

    /// Sections as (kind, required, contents).
    #[cfg(feature = "alloc")]
    pub(super) fn section_bodies(&self) -> impl Iterator<Item = (u16, bool, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.sections().map(move |(kind, offset, length)| {
            let body = bytes.get(offset as usize..).and_then(|b| b.get(..length as usize)).unwrap_or(&[]);
            (kind, super::kind::is_required(kind), body)
        })
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
    /// Queries, keys, values. Canonical: 3W×W (rows 0..W, W..2W, 2W..3W; heads contiguous inside each). Packed: queries,
    /// then keys and values of each head, every one a sequence of whole panels. See [`Block::queries`],
    /// [`Block::keys`], [`Block::head_values`].
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
    width: usize,
    head_width: usize,
}

impl<'a> Block<'a> {
    fn read(bytes: &'a [u8], s: &EncoderSpec, layout: Layout) -> Self {
        let w = s.width as u32;
        let mut c = Cursor(bytes);
        let qkv = if layout.is_canonical() {
            c.linear(layout, 3 * w, w)
        } else {
            let weights = c.part(layout, layout::qkv_bytes(s, layout));
            Linear { layout, inputs: w as usize, outputs: 3 * w as usize, channels: Channels(&[]), weights }
        };
        let logits = c.factor(layout);
        let softmax = c.part(layout, layout::SOFTMAX_TABLE);
        let values = c.factor(layout);
        let proj = c.linear(layout, w, w);
        let fc1 = c.linear(layout, s.hidden(), w);
        let gelu = c.part(layout, layout::GELU_TABLE);
        let fc2 = c.linear(layout, w, s.hidden());
        let (width, head_width) = (w as usize, s.head_width() as usize);
        Block { norms: [NormRange::FIVE; 2], qkv, logits, softmax, values, proj, fc1, gelu, fc2, width, head_width }
    }

    /// The query layer W×W of all heads.
    pub fn queries(&self) -> Linear<'a> {
        self.qkv.part(0, 0, self.width)
    }

    /// The key layer (W/H)×W of a head.
    pub fn keys(&self, head: usize) -> Linear<'a> {
        self.qkv.part(self.width + head * self.head_width, self.panels_before(2 * head), self.head_width)
    }

    /// The value layer (W/H)×W of a head.
    pub fn head_values(&self, head: usize) -> Linear<'a> {
        self.qkv.part(2 * self.width + head * self.head_width, self.panels_before(2 * head + 1), self.head_width)
    }

    /// Panels of the queries and of `layers` key or value layers.
    fn panels_before(&self, layers: usize) -> usize {
        let channels = self.qkv.layout.channels();
        self.width.div_ceil(channels) + layers * self.head_width.div_ceil(channels)
    }

    /// GELU codes by input code as u8, 256 entries.
    pub const fn gelu_table(&self) -> &'a [u8] {
        self.gelu
    }

    /// exp(−d·scale) as 256 little-endian u16.
    pub const fn softmax_table(&self) -> &'a [u8] {
        self.softmax
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

/// Reads forward; a short slice reads as zeros and empty slices.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `bytes` bytes, and the padding to four behind them skipped.
    pub(super) fn take(&mut self, bytes: u64) -> &'a [u8] {
        self.part(Layout::Canonical, bytes)
    }

    /// The next `bytes` bytes, and the padding of the layout behind them skipped.
    fn part(&mut self, layout: Layout, bytes: u64) -> &'a [u8] {
        let (taken, _) = self.0.split_at_checked(bytes as usize).unwrap_or((&[], &[]));
        self.0 = self.0.get(layout.pad(bytes) as usize..).unwrap_or(&[]);
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

    fn factor(&mut self, layout: Layout) -> Factor {
        let mut c = Cursor(self.part(layout, layout::FACTOR));
        let (m, t) = (c.u16(), c.u8());
        // parse() refuses anything else; the smallest factor keeps this total.
        match Factor::new(m, t) {
            Some(f) => f,
            None => Factor::SMALLEST,
        }
    }

    fn linear(&mut self, layout: Layout, outputs: u32, inputs: u32) -> Linear<'a> {
        let (channels, weights) = if layout.is_canonical() {
            let channels = self.take(outputs as u64 * layout::CHANNEL);
            (channels, self.take(outputs as u64 * inputs as u64))
        } else {
            (&[][..], self.part(layout, layout.linear_bytes(outputs, inputs)))
        };
        Linear { layout, inputs: inputs as usize, outputs: outputs as usize, channels: Channels(channels), weights }
    }
}
