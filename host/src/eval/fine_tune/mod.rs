//! Fine-tuning with labels (METHOD.md section 1, paper A's recipe): all weights of the trained encoder and a linear classifier on its mean
//! token, beside the same recipe from initial weights.
//!
//! # Protocol
//!
//! AdamW, learning rate 4e-3·batch/1024 (linear scaling: reading), half-cycle cosine after a warm-up of a twentieth (MAE's 5 of 100
//! epochs: reading), weight decay 0.05 on matrices, layer-wise decay 0.85 (the paper's for 12 blocks), MixUp 0.8 or CutMix 1.0 on
//! every batch ([`mix`]), crop and flip, RandAug(9, 0.5) ([`rand_augment`]), drop path 0.1 ([`drop_path`]), moving average 0.9999 (less in
//! the first steps), 100 epochs unless told otherwise, batch 1024 or a sixteenth of the pictures, at least 64. One seed. The encoder
//! sees pictures as it did in training: projected on its K directions, at the time step of the embedding.
//!
//! From initial weights nothing decays by layer: there is nothing to keep.

mod drop_path;
mod mix;
mod operations;
mod rand_augment;

use super::evaluation::Pictures;
use crate::cli::Output;
use crate::data::{Augment, Split, augment, order};
use crate::model::block::cross_entropy;
use crate::model::init::init_parameters;
use crate::model::layout::{Group, Parameter};
use crate::model::net::{Frame, Net};
use crate::model::{Head, ModelSpec, Weights};
use crate::tokenizer::{LatentSpace, LinearTokenizer};
use crate::train::batch::patches;
use crate::train::checkpoint::to_device;
use crate::train::optimiser::{self, State, Update};
use crate::train::step::{Parts, mean_gradients};
use crate::train::workers::Workers;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::patch::PatchGrid;
use mix::Mix;
use serde::Serialize;

/// Passes over the training pictures (METHOD.md section 1).
pub const EPOCHS: u32 = 100;
/// Batch and learning rate at it (METHOD.md section 1).
const BATCH: usize = 1024;
const LEARNING_RATE: f64 = 4e-3;
const WEIGHT_DECAY: f64 = 0.05;
const LAYER_DECAY: f64 = 0.85;
const AVERAGE_DECAY: f64 = 0.9999;
/// Smallest batch, but for sets that are smaller: its learning rate is the smallest.
const MIN_BATCH: usize = 64;
/// Share of the steps that warm up.
const WARMUP: f64 = 0.05;
/// Pictures of one part of a batch: its graph is one core's work.
const PART: usize = 32;

/// What fine-tuning reached. Accuracies are shares, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FineTuned {
    /// Passes over the training pictures.
    pub epochs: u32,
    /// Pictures of a step.
    pub batch: usize,
    /// Training and held-out pictures.
    pub pictures: (usize, usize),
    /// Accuracy on the held-out pictures, from the trained encoder.
    pub accuracy: f64,
    /// The same from initial weights.
    pub from_scratch: f64,
}

impl std::fmt::Display for FineTuned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "fine-tuned for {} epochs: {:.2} %, from initial weights {:.2} % (one seed)",
            self.epochs,
            100.0 * self.accuracy,
            100.0 * self.from_scratch
        )
    }
}

/// Fine-tunes `weights` at time step `t`, and initial weights beside them.
///
/// # Errors
/// No labels, or the loss is no longer finite.
pub fn fine_tune(
    weights: &Weights,
    t: u16,
    pictures: &Pictures,
    epochs: u32,
    seed: u64,
    device: &Device,
    out: &Output,
) -> Result<FineTuned> {
    if weights.tokenizer().is_some() {
        return Err(Error::new("the tokenizer of this run is convolutional, and fine-tuning reads patches")
            .hint("leave out --fine-tune, or evaluate a run with a tokenizer per patch, such as l-dae"));
    }
    let classes = pictures.classes();
    let weights = &*weights.at(t);
    let spec = ModelSpec { head: Head::Classifier { classes }, ..*weights.spec() };
    let frame = Frame::new(spec, device);
    let grid =
        PatchGrid::of(&spec.encoder).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
    let tokenizer = LinearTokenizer::of_pca(&weights.pca(), spec.encoder.rank.into());
    let space = LatentSpace::linear(&tokenizer, device);
    let count = pictures.train().len();
    let batch = (count / 16).clamp(MIN_BATCH, BATCH).min(count);
    let workers = Workers::all_cores()?;
    let tuner = Tuner { frame, space, grid, t: t.into(), classes, batch, epochs, seed, device, workers };
    let scratch = init_parameters(&spec, seed);
    let trained: Vec<Vec<f32>> = tuner
        .frame
        .layout()
        .iter()
        .zip(&scratch)
        .map(|(p, initial)| weights.get(&p.name).map_or_else(|| initial.clone(), |t| t.values.clone()))
        .collect();
    let accuracy = tuner.run(trained, LAYER_DECAY, pictures, out)?;
    let from_scratch = tuner.run(scratch, 1.0, pictures, out)?;
    let pictures = (pictures.train().len(), pictures.test().len());
    Ok(FineTuned { epochs, batch, pictures, accuracy, from_scratch })
}

