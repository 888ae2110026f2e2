//! Taps: what every stage produced, in a canonical order, so that two machines can be compared stage by stage.
//!
//! The data of one tap arrives in pieces. Within a tap the order is fixed (row-major over tokens; `K`, `V`, logits,
//! probabilities and attention outputs head by head), so a running CRC per tap is comparable between engines that cut
//! their work differently. Pieces of different taps may interleave.

use ldae_shared::crc::Crc32;
use ldae_shared::spec::EncoderSpec;

/// Which intermediate result. Order of the variants, blocks ascending, is the order of computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapId {
    /// Input bytes as given, u8 [image·image·C].
    Pixels,
    /// Centred patches, i8 [N, P].
    Patches,
    /// PCA latents, i8 [N, K].
    Latents,
    /// Embedding product, i16 [N, W].
    Embed,
    /// Stream after positions, i16 [N, W].
    Stream,
    /// A stage of block `.0`.
    Block(u16, BlockStage),
    /// Last LayerNorm, i8 [N, W].
    FinalNorm,
    /// Pooled values before standardisation, i32 `[E]`.
    Pooled,
    /// Embedding codes, i8 `[E]`.
    Codes,
}

/// Stages of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockStage {
    /// First LayerNorm, i8 [N, W].
    Norm1,
    /// Queries, i8 [N, W].
    Q,
    /// Keys, i8 [H, N, W/H].
    K,
    /// Values, i8 [H, N, W/H].
    V,
    /// Logits, i8 [H, N, N].
    Logits,
    /// Probabilities, u16 of 2^15 [H, N, N].
    Probabilities,
    /// Attention outputs, i8 [H, N, W/H].
    Attention,
    /// Output projection, i16 [N, W].
    Proj,
    /// Stream after attention, i16 [N, W].
    Residual1,
    /// Second LayerNorm, i8 [N, W].
    Norm2,
    /// First MLP product, i8 [N, rW].
    Fc1,
    /// GELU codes, i8 [N, rW].
    Gelu,
    /// Second MLP product, i16 [N, W].
    Fc2,
    /// Stream after the MLP, i16 [N, W].
    Residual2,
}

impl BlockStage {
    /// All stages in order.
    pub const ALL: [BlockStage; 14] = [
        BlockStage::Norm1,
        BlockStage::Q,
        BlockStage::K,
        BlockStage::V,
        BlockStage::Logits,
        BlockStage::Probabilities,
        BlockStage::Attention,
        BlockStage::Proj,
        BlockStage::Residual1,
        BlockStage::Norm2,
        BlockStage::Fc1,
        BlockStage::Gelu,
        BlockStage::Fc2,
        BlockStage::Residual2,
    ];

    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            BlockStage::Norm1 => "norm1",
            BlockStage::Q => "q",
            BlockStage::K => "k",
            BlockStage::V => "v",
            BlockStage::Logits => "logits",
            BlockStage::Probabilities => "probabilities",
            BlockStage::Attention => "attention",
            BlockStage::Proj => "proj",
            BlockStage::Residual1 => "residual1",
            BlockStage::Norm2 => "norm2",
            BlockStage::Fc1 => "fc1",
            BlockStage::Gelu => "gelu",
            BlockStage::Fc2 => "fc2",
            BlockStage::Residual2 => "residual2",
        }
    }
}

impl TapId {
    /// Number of taps of a spec ([`EncoderSpec::taps`]).
    pub const fn count(spec: &EncoderSpec) -> usize {
        spec.taps()
    }

    /// Dense index, in order of computation, for an encoder of `depth` blocks.
    pub const fn index(self, depth: u16) -> usize {
        let tail = 5 + 14 * depth as usize;
        match self {
            TapId::Pixels => 0,
            TapId::Patches => 1,
            TapId::Latents => 2,
            TapId::Embed => 3,
            TapId::Stream => 4,
            TapId::Block(block, stage) => 5 + 14 * block as usize + stage as usize,
            TapId::FinalNorm => tail,
            TapId::Pooled => tail + 1,
            TapId::Codes => tail + 2,
        }
    }

