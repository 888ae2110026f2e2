//! What every kind of source offers to the import: its classes, its files, and its pictures in a fixed order.

use super::layout::Part;
use crate::Result;
use std::path::PathBuf;

/// A picture before it is decoded.
pub(crate) struct Raw {
    /// Path relative to the source, or `file:record`.
    pub name: String,
    pub part: Part,
    /// Index into [`Origin::classes`].
    pub label: Option<u16>,
    pub payload: Payload,
}

/// Where a picture's bytes are; everything expensive is left to the parallel import.
pub(crate) enum Payload {
    /// A file to read and decode.
    File(PathBuf),
    /// The contents of such a file.
    Encoded(Vec<u8>),
    /// Decoded, HWC.
    Pixels { width: usize, height: usize, channels: usize, bytes: Vec<u8> },
    /// To be drawn.
    Drawn { scene: super::drawn::Scene, side: usize, channels: usize },
    /// Known to be unusable, and why.
    Bad(String),
}

/// Pictures handed on together: decoded in parallel, stored in this order.
pub(crate) type Chunk = Vec<Raw>;

/// A source of pictures.
pub(crate) trait Origin {
    /// What it is, for people.
    fn kind(&self) -> String;
    /// Class names.
    fn classes(&self) -> &[String];
    /// The files whose names, sizes and times identify the contents (for the cache's key).
    fn files(&self) -> Vec<PathBuf>;
    /// Shorter side and channels of every picture, where the format fixes them.
    fn native(&self) -> Option<(usize, usize)>;
    /// Number of pictures [`Origin::each`] will hand on, where known beforehand.
    fn count(&self) -> Option<usize>;
    /// Hands on all pictures, in an order that depends on the source alone.
    fn each(&self, visit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()>;
}
