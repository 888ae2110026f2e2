//! The workstation side of ldae: reads pictures, trains, evaluates, quantises, exports, verifies and reports.
//! The `ldae` program ([`cli`]) is a thin layer over these modules; docs/ARCHITECTURE.md shows how they hang together.

pub mod atomic;
pub mod bench;
pub mod cli;
pub mod data;
pub mod digest;
pub mod error;
pub mod eval;
mod exp;
pub mod export;
pub mod inspect;
pub mod model;
pub mod onnx;
pub mod pack;
pub mod quantise;
pub mod recipe;
pub mod report;
pub mod run_dir;
pub mod runtime;
pub mod sample;
pub mod sweep;
pub mod tokenizer;
pub mod train;
pub mod verify;

pub use error::{Error, Result};