    /// Inverse of [`TapId::index`].
    pub fn from_index(index: usize, depth: u16) -> Option<Self> {
        let front = [TapId::Pixels, TapId::Patches, TapId::Latents, TapId::Embed, TapId::Stream];
        let tail = [TapId::FinalNorm, TapId::Pooled, TapId::Codes];
        if let Some(id) = front.get(index) {
            return Some(*id);
        }
        let i = index - front.len();
        let blocks = 14 * depth as usize;
        if i < blocks {
            let stage = *BlockStage::ALL.get(i % 14)?;
            return Some(TapId::Block((i / 14) as u16, stage));
        }
        tail.get(i - blocks).copied()
    }
}

impl core::fmt::Display for TapId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            TapId::Pixels => f.write_str("pixels"),
            TapId::Patches => f.write_str("patches"),
            TapId::Latents => f.write_str("latents"),
            TapId::Embed => f.write_str("embed"),
            TapId::Stream => f.write_str("stream"),
            TapId::Block(block, stage) => write!(f, "block{block}.{}", stage.name()),
            TapId::FinalNorm => f.write_str("final-norm"),
            TapId::Pooled => f.write_str("pooled"),
            TapId::Codes => f.write_str("codes"),
        }
    }
}

/// A piece of a tap's data.
#[derive(Clone, Copy, Debug)]
pub enum TapData<'a> {
    /// Bytes.
    U8(&'a [u8]),
    /// Codes.
    I8(&'a [i8]),
    /// Stream values.
    I16(&'a [i16]),
    /// Probabilities.
    U16(&'a [u16]),
    /// Pooled values.
    I32(&'a [i32]),
}

impl TapData<'_> {
    /// Feeds the little-endian bytes to a CRC, on every target alike.
    pub fn update(&self, crc: &mut Crc32) {
        match self {
            TapData::U8(v) => crc.update(v),
            TapData::I8(v) => crc.update(bytemuck::cast_slice(v)),
            TapData::I16(v) => v.iter().for_each(|x| crc.update(&x.to_le_bytes())),
            TapData::U16(v) => v.iter().for_each(|x| crc.update(&x.to_le_bytes())),
            TapData::I32(v) => v.iter().for_each(|x| crc.update(&x.to_le_bytes())),
        }
    }

    /// Hands the little-endian bytes to `sink` in pieces, on every target alike; stops at its first error.
    ///
    /// # Errors
    /// The sink's.
    pub fn le_bytes<E>(&self, mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match self {
            TapData::U8(v) => sink(v),
            TapData::I8(v) => sink(bytemuck::cast_slice(v)),
            TapData::I16(v) => v.iter().try_for_each(|x| sink(&x.to_le_bytes())),
            TapData::U16(v) => v.iter().try_for_each(|x| sink(&x.to_le_bytes())),
            TapData::I32(v) => v.iter().try_for_each(|x| sink(&x.to_le_bytes())),
        }
    }
}

/// Observes taps. With [`NoTap`] all of it compiles away.
pub trait Tap {
    /// False removes the calls at compile time.
    const ENABLED: bool = true;

    /// Receives the next piece of `id`.
    fn tap(&mut self, id: TapId, data: TapData<'_>);
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTap;

impl Tap for NoTap {
    const ENABLED: bool = false;

    fn tap(&mut self, _id: TapId, _data: TapData<'_>) {}
}

/// A running CRC per tap, by [`TapId::index`], in storage that the caller owns ([`TapId::count`] entries).
#[derive(Debug)]
pub struct CrcTaps<'a> {
    crcs: &'a mut [Crc32],
    depth: u16,
}

impl<'a> CrcTaps<'a> {
    /// Resets `crcs`. Entries beyond the slice's end are not observed.
    pub fn new(crcs: &'a mut [Crc32], depth: u16) -> Self {
        crcs.fill(Crc32::new());
        CrcTaps { crcs, depth }
    }
}

impl Tap for CrcTaps<'_> {
    fn tap(&mut self, id: TapId, data: TapData<'_>) {
        if let Some(crc) = self.crcs.get_mut(id.index(self.depth)) {
            data.update(crc);
        }
    }
}
