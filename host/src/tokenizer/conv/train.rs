//! The training loop: the feature network first, then autoencoder and discriminator in turns, each with its own AdamW.
//!
//! On a CPU the result is a function of settings and pictures: order, augmentation and noise are counter-based, and the parts of a
//! batch and the order of their sum are fixed.

use super::adversarial::Discriminator;
use super::autoencoder::Autoencoder;
use super::layers::init;
use super::loss::{self, Objective};
use super::perceptual::Perceptual;
use super::pictures::from_patches;
use super::rotation::RotationNet;
use super::settings::Settings;
use crate::cli::Output;
use crate::data::Split;
use crate::model::layout::Parameter;
use crate::train::batch::{Batches, Step};
use crate::train::optimiser::{self, State, Update};
use crate::train::step::{Parts, mean_gradients};
use crate::train::workers::Workers;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream};
use std::ops::Range;

/// Networks that draw initial weights, in the second place of `Stream(seed, Init, ..)`; the denoiser uses 0 to 2.
const AUTOENCODER: u32 = 16;
const DISCRIMINATOR: u32 = 17;
const ROTATION: u32 = 18;
/// Decay of the moving average, which is what is kept: short runs need a shorter memory than DiT's 0.9999 (reading).
const AVERAGE_DECAY: f64 = 0.999;
/// Share of the steps that warm up.
const WARMUP_SHARE: f64 = 0.05;
/// Largest global norm of a gradient.
const CLIP: f64 = 1.0;
/// The reported losses are means over this share of the steps, the last ones.
const LAST_SHARE: f64 = 0.1;
/// Steps between two looks at a GPU's loss; a CPU's is looked at in every one.
const CHECK_EVERY: u64 = 50;

/// What training gives.
#[derive(Debug)]
pub struct Trained {
    /// Averaged parameters of the autoencoder.
    pub parameters: Vec<Tensor<1>>,
    /// Mean loss of the autoencoder over the last tenth of the steps.
    pub loss: f64,
    /// The same of the feature network, where there is one; guessing gives ln 4 = 1.386.
    pub rotation_loss: Option<f64>,
    /// The same of the discriminator; at 1 it tells nothing.
    pub discriminator_loss: Option<f64>,
}

/// One network with its optimiser.
struct Trainee<'a> {
    what: &'static str,
    workers: &'a Workers,
    settings: &'a Settings,
    cpu: bool,
    shards: usize,
    steps: u64,
    state: State,
    decayed: Vec<bool>,
    /// Sum and number of the losses of the last steps.
    last: (f64, u64),
}

impl<'a> Trainee<'a> {
    fn new(
        what: &'static str,
        (layout, network): (&[Parameter], u32),
        steps: u64,
        settings: &'a Settings,
        workers: &'a Workers,
        device: &Device,
    ) -> Self {
        let state = State::new(init(layout, settings.training.seed, network, device));
        let cpu = crate::model::is_cpu(device);
        let shards = if cpu { settings.training.shards } else { 1 };
        let decayed = vec![false; layout.len()];
        Trainee { what, workers, settings, cpu, shards, steps, decayed, state, last: (0.0, 0) }
    }

    /// One step on `count` pictures; `losses` as in [`mean_gradients`].
    fn step(&mut self, count: usize, losses: impl Fn(Range<usize>, &[Tensor<1>]) -> Tensor<1> + Sync) -> Result<()> {
        let parts = Parts { count: self.shards, recompute: false };
        let result = mean_gradients(self.workers, parts, count, &self.state.parameters, losses);
        let norm = optimiser::global_norm(&result.gradients, self.workers);
        let last = self.state.step as f64 >= (1.0 - LAST_SHARE) * self.steps as f64;
        // Reading waits for a GPU.
        if (self.cpu || last || self.state.step.is_multiple_of(CHECK_EVERY)) && !norm.read().is_finite() {
            return Err(Error::new(format!(
                "training the tokenizer: the loss of the {} is no longer finite by step {}",
                self.what,
                self.state.step + 1
            ))
            .hint("its learning rate or a weight of its loss is too large"));
        }
        if last {
            self.last.0 += result.losses.into_data().iter::<f32>().map(f64::from).sum::<f64>();
            self.last.1 += count as u64;
        }
        let warmup = (WARMUP_SHARE * self.steps as f64) as u64;
        let update = Update {
            learning_rate: optimiser::learning_rate(
                self.settings.training.learning_rate,
                self.state.step,
                warmup,
                self.steps,
            ),
            weight_decay: 0.0,
            clip: CLIP,
            average_decay: AVERAGE_DECAY,
        };
        self.state.update(result.gradients, &norm, &self.decayed, &update, self.workers);
        Ok(())
    }

