//! The artifact (`.ldae`): a self-contained quantised encoder, read in place from flash at any alignment.
//!
//! Little-endian. A 64-byte header, a table of sections, then the sections, contiguous, in ascending order of kind and
//! covering the file exactly (docs/FORMAT.md is the byte table). The lengths of all tensors follow from the spec, so a
//! file cannot disagree with itself about shapes.
//!
//! [`Artifact::parse`] is a validator: after it returns `Ok`, every accessor is total and inference over the bytes can
//! neither panic nor overflow (NUMERICS.md rule 2 is proven channel by channel). It allocates nothing, recurses nowhere,
//! uses no float, and takes time linear in the length. Bytes that change after the check are outside this contract.

mod check;
mod layout;
mod linear;
mod packed;
#[cfg(feature = "alloc")]
mod synthetic;
#[cfg(test)]
mod tests;
mod vectors;
mod view;
#[cfg(feature = "alloc")]
mod write;

pub use layout::{block_bytes, front_bytes, head_bytes};
pub use linear::{Channel, Channels, Linear};
pub use packed::Layout;
#[cfg(feature = "alloc")]
pub use packed::{PackError, pack};
#[cfg(feature = "alloc")]
pub use synthetic::Fill;
pub use vectors::{TestVector, TestVectors};
pub use view::{Artifact, Block, Front, Head, Preprocess};
#[cfg(feature = "alloc")]
pub use write::{ArtifactDesc, BlockDesc, LinearDesc, Section, VectorDesc, WriteError, reseal};

/// First bytes of a file.
pub const MAGIC: [u8; 4] = *b"LDAE";
/// Version that this code writes; an unknown major is refused, a newer minor too (nothing optional is defined for it yet).
pub const VERSION: (u16, u16) = (1, 0);
/// NUMERICS.md format version 1.
pub const RULES: u16 = 1;
/// Header length in bytes.
pub const HEADER: usize = 64;
/// Section table entry length in bytes.
pub const ENTRY: usize = 16;
/// Largest accepted number of sections.
pub const MAX_SECTIONS: u16 = 32;
/// Largest accepted provenance text in bytes.
pub const MAX_PROVENANCE: usize = 8192;

/// Section kinds, ascending in the file.
pub mod kind {
    /// Shape of the encoder.
    pub const SPEC: u16 = 1;
    /// How a picture becomes pixels.
    pub const PREPROCESS: u16 = 2;
    /// PCA projection, embedding, positions.
    pub const FRONT: u16 = 3;
    /// L transformer blocks.
    pub const BLOCKS: u16 = 4;
    /// Standardisation of the pooled embedding.
    pub const HEAD: u16 = 5;
    /// Float (f16) mean and deviation of each embedding component; optional.
    pub const STANDARDISATION: u16 = 6;
    /// Float (f16) patch-PCA basis for reconstruction; optional.
    pub const PCA_BASIS: u16 = 7;
    /// Range of every LayerNorm's codes; absent when all are ±5, required to be understood when present.
    pub const NORMS: u16 = 8;
    /// `key=value` lines; optional.
    pub const PROVENANCE: u16 = 9;
    /// Pictures with the CRC of every tap and the embedding; optional.
    pub const VECTORS: u16 = 10;

    /// True for the kinds that change what an encoder computes: a reader that does not know one refuses the file.
    pub const fn is_required(kind: u16) -> bool {
        matches!(kind, SPEC..=HEAD | NORMS)
    }
}

