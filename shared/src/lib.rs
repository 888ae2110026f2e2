//! What the host and the device both compute, once: patches, PCA, noise, fixed-point rounding, the model
//! specification and the artifact format.
//!
//! `no_std`, no allocation (the `alloc` feature adds owned writers for hosts), no `unsafe`. Symbols are those of the
//! whole project: B batch, N tokens, P values of one patch (p·p·C), K PCA rank, W width, H heads, L blocks.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod crc;
pub mod fixed;
pub mod format;
pub mod link;
pub mod noise;
#[cfg(feature = "alloc")]
pub mod npy;
pub mod parity;
pub mod patch;
pub mod pca;
#[cfg(feature = "alloc")]
pub mod resize;
pub mod spec;
mod spec_text;

pub use spec_text::SpecTextError;
