//! Noise that is the same everywhere: counter-based random numbers (`philox`), streams of uniform and Gaussian samples
//! drawn from them (`stream`), and the noise schedules with their loss weights (`schedule`).
//!
//! Nothing here has global state: a stream is a pure function of seed, purpose, epoch and sample, so training gives the
//! same batches and the same noise for any number of workers, and a board can draw the noise the workstation trained with.

pub mod philox;
pub mod schedule;
mod stream;

pub use philox::philox4x32_10;
pub use stream::{Purpose, Stream};
