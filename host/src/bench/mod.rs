//! What an inference costs: time on this machine ([`latency`]), all runtimes of an export side by side ([`runtimes`]), exact
//! instructions, scratch and stack on emulated cores ([`instructions`]); and what a training step costs ([`training`])
//! and its input ([`pipeline`]).
//!
//! Instructions are counted by a QEMU plugin (tools/insn-counter) and repeat to the last one; they are no cycles. A profile
//! ([`profile`]) attributes them to functions through the firmware's debug information.

pub mod budget;
pub mod ceiling;
mod counter;
mod counts;
pub mod instructions;
pub mod latency;
mod machine;
pub mod pipeline;
pub mod profile;
pub mod runtimes;
pub mod table;
pub mod training;

pub use budget::{Budget, Judgement};
pub use instructions::{Measurement, Model, Options};
pub use latency::{Timing, measure, throughput_of};
pub use profile::Profile;