    fn loss(&self) -> f64 {
        self.last.0 / self.last.1.max(1) as f64
    }
}

/// The pictures of a training and its noise.
struct Source<'a> {
    settings: &'a Settings,
    batches: Batches<'a>,
    device: &'a Device,
}

impl Source<'_> {
    /// Augmented pictures [B, C, H, W] of a part of a step.
    fn pictures(&self, step: &Step, part: Range<usize>) -> Tensor<4> {
        from_patches(self.settings, self.batches.clean(step.epoch, &step.samples[part], self.device))
    }

    /// Standard normal noise [B, K, H/p, W/p].
    fn noise(&self, step: &Step, part: Range<usize>) -> Tensor<4> {
        let Settings { rank, image, patch, training, .. } = *self.settings;
        let side = image / patch;
        let shape = [part.len(), rank, side, side];
        let mut values = vec![0f32; shape.iter().product()];
        for (&sample, noise) in step.samples[part].iter().zip(values.chunks_exact_mut(rank * side * side)) {
            Stream::new(training.seed, Purpose::Tokenizer, step.epoch, sample).fill_gaussian(noise);
        }
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }
}

/// Trains the networks of checked settings on the pictures of `split`.
pub fn train(
    settings: &Settings,
    autoencoder: &Autoencoder,
    split: &Split,
    workers: &Workers,
    device: &Device,
    out: &Output,
) -> Result<Trained> {
    let t = &settings.training;
    let batches = Batches::new(split, settings.grid()?, settings.rank, t.batch, t.augment, t.seed);
    let mut source = Source { settings, batches, device };
    let perceptual = match settings.kind.perceptual() {
        true => Some(features(&mut source, workers, out)?),
        false => None,
    };
    let start = if settings.kind.adversarial() { (t.adversarial_start * t.steps as f64) as u64 } else { t.steps };
    let discriminator = Discriminator::new(settings);
    let mut generator =
        Trainee::new("autoencoder", (autoencoder.layout(), AUTOENCODER), t.steps, settings, workers, device);
    let mut adversary = Trainee::new(
        "discriminator",
        (discriminator.layout(), DISCRIMINATOR),
        t.steps - start,
        settings,
        workers,
        device,
    );
    let bar = out.progress("tokenizer", t.steps * t.batch as u64);
    for number in 0..t.steps {
        let step = source.batches.step(number);
        let count = step.samples.len();
        let objective = Objective {
            autoencoder,
            training: t,
            perceptual: perceptual.as_ref().map(|(p, _)| p),
            adversary: (number >= start).then_some((&discriminator, &adversary.state.parameters[..])),
        };
        generator.step(count, |part, leaves| {
            objective.losses(leaves, source.pictures(&step, part.clone()), source.noise(&step, part))
        })?;
        if number >= start {
            let parameters = &generator.state.parameters;
            adversary.step(count, |part, leaves| {
                let real = source.pictures(&step, part.clone());
                let latents = loss::sample(autoencoder.encode(parameters, real.clone()), source.noise(&step, part));
                let decoded = autoencoder.decode(parameters, latents);
                loss::discriminator(discriminator.logits(leaves, real), discriminator.logits(leaves, decoded))
            })?;
        }
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    Ok(Trained {
        loss: generator.loss(),
        rotation_loss: perceptual.map(|(_, loss)| loss),
        discriminator_loss: (start < t.steps).then(|| adversary.loss()),
        parameters: generator.state.average,
    })
}

/// Trains the network whose features measure perceptual distances, and gives its last loss too.
fn features(source: &mut Source, workers: &Workers, out: &Output) -> Result<(Perceptual, f64)> {
    let (settings, t) = (source.settings, &source.settings.training);
    let network = RotationNet::new(settings);
    let mut trainee =
        Trainee::new("feature network", (network.layout(), ROTATION), t.steps, settings, workers, source.device);
    let bar = out.progress("features", t.steps * t.batch as u64);
    for number in 0..t.steps {
        let step = source.batches.step(number);
        let count = step.samples.len();
        trainee.step(count, |part, leaves| network.losses(leaves, source.pictures(&step, part)))?;
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    let loss = trainee.loss();
    Ok((Perceptual { network, parameters: trainee.state.average }, loss))
}
