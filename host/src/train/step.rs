//! One optimisation step: forward and backward on the parts of a batch, gradients added in part order.

use super::batch::{Batches, Step};
use super::loss::LatentNoise;
use super::workers::Workers;
use crate::model::net::Frame;
use burn::tensor::{Device, Tensor};

/// Gradients and losses of one batch.
#[derive(Debug)]
pub struct Gradients {
    /// Mean gradient over the batch, in layout order.
    pub gradients: Vec<Tensor<1>>,
    /// Loss and time step of every picture, in batch order.
    pub losses: Vec<(f32, u32)>,
}

/// Everything a step needs that does not change.
#[derive(Debug)]
pub struct Stepper<'a> {
    /// Tables and layout.
    pub frame: &'a Frame,
    /// Noising and loss.
    pub noise: &'a LatentNoise,
    /// Where the tensors are.
    pub device: &'a Device,
    /// Parts a batch is cut into (1 on a GPU).
    pub shards: usize,
    /// Threads for the parts.
    pub workers: &'a Workers,
}

impl Stepper<'_> {
    /// Gradient of the mean loss over `step` at `parameters`.
    pub fn gradients(&self, batches: &Batches, step: &Step, parameters: &[Tensor<1>]) -> Gradients {
        let count = step.samples.len();
        let shards = self.shards.clamp(1, count);
        let part = |i: usize| {
            let samples = &step.samples[count * i / shards..count * (i + 1) / shards];
            let batch = batches.assemble(step.epoch, samples, self.device);
            // Own leaves for every part: graphs that share no node run without waiting for each other.
            let leaves: Vec<Tensor<1>> = parameters.iter().map(|p| p.clone().autodiff().require_grad()).collect();
            let losses = self.noise.losses(&self.frame.build(&leaves), &batch);
            let mut gradients = losses.clone().sum().div_scalar(count as f64).backward();
            let gradients: Vec<Tensor<1>> = leaves
                .iter()
                .map(|leaf| leaf.grad_remove(&mut gradients).unwrap_or_else(|| leaf.clone().inner().zeros_like()))
                .collect();
            let losses: Vec<f32> = losses.inner().into_data().iter::<f32>().collect();
            (gradients, losses.into_iter().zip(batch.t).collect::<Vec<_>>())
        };
        let mut sum: Option<Vec<Tensor<1>>> = None;
        let mut all = Vec::with_capacity(count);
        let take = |_, (gradients, losses): (Vec<Tensor<1>>, Vec<(f32, u32)>)| {
            all.extend(losses);
            sum = Some(match sum.take() {
                None => gradients,
                Some(sum) => sum.into_iter().zip(gradients).map(|(a, b)| a + b).collect(),
            });
        };
        self.workers.for_each_in_order(shards, part, take);
        Gradients { gradients: sum.unwrap_or_default(), losses: all }
    }
}
