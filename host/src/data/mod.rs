//! Data sets: reads pictures from disk (or draws them), brings them to one square u8 shape, and hands them out in an
//! order that depends on seed and epoch alone.
//!
//! [`load`] recognises the source by what is there: CIFAR-10/100 binary, IDX, tar shards (WebDataset naming included),
//! a folder of images, each plain, `.gz` or `.xz`; or `drawn`, pictures the program draws itself. Pictures are u8,
//! row-major, HWC (row, column, channel), RGB or grey, resized (antialiased) and centre-cropped once, at load. Sets
//! larger than [`LoadOptions::memory_limit`] live in a memory-mapped cache file and stream from disk.
//!
//! Refused with a clear error: no such place, nothing recognised in it, more damaged files than
//! [`LoadOptions::max_bad`], truncated archives, headers that claim absurd sizes, pictures smaller than the model's side
//! (unless [`LoadOptions::upscale`]).

pub mod cifar;
pub mod compress;
pub mod drawn;
pub mod idx;
pub mod tar;

mod augment;
pub(crate) mod cache;
mod choice;
mod crop;
mod dataset;
mod decode;
mod folder;
mod import;
mod layout;
mod load;
mod order;
mod origin;
mod room;
mod sheet;
mod source;
mod split;
#[cfg(test)]
mod tests;

pub use augment::{Augment, augment};
pub use dataset::{BadFile, Dataset, Sizes};
pub use layout::Part;
pub use load::{LoadOptions, load, load_with_progress};
pub use order::{order, permutation};
pub use sheet::contact_sheet;
pub use split::Split;
