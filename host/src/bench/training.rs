//! Speed of training on this machine: pictures a second, where a step's time goes, and the share of what matrix products alone
//! reach.
//!
//! Steps are the trainer's own ([`mean_gradients`], the optimiser, batches with augmentation and noise) on random pictures; nothing is
//! written. FLOP/s counts the products of the model (twice its multiply-accumulates, forward once, backward twice), not
//! activations. The ceiling is [`ceiling`]'s.

use super::ceiling;
use crate::data::{Augment, Dataset, Split};
use crate::model::init::init_parameters;
use crate::model::layout::Group;
use crate::model::net::Frame;
use crate::model::{ModelSpec, Precision, is_cpu, pca};
use crate::tokenizer::{self, Material};
use crate::train::batch::Batches;
use crate::train::checkpoint::to_device;
use crate::train::objective::Objective;
use crate::train::optimiser::{self, State, Update};
use crate::train::step::{Parts, mean_gradients};
use crate::train::workers::Workers;
use crate::train::{DEFAULT_BATCH, TrainOptions};
use crate::{Error, Result};
use burn::tensor::Device;
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::PatchGrid;
use serde::Serialize;
use std::time::Instant;

/// Pictures that batches are drawn from: several batches, so that caches hold no whole data set.
const BATCHES: usize = 4;
/// Patches of the PCA: its directions do not change the speed.
const PCA_PATCHES: usize = 20_000;

/// Time of one step, seconds of wall time, in the parts that it consists of.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct StepTime {
    /// The whole step.
    pub step: f64,
    /// Pictures, augmentation and noise; this and the next two are means over the threads.
    pub data: f64,
    /// Losses.
    pub forward: f64,
    /// Gradients.
    pub backward: f64,
    /// Clipping, AdamW, moving average.
    pub optimiser: f64,
    /// Threads without work.
    pub waits: f64,
}

/// What `ldae bench --train` reports.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// Device.
    pub device: String,
    /// Threads, 1 on a GPU.
    pub threads: usize,
    /// Pictures of a step, and the parts it is cut into.
    pub batch: usize,
    /// Parts.
    pub shards: usize,
    /// Trainable values.
    pub parameters: usize,
    /// Steps timed.
    pub steps: usize,
    /// At the median step.
    pub pictures_per_second: f64,
    /// Floating-point operations of the model's products in a step.
    pub flop_per_step: f64,
    /// At the median step.
    pub flop_per_second: f64,
    /// Products alone: on the same threads, or on the GPU in the same precision.
    pub ceiling_flop_per_second: f64,
    /// Medians.
    pub time: StepTime,
    /// Loss of the last step: that it fell shows that training took place.
    pub loss: f64,
}

/// A training step that can be repeated.
pub struct Bench {
    objective: Objective,
    split: Split,
    grid: PatchGrid,
    device: Device,
    workers: Workers,
    threads: usize,
    batch: usize,
    shards: usize,
    recompute: bool,
    precision: Precision,
    state: State,
    decayed: Vec<bool>,
    steps: Vec<StepTime>,
    loss: f64,
}

impl Bench {
    /// A model with initial weights and random pictures, cut into parts as in training.
    ///
    /// # Errors
    /// An impossible shape, or the system gives no threads.
    pub fn new(options: &TrainOptions, threads: usize, device: Device) -> Result<Self> {
        let load = options.load_options()?;
        let (side, channels) = (load.side.unwrap_or_default(), load.channels.unwrap_or(3));
        let batch = options.batch.unwrap_or(DEFAULT_BATCH);
        let mut pictures = vec![0u8; batch * BATCHES * side * side * channels];
        for (i, picture) in pictures.chunks_exact_mut((side * side * channels).max(1)).enumerate() {
            let mut stream = Stream::new(1, Purpose::Drawn, 0, i as u32);
            picture.iter_mut().for_each(|byte| *byte = stream.below(256) as u8);
        }
        let split = Split::from_memory(pictures, side, channels, None);
        let config = options.resolve(&Dataset::of_pictures("random", split.clone()))?.0;
        let (spec, o) = (config.model_spec()?, &config.optimiser);
        let e = spec.encoder;
        let grid = PatchGrid::of(&e).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
        let pca = pca::fit(grid, e.rank.into(), split.len(), |i| split.image(i), PCA_PATCHES, o.seed)?;
        let threads = if is_cpu(&device) { threads } else { 1 };
        let frame = Frame::new(spec, &device).with_precision(o.precision);
        let workers = Workers::new(threads)?;
        let quiet = crate::cli::Output::silent();
        let material = Material { split: &split, fingerprint: "random", pca: &pca };
        let with = (&workers, &device, &quiet);
        let tokenizer = tokenizer::fit(&config.tokenizer(&e), &material, o.seed, with)?;
        let (weight, t) = (o.residual_weight as f32, config.schedule.t_embed);
        Ok(Bench {
            state: State::new(to_device(&init_parameters(&spec, o.seed), &device)),
            decayed: frame.layout().iter().map(|p| p.group == Group::Weight).collect(),
            workers,
            objective: Objective::new(&config.recipe, frame, tokenizer.on(&device), weight, t, &device),
            split,
            grid,
            threads,
            batch: o.batch,
            shards: if is_cpu(&device) { o.shards } else { o.accumulate },
            recompute: o.recompute,
            precision: o.precision,
            device,
            steps: Vec::new(),
            loss: f64::NAN,
        })
    }

