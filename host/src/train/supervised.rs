//! The yardstick of a run: the same encoder trained with labels, as a run of recipe `supervised` beside it.

use super::checkpoint::{Checkpoint, Which};
use super::config::TrainConfig;
use super::options::YARDSTICK_WEIGHT_DECAY;
use super::ranks::Alone;
use super::{Job, Mode, run};
use crate::Result;
use crate::cli::Output;
use crate::data::Dataset;
use crate::model::Weights;
use crate::recipe;
use crate::run_dir::RunDir;
use burn::tensor::Device;

/// Encoder of `config` trained with the labels of `dataset` for `steps` steps, to embed at time step `t`, in a run directory
/// `place`. A run that is there already is taken over if it is this one, and replaced otherwise.
///
/// # Errors
/// There are no labels, the directory cannot be written, or the loss is no longer finite.
pub fn supervised(
    config: &TrainConfig,
    dataset: &Dataset,
    (steps, t): (u64, u32),
    place: &RunDir,
    device: &Device,
    out: &Output,
) -> Result<Weights> {
    let mut config = config.clone();
    config.recipe = recipe::named("supervised")?;
    config.tokenizer = None;
    config.model.classes = dataset.label_count();
    config.optimiser.steps = steps;
    config.optimiser.warmup = config.optimiser.warmup.min(steps / 10);
    config.optimiser.weight_decay = YARDSTICK_WEIGHT_DECAY;
    config.schedule.t_embed = t;
    // What the k-NN check would say is measured by the evaluation that asks for this run.
    config.schedule.knn_every = steps.max(1).next_multiple_of(config.schedule.log_every.max(1));
    let same = TrainConfig::load(place).is_ok_and(|there| there == config);
    let mode = if same { Mode::Resume } else { Mode::Overwrite };
    run(&Job { config: &config, dataset, run: place, mode, device, ranks: &Alone }, out)?;
    Checkpoint::load(&place.checkpoint("last"))?.weights(Which::Average)
}
