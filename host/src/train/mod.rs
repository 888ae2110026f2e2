//! Training by a recipe (METHOD.md): configuration, batches, objective, optimiser, checkpoints, metrics.
//!
//! [`options`] become a resolved [`TrainConfig`]; [`run`] trains, resumes and writes the run directory;
//! [`checkpoint`] is what evaluation, export and report read. On a CPU a run is a pure function of configuration and
//! pictures: order, noise and initial weights are counter-based, parts of a batch have a fixed size and their
//! gradients a fixed order, whatever the number of cores.

mod adamw;
pub mod batch;
pub mod checkpoint;
mod config;
pub mod device;
mod device_noise;
mod directory;
mod feed;
mod log;
pub mod metrics;
pub mod monitor;
pub mod objective;
pub mod optimiser;
mod options;
mod plan;
pub mod ranks;
pub(crate) mod reconstruct;
pub mod replicas;
mod run;
pub mod step;
mod summary;
mod supervised;
#[cfg(test)]
mod tests;
pub mod workers;

pub use config::{DataConfig, ModelConfig, OptimiserConfig, ScheduleConfig, TrainConfig};
pub use directory::Mode;
pub use options::{DEFAULT_BATCH, DEFAULT_PRESET, TrainOptions};
pub use plan::Plan;
pub use reconstruct::{Reconstruction, reconstruct};
pub use run::{Job, run};
pub use summary::TrainSummary;
pub use supervised::supervised;