    /// Shape of the model.
    pub fn spec(&self) -> &ModelSpec {
        self.objective.frame().spec()
    }

    /// Takes `count` steps, calling `done` after each, and returns the seconds of each.
    pub fn steps(&mut self, count: usize, mut done: impl FnMut()) -> Vec<f64> {
        let rank = self.objective.frame().spec().encoder.rank.into();
        let mut batches =
            Batches::new(&self.split, self.grid, rank, self.batch, Augment::Flip, 1).ahead_of(&self.device);
        let first = self.steps.len();
        for _ in 0..count {
            let start = Instant::now();
            let step = batches.step(self.state.step);
            let prepared = batches.seconds();
            let (objective, shards) = (&self.objective, self.shards);
            let parts = Parts { count: shards, recompute: self.recompute };
            let shared = objective.shared(&self.workers, shards, &self.state, &batches, &step);
            let result =
                mean_gradients(&self.workers, parts, step.samples.len(), &self.state.parameters, |range, leaves| {
                    objective.losses(leaves, &shared, &batches, &step, range)
                });
            let computed = start.elapsed();
            let norm = optimiser::global_norm(&result.gradients, &self.workers);
            let update = Update { learning_rate: 1e-4, weight_decay: 0.05, clip: 1.0, average_decay: 0.9999 };
            self.state.update(result.gradients, &norm, &self.decayed, &update, &self.workers);

            // A device that works behind our back has finished when a value of the last tensor has come back.
            if !is_cpu(&self.device) {
                let _ =
                    optimiser::global_norm(&self.state.average[self.state.average.len() - 1..], &self.workers).read();
            }
            let losses: Vec<f32> = result.losses.into_data().iter::<f32>().collect();
            self.loss = f64::from(losses.iter().sum::<f32>()) / losses.len() as f64;
            let step = start.elapsed().as_secs_f64();
            let threads = self.threads as f64;
            let data = (batches.seconds() - prepared) / threads;
            let forward = result.spent.forward.as_secs_f64() / threads - data;
            let backward = result.spent.backward.as_secs_f64() / threads;
            self.steps.push(StepTime {
                step,
                data,
                forward,
                backward,
                optimiser: step - computed.as_secs_f64(),
                waits: (computed.as_secs_f64() - data - forward - backward).max(0.0),
            });
            done();
        }
        self.steps[first..].iter().map(|t| t.step).collect()
    }

    /// What was measured since the last [`Bench::forget`].
    pub fn report(&self) -> Training {
        let median = |of: &dyn Fn(&StepTime) -> f64| {
            let mut values: Vec<f64> = self.steps.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let time = StepTime {
            step: median(&|t| t.step),
            data: median(&|t| t.data),
            forward: median(&|t| t.forward),
            backward: median(&|t| t.backward),
            optimiser: median(&|t| t.optimiser),
            waits: median(&|t| t.waits),
        };
        let spec = self.objective.frame().spec();
        let flop_per_step = 6.0 * spec.training_macs() as f64 * self.batch as f64;
        Training {
            device: if is_cpu(&self.device) { "cpu".to_owned() } else { format!("{:?}", self.device) },
            threads: self.threads,
            batch: self.batch,
            shards: self.shards,
            parameters: self.objective.frame().layout().iter().map(crate::model::layout::Parameter::len).sum(),
            steps: self.steps.len(),
            pictures_per_second: self.batch as f64 / time.step,
            flop_per_step,
            flop_per_second: flop_per_step / time.step,
            ceiling_flop_per_second: match is_cpu(&self.device) {
                true => ceiling::cores(spec, self.threads),
                false => ceiling::gpu(&self.device, self.precision),
            },
            time,
            loss: self.loss,
        }
    }

    /// Forgets the timings so far (warm-up).
    pub fn forget(&mut self) {
        self.steps.clear();
    }
}

impl std::fmt::Display for Training {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let t = &self.time;
        writeln!(
            f,
            "{}, {} threads, batches of {} in {} parts, {} parameters, {} steps",
            self.device, self.threads, self.batch, self.shards, self.parameters, self.steps
        )?;
        writeln!(f, "pictures a second   {:10.1}", self.pictures_per_second)?;
        writeln!(f, "step                {:10.1} ms (median)", 1e3 * t.step)?;
        for (name, value) in [
            ("data", t.data),
            ("forward", t.forward),
            ("backward", t.backward),
            ("optimiser", t.optimiser),
            ("waits", t.waits),
        ] {
            writeln!(f, "  {name:17} {:10.1} ms {:5.1} %", 1e3 * value, 100.0 * value / t.step)?;
        }
        let (reached, ceiling) = (self.flop_per_second, self.ceiling_flop_per_second);
        let share = 100.0 * reached / ceiling;
        write!(f, "products            {:10.1} GFLOP/s, {share:.0} % of the ", reached / 1e9)?;
        write!(f, "{:.1} GFLOP/s of products alone", ceiling / 1e9)
    }
}