struct Tuner<'a> {
    frame: Frame,
    space: LatentSpace,
    grid: PatchGrid,
    t: u32,
    classes: usize,
    batch: usize,
    epochs: u32,
    seed: u64,
    device: &'a Device,
    workers: Workers,
}

/// One mixed batch on the CPU.
struct Batch {
    /// [B, N, P].
    patches: Vec<f32>,
    /// [B, classes].
    targets: Vec<f32>,
    /// For each block [B, 2].
    branches: Vec<Vec<f32>>,
}

impl Tuner<'_> {
    /// Trains from `parameters`; accuracy of the averaged weights on the held-out pictures.
    fn run(&self, parameters: Vec<Vec<f32>>, layer_decay: f64, pictures: &Pictures, out: &Output) -> Result<f64> {
        let layout = self.frame.layout();
        let depth = usize::from(self.frame.spec().encoder.depth);
        let layers: Vec<usize> = layout.iter().map(|p| layer(p, depth)).collect();
        // Layers follow each other in the layout: a state, with its own learning rate, for each.
        let parameters = to_device(&parameters, self.device);
        let mut states: Vec<State> = layers
            .chunk_by(|a, b| a == b)
            .scan(0, |start, run| {
                let range = *start..*start + run.len();
                *start = range.end;
                Some(State::new(parameters[range].to_vec()))
            })
            .collect();
        let decayed: Vec<bool> = layout.iter().map(|p| p.group == Group::Weight).collect();
        let rates: Vec<f64> =
            layers.chunk_by(|a, b| a == b).map(|run| layer_decay.powi((depth + 1 - run[0]) as i32)).collect();

        let train = pictures.train();
        let per_epoch = (train.len() / self.batch) as u64;
        let steps = per_epoch * u64::from(self.epochs);
        let warmup = (steps as f64 * WARMUP).round() as u64;
        let peak = LEARNING_RATE * self.batch as f64 / BATCH as f64;
        let bar = out.progress("fine-tune", steps);
        for step in 0..steps {
            let epoch = (step / per_epoch) as u32;
            let start = (step % per_epoch) as usize * self.batch;
            let samples = &order(self.seed, epoch, train.len())[start..start + self.batch];
            let batch = self.batch_of(train, epoch, samples);
            let current: Vec<Tensor<1>> = states.iter().flat_map(|s| s.parameters.clone()).collect();
            let parts = Parts { count: samples.len().div_ceil(PART), recompute: false };
            let result = mean_gradients(&self.workers, parts, samples.len(), &current, |range, leaves| {
                self.losses(leaves, &batch, range)
            });
            let norm = optimiser::global_norm(&result.gradients, &self.workers);
            if !norm.read().is_finite() {
                return Err(Error::new(format!("fine-tuning: the loss is no longer finite at step {}", step + 1))
                    .hint("evaluate an earlier checkpoint (--checkpoint best), or leave out --fine-tune"));
            }
            let learning_rate = optimiser::learning_rate(peak, step, warmup, steps);
            let (mut gradients, mut first) = (result.gradients.into_iter(), 0);
            for (state, rate) in states.iter_mut().zip(&rates) {
                let count = state.parameters.len();
                let own = gradients.by_ref().take(count).collect();
                let update = Update {
                    learning_rate: learning_rate * rate,
                    weight_decay: WEIGHT_DECAY,
                    clip: 0.0,
                    average_decay: AVERAGE_DECAY,
                };
                state.update(own, &norm, &decayed[first..first + count], &update, &self.workers);
                first += count;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let average: Vec<Tensor<1>> = states.iter().flat_map(|s| s.average.clone()).collect();
        self.accuracy(&average, pictures.test())
    }

    /// Augmented, mixed patches and their targets.
    fn batch_of(&self, split: &Split, epoch: u32, samples: &[u32]) -> Batch {
        let (side, channels, pixels) = (split.side(), split.channels(), self.grid.pixels());
        let mut pictures = vec![0u8; samples.len() * pixels];
        for (&sample, picture) in samples.iter().zip(pictures.chunks_exact_mut(pixels)) {
            augment(
                split.image(sample as usize),
                side,
                channels,
                Augment::CropFlip,
                self.seed,
                epoch,
                sample,
                0,
                picture,
            );
            rand_augment::rand_augment(picture, side, self.seed, epoch, sample);
        }
        let mix = Mix::draw(self.seed, epoch, samples[0], side);
        let mut batch = Batch {
            patches: vec![0.0; pictures.len()],
            targets: vec![0.0; samples.len() * self.classes],
            branches: drop_path::factors(self.frame.spec().encoder.depth.into(), self.seed, epoch, samples),
        };
        let mut values = vec![0f32; pixels];
        let picture = |i: usize| &pictures[i * pixels..(i + 1) * pixels];
        for (i, target) in batch.patches.chunks_exact_mut(pixels).enumerate() {
            let partner = samples.len() - 1 - i;
            mix.apply(picture(i), picture(partner), side, &mut values);
            values.iter_mut().for_each(|v| *v = (*v - 127.5) / 127.5);
            self.grid.patchify(&values, target);
            let label = |i: usize| split.label(samples[i] as usize).map_or(0, usize::from);
            batch.targets[i * self.classes + label(i)] += mix.share;
            batch.targets[i * self.classes + label(partner)] += 1.0 - mix.share;
        }
        batch
    }

    /// Cross-entropy of each picture of `range` with its mixed target, `[b]`.
    fn losses(&self, leaves: &[Tensor<1>], batch: &Batch, range: std::ops::Range<usize>) -> Tensor<1> {
        let b = range.len();
        let (n, p) = (self.grid.tokens(), self.grid.patch_values());
        let part = |values: &[f32], width: usize| values[range.start * width..range.end * width].to_vec();
        let patches = TensorData::new(part(&batch.patches, n * p), [b, n, p]);
        let targets = TensorData::new(part(&batch.targets, self.classes), [b, self.classes]);
        let factors = |block: &Vec<f32>| Tensor::from_data(TensorData::new(part(block, 2), [b, 2]), self.device);
        let branches: Vec<Tensor<2>> = batch.branches.iter().map(factors).collect();
        let logits = self.logits(leaves, Tensor::from_data(patches, self.device), Some(&branches));
        let targets = Tensor::<2>::from_data(targets, self.device);
        cross_entropy(logits, targets)
    }

    /// Logits [b, classes] of patches [b, N, P]; `branches` drops some of the blocks' branches.
    fn logits(&self, parameters: &[Tensor<1>], patches: Tensor<3>, branches: Option<&[Tensor<2>]>) -> Tensor<2> {
        let net = self.frame.build(parameters);
        let b = patches.dims()[0];
        let condition = net.condition(Net::time_table(&vec![self.t; b], self.device), None);
        let seen = self.space.decode(self.space.encode(patches));
        let tokens = match branches {
            Some(branches) => net.encode_scaled(seen, &condition, branches),
            None => net.encode(seen, &condition),
        };
        let [b, _, w] = tokens.dims();
        net.layers()[0].forward(tokens.mean_dim(1).reshape([b, w]))
    }

    /// Share of right answers.
    fn accuracy(&self, parameters: &[Tensor<1>], test: &Split) -> Result<f64> {
        let labels = test.labels().ok_or_else(|| Error::new("the held-out pictures have no labels"))?;
        let mut right = 0;
        self.workers.for_each_in_order(
            test.len().div_ceil(PART),
            |part| {
                let range = part * PART..test.len().min((part + 1) * PART);
                let pictures: Vec<&[u8]> = range.clone().map(|i| test.image(i)).collect();
                let logits = self.logits(parameters, patches(self.grid, &pictures, self.device), None);
                let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
                let best = |row: &[f32]| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
                let answers = logits.chunks_exact(self.classes).map(best);
                answers.zip(&labels[range]).filter(|(answer, label)| *answer == usize::from(**label)).count()
            },
            |_, count| right += count,
        );
        Ok(right as f64 / test.len().max(1) as f64)
    }
}

/// 0 for what comes before the blocks, l + 1 for block l, depth + 1 for the classifier.
fn layer(parameter: &Parameter, depth: usize) -> usize {
    if parameter.name.starts_with("head") {
        return depth + 1;
    }
    let block = parameter.name.strip_prefix("encoder.blocks.").and_then(|rest| rest.split('.').next());
    block.and_then(|number| number.parse::<usize>().ok()).map_or(0, |l| l + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::evaluation::Protocol;
    use crate::eval::testing::{model, tinted};

    #[test]
    fn layers_follow_each_other_and_rates_rise_towards_the_classifier() {
        let (weights, _) = model(12);
        let spec = ModelSpec { head: Head::Classifier { classes: 3 }, ..weights.spec().encoder_only() };
        let layers: Vec<usize> = crate::model::layout::layout(&spec).iter().map(|p| layer(p, 2)).collect();
        assert!(layers.is_sorted(), "{layers:?}");
        let count = |l| layers.iter().filter(|x| **x == l).count();
        // embed and two layers for t; five linear layers a block; the classifier: a weight and a bias each.
        assert_eq!([0, 1, 2, 3].map(count), [6, 10, 10, 2]);
    }

    #[test]
    fn tuning_learns_the_labels_and_is_repeatable() {
        let dataset = tinted();
        let pictures = Pictures::of(&dataset, &Protocol::default()).unwrap();
        let (weights, _) = model(48);
        let encoder = weights.spec().encoder_only();
        let values = crate::model::layout::layout(&encoder)
            .iter()
            .map(|p| weights.get(&p.name).unwrap().values.clone())
            .collect();
        let weights = Weights::new(encoder, values, &weights.pca()).unwrap();
        let device = Device::flex();
        let run = |epochs| fine_tune(&weights, 10, &pictures, epochs, 1, &device, &Output::silent()).unwrap();
        assert_eq!(run(2), run(2));
        let tuned = run(200);
        assert_eq!((tuned.batch, tuned.pictures), (64, (128, 64)));
        assert!(tuned.accuracy > 0.85 && tuned.from_scratch > 0.85, "{tuned:?}");
    }
}
