//! Gradients of a batch: forward and backward on its parts, added in part order.

use super::workers::Workers;
use burn::tensor::Tensor;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Gradients and losses of one batch.
#[derive(Debug)]
pub struct Gradients {
    /// Mean gradient over the batch, one flat tensor per parameter.
    pub gradients: Vec<Tensor<1>>,
    /// Loss of every picture, in batch order.
    pub losses: Vec<f32>,
    /// Time spent computing the losses and their gradients, summed over the workers.
    pub spent: Spent,
}

/// Where a step's time goes, summed over the workers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Computing losses, batches included.
    pub forward: Duration,
    /// Gradients, and adding those of the parts.
    pub backward: Duration,
}

/// Gradient of the mean of `losses` over 0..`count` at `parameters`, in `shards` parts.
///
/// `losses` computes the losses `[B]` of a range of the batch from its own leaves. Every part has leaves of its own: graphs
/// that share no node run without waiting for each other. The result depends on `shards`, not on the number of workers.
pub fn mean_gradients(
    workers: &Workers,
    shards: usize,
    count: usize,
    parameters: &[Tensor<1>],
    losses: impl Fn(Range<usize>, &[Tensor<1>]) -> Tensor<1> + Sync,
) -> Gradients {
    let shards = shards.clamp(1, count);
    let part = |i: usize| {
        let start = Instant::now();
        let leaves: Vec<Tensor<1>> = parameters.iter().map(|p| p.clone().autodiff().require_grad()).collect();
        let losses = losses(count * i / shards..count * (i + 1) / shards, &leaves);
        let forward = start.elapsed();
        let mut gradients = losses.clone().sum().div_scalar(count as f64).backward();
        let gradients: Vec<Tensor<1>> = leaves
            .into_iter()
            .map(|leaf| leaf.grad_remove(&mut gradients).unwrap_or_else(|| leaf.inner().zeros_like()))
            .collect();
        let losses = losses.inner().into_data().iter::<f32>().collect::<Vec<f32>>();
        (gradients, losses, Spent { forward, backward: start.elapsed() - forward })
    };
    let mut sum: Option<Vec<Tensor<1>>> = None;
    let mut all = Vec::with_capacity(count);
    let mut spent = Spent::default();
    workers.for_each_in_order(shards, part, |_, (gradients, losses, part)| {
        let start = Instant::now();
        all.extend(losses);
        sum = Some(match sum.take() {
            None => gradients,
            Some(sum) => sum.into_iter().zip(gradients).map(|(a, b)| a + b).collect(),
        });
        spent.forward += part.forward;
        spent.backward += part.backward + start.elapsed();
    });
    Gradients { gradients: sum.unwrap_or_default(), losses: all, spent }
}
