//! The same encoder trained with labels: the yardstick of METHOD.md section 4.
//!
//! A linear classifier on the token average of the encoder's output, at the run's embedding time step, on clean pictures
//! with the run's augmentation; cross-entropy, AdamW, warm-up and cosine as in the run, all weights trained
//! together from the run's initial ones. What is returned are the final weights, so that they are evaluated like any
//! other embedding, and the classifier's own accuracy.

use super::batch::Batches;
use super::checkpoint::to_device;
use super::config::TrainConfig;
use super::optimiser::{self, State, Update};
use super::step::mean_gradients;
use super::workers::Workers;
use crate::cli::Output;
use crate::data::Dataset;
use crate::model::Weights;
use crate::model::block::Linear;
use crate::model::init::init_parameters;
use crate::model::layout::Group;
use crate::model::net::{Frame, Net};
use crate::model::pca::PatchPca;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData, activation};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::PatchGrid;

/// Weight decay of the yardstick; a supervised transformer needs some, the denoiser none (METHOD.md section 1 uses 0.05 to
/// fine-tune).
const WEIGHT_DECAY: f64 = 0.05;
/// Pictures of one forward pass when the classifier is tested.
const PART: usize = 64;

/// An encoder trained with labels.
#[derive(Clone, Debug)]
pub struct Supervised {
    /// Encoder weights (the decoder's are the initial ones).
    pub weights: Weights,
    /// Accuracy of its classifier on the held-out pictures, percent.
    pub accuracy: f64,
}

struct Classifier<'a> {
    frame: &'a Frame,
    device: &'a Device,
    grid: PatchGrid,
    classes: usize,
    t: u32,
}

impl Classifier<'_> {
    /// Logits [B, classes] of clean patches [B, N, P]; the last two of `parameters` are the classifier.
    fn logits(&self, parameters: &[Tensor<1>], patches: Tensor<3>) -> Tensor<2> {
        let [b, _, _] = patches.dims();
        let width = usize::from(self.frame.spec().encoder.width);
        let (encoder, head) = parameters.split_at(parameters.len() - 2);
        let net = self.frame.build(encoder);
        let condition = net.condition(Net::time_table(&vec![self.t; b], self.device));
        let pooled = net.encode(patches, condition).mean_dim(1).reshape([b, width]);
        let head = Linear { weight: head[0].clone().reshape([width, self.classes]), bias: head[1].clone() };
        head.forward(pooled)
    }

    /// Cross-entropy of each picture, [B].
    fn losses(&self, parameters: &[Tensor<1>], patches: Tensor<3>, labels: &[u16]) -> Tensor<1> {
        let b = labels.len();
        let mut target = vec![0f32; b * self.classes];
        labels.iter().enumerate().for_each(|(i, &label)| target[i * self.classes + usize::from(label)] = 1.0);
        let target = Tensor::<2>::from_data(TensorData::new(target, [b, self.classes]), self.device);
        let log = activation::log_softmax(self.logits(parameters, patches), 1);
        (log * target).sum_dim(1).reshape([b]).neg()
    }
}

/// Trains the encoder of `config` with the labels of `dataset` for `steps` steps.
///
/// # Errors
/// There are no labels, or the loss is no longer finite.
pub fn supervised(
    config: &TrainConfig,
    dataset: &Dataset,
    pca: &PatchPca,
    steps: u64,
    device: &Device,
    out: &Output,
) -> Result<Supervised> {
    config.check_dataset(dataset)?;
    let no_labels = || {
        Error::new("training with labels needs labels, and there are none")
            .hint("use a folder with one folder per class, CIFAR, IDX or `drawn`")
    };
    let train_labels = dataset.train.labels().ok_or_else(no_labels)?;
    let (o, spec) = (&config.optimiser, config.model_spec()?);
    let grid =
        PatchGrid::of(&spec.encoder).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
    let classes = dataset.classes.len().max(1 + train_labels.iter().copied().max().map_or(0, usize::from));
    let frame = Frame::new(spec, device);
    let classifier = Classifier { frame: &frame, device, grid, classes, t: config.schedule.t_embed };

    let width = usize::from(spec.encoder.width);
    let bound = (6.0 / (width + classes) as f32).sqrt();
    let mut stream = Stream::new(o.seed, Purpose::Init, 2, 0);
    let mut parameters = init_parameters(&spec, o.seed);
    parameters.push((0..width * classes).map(|_| (2.0 * stream.uniform() - 1.0) * bound).collect());
    parameters.push(vec![0.0; classes]);
    let mut state = State::new(to_device(&parameters, device));
    let mut decayed: Vec<bool> = frame.layout().iter().map(|p| p.group == Group::Weight).collect();
    decayed.extend([false, false]);

    let workers = Workers::all_cores()?;
    let shards = if super::device::is_cpu(device) { o.shards } else { 1 };
    let rank = usize::from(spec.encoder.rank);
    let mut batches = Batches::new(&dataset.train, grid, rank, o.batch, config.data.augment, o.seed);
    let warmup = o.warmup.min(steps / 10);
    let bar = out.progress("supervised", steps * o.batch as u64);
    while state.step < steps {
        let step = batches.step(state.step);
        let result = mean_gradients(&workers, shards, step.samples.len(), &state.parameters, |range, leaves| {
            let samples = &step.samples[range];
            let labels: Vec<u16> = samples.iter().map(|&s| train_labels[s as usize]).collect();
            classifier.losses(leaves, batches.clean(step.epoch, samples, device), &labels)
        });
        let norm = optimiser::global_norm(&result.gradients, &workers);
        if !norm.is_finite() {
            return Err(Error::new(format!(
                "training with labels: the loss is no longer finite at step {}",
                state.step + 1
            ))
            .hint("the run's learning rate is too large for it"));
        }
        let update = Update {
            learning_rate: optimiser::learning_rate(o.learning_rate, state.step, warmup, steps),
            weight_decay: WEIGHT_DECAY,
            clip: 1.0,
            average_decay: o.average_decay,
        };
        state.update(result.gradients, norm, &decayed, &update, &workers);
        bar.inc(o.batch as u64);
    }
    bar.finish_and_clear();
    let accuracy = accuracy(&classifier, &workers, &state.average, dataset)?;
    let mut values = Vec::with_capacity(state.average.len());
    for tensor in &state.average[..frame.layout().len()] {
        values.push(tensor.clone().into_data().iter::<f32>().collect());
    }
    Ok(Supervised { weights: Weights::new(spec, values, pca)?, accuracy })
}

/// Accuracy on the held-out pictures in percent.
fn accuracy(classifier: &Classifier, workers: &Workers, parameters: &[Tensor<1>], dataset: &Dataset) -> Result<f64> {
    let test = dataset.held_out();
    let labels = test.labels().ok_or_else(|| Error::new("the held-out pictures have no labels"))?;
    let mut right = 0;
    workers.for_each_in_order(
        test.len().div_ceil(PART),
        |part| {
            let range = part * PART..test.len().min((part + 1) * PART);
            let pictures: Vec<&[u8]> = range.clone().map(|i| test.image(i)).collect();
            let patches = super::batch::patches(classifier.grid, &pictures, classifier.device);
            let logits: Vec<f32> = classifier.logits(parameters, patches).into_data().iter::<f32>().collect();
            let best = |row: &[f32]| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
            let answers = logits.chunks_exact(classifier.classes).map(best);
            answers.zip(&labels[range]).filter(|(answer, label)| *answer == usize::from(**label)).count()
        },
        |_, count| right += count,
    );
    Ok(100.0 * right as f64 / test.len().max(1) as f64)
}