/// Why bytes are not an artifact that this code runs. `at` is the byte offset of the first offence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// Shorter than the part that is needed next.
    Truncated {
        /// Bytes needed.
        needed: u32,
        /// Bytes there.
        found: u32,
    },
    /// Not an `.ldae` file.
    BadMagic,
    /// The magic is byte-swapped: written for another byte order.
    WrongEndianness,
    /// A version that this code does not read.
    Version {
        /// Major version found.
        major: u16,
        /// Minor version found.
        minor: u16,
    },
    /// An unknown rounding rule or weight layout: refused instead of guessed.
    UnknownRules {
        /// Rounding-rule id.
        rules: u16,
        /// Layout tag.
        layout: u16,
    },
    /// Declared length and file length differ (truncated or trailing bytes).
    Length {
        /// Length in the header.
        declared: u32,
        /// Length of the slice.
        found: u32,
    },
    /// The CRC does not match: the file was damaged.
    Crc {
        /// CRC in the header.
        declared: u32,
        /// CRC of the bytes.
        found: u32,
    },
    /// The section table is malformed (order, overlap, gap, count, flags or padding).
    Sections {
        /// Offset of the entry.
        at: u32,
    },
    /// A required section of this kind is missing.
    Missing {
        /// Section kind.
        kind: u16,
    },
    /// A required section of unknown kind: written by a newer tool.
    UnknownRequired {
        /// Section kind.
        kind: u16,
    },
    /// A section's length is not what the spec implies.
    SectionLength {
        /// Section kind.
        kind: u16,
        /// Length implied by the spec.
        expected: u32,
        /// Length found.
        found: u32,
    },
    /// The shape is not one that the engine covers.
    Spec(crate::spec::SpecError),
    /// An unknown pooling, preprocessing or reserved value.
    Field {
        /// Offset of the field.
        at: u32,
    },
    /// A factor outside rule 3's range.
    Factor {
        /// Offset of the factor.
        at: u32,
    },
    /// A weight or table code of −128, which rule 1 excludes.
    Code {
        /// Offset of the byte.
        at: u32,
    },
    /// 127·Σ|w| + |bias| exceeds 2^23 − 1 (rule 2).
    Accumulator {
        /// Offset of the channel's record.
        at: u32,
    },
    /// A packed panel whose header or padding is not what its weights imply.
    Panel {
        /// Offset of the panel.
        at: u32,
    },
    /// A packed artifact that does not lie at a multiple of 16 bytes in memory.
    Misaligned,
    /// A softmax table whose first entry is below 2^15.
    Table {
        /// Offset of the table.
        at: u32,
    },
}

impl core::fmt::Display for FormatError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            FormatError::Truncated { needed, found } => write!(f, "truncated: {needed} bytes needed, {found} there"),
            FormatError::BadMagic => f.write_str("not an .ldae artifact"),
            FormatError::WrongEndianness => f.write_str("byte-swapped artifact (wrong endianness)"),
            FormatError::Version { major, minor } => {
                write!(f, "artifact of version {major}.{minor}, this build reads {}.{}", VERSION.0, VERSION.1)
            }
            FormatError::UnknownRules { rules, layout } => {
                write!(f, "unknown rounding rules {rules} or weight layout {layout}")
            }
            FormatError::Length { declared, found } => write!(f, "{found} bytes, header says {declared}"),
            FormatError::Crc { declared, found } => write!(f, "damaged: CRC {found:08x}, header says {declared:08x}"),
            FormatError::Sections { at } => write!(f, "malformed section table at byte {at}"),
            FormatError::Missing { kind } => write!(f, "required section {kind} is missing"),
            FormatError::UnknownRequired { kind } => write!(f, "unknown required section {kind}"),
            FormatError::SectionLength { kind, expected, found } => {
                write!(f, "section {kind} has {found} bytes, its shape needs {expected}")
            }
            FormatError::Spec(e) => write!(f, "unsupported shape: {e}"),
            FormatError::Field { at } => write!(f, "unknown or reserved value at byte {at}"),
            FormatError::Factor { at } => write!(f, "requantisation factor out of range at byte {at}"),
            FormatError::Code { at } => write!(f, "code -128 at byte {at}"),
            FormatError::Accumulator { at } => write!(f, "channel at byte {at} could overflow its accumulator"),
            FormatError::Panel { at } => write!(f, "packed panel at byte {at} is inconsistent"),
            FormatError::Misaligned => f.write_str("a packed artifact must lie at a multiple of 16 bytes in memory"),
            FormatError::Table { at } => write!(f, "softmax table at byte {at} is not normalised"),
        }
    }
}

impl core::error::Error for FormatError {}
