//! Runs an ldae encoder on a device: NUMERICS.md in integers only. `no_std`, no allocation, no float, no panic reachable
//! from data, no `unsafe` outside `kernels` modules.
//!
//! ```
//! # fn demo(artifact: &[u8], pixels: &[u8], scratch: &mut [u8], codes: &mut [i8]) -> Option<()> {
//! use ldae_device::Encoder;
//!
//! let encoder = Encoder::new(artifact).ok()?; // validates every byte, once
//! let embedding = encoder.embed(pixels, scratch, codes).ok()?;
//! let _cosine_needs_only = (embedding.codes, embedding.norm2);
//! # Some(()) }
//! ```
//!
//! Linux boards can also run the ONNX export, in float, through the module `tract` (feature `tract`, std).
//!
//! Firmware sizes its buffers at compile time: `static SCRATCH: Scratch<{ scratch_bytes(&SPEC) }>`.
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "tract"))]
extern crate std;

mod encoder;
mod engine;
pub mod gallery;
#[cfg(feature = "alloc")]
mod in_memory;
pub mod kernels;
mod plan;
mod tap;
#[cfg(feature = "tract")]
pub mod tract;

pub use encoder::{Aligned, EmbedError, Embedding, Encoder, LoadError, Scratch};
#[cfg(feature = "alloc")]
pub use in_memory::{AlignedBytes, InMemory, host_layout};
pub use ldae_shared::format::{Artifact, FormatError, Layout};
pub use plan::{scratch_bytes, scratch_bytes_of};
pub use tap::{BlockStage, CrcTaps, NoTap, Tap, TapData, TapId};
