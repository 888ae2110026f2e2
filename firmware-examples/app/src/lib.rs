//! The whole user code of the examples. A board package calls one function of this crate and adds nothing but startup,
//! a memory map, and a way in and out.
//!
//! * [`embed`]: an artifact in flash, a picture, its embedding.
//! * [`embed::measured`]: the same with cycles and stack, for boards.
//! * [`gallery`]: learns classes from a few pictures, classifies others.
//! * [`serial`]: answers `ldae verify --device serial:PORT` with the artifact in flash.
//! * [`parity`]: answers `ldae verify`: runs the pictures it is sent and reports a CRC-32 per tap.
//! * [`measure`]: answers `ldae bench --device`: marks stages for the instruction counter (`marker`), measures scratch and stack.
#![no_std]
#![deny(unsafe_code)]

pub mod built_in;
#[cfg(feature = "defmt")]
pub mod console;
#[cfg(feature = "cortex-m")]
pub mod cortex_m;
pub mod embed;
pub mod gallery;
#[cfg(any(target_arch = "arm", target_arch = "riscv32"))]
pub mod marker;
pub mod measure;
pub mod parity;
#[cfg(feature = "semihosting")]
pub mod semihosted;
pub mod serial;
pub mod stack;

/// Version of the engine in this firmware (all crates of the workspace share one).
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
