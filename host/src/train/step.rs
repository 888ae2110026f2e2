//! Gradients of a batch: forward and backward on its parts, added in part order.

use super::workers::Workers;
use burn::tensor::{GradientCheckpointingStrategy, Tensor};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Gradients and losses of one batch.
#[derive(Debug)]
pub struct Gradients {
    /// Mean gradient over the batch, one flat tensor per parameter.
    pub gradients: Vec<Tensor<1>>,
    /// Loss of every picture, in batch order; still on the device, so that nothing has to wait for it.
    pub losses: Tensor<1>,
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

/// How a batch is cut and its graph kept.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Number of parts; the workers take them as they come.
    pub count: usize,
    /// Compute activations that are cheap again for the gradients (Burn's balanced gradient checkpointing).
    pub recompute: bool,
}

/// Gradient of the mean of `losses` over 0..`count` at `parameters`, in `parts`.
///
/// `losses` computes the losses `[B]` of a range of the batch from its own leaves. Every part has leaves of its own: graphs
/// that share no node run without waiting for each other. The result depends on the number of parts, not on the number of workers.
pub fn mean_gradients(
    workers: &Workers,
    parts: Parts,
    count: usize,
    parameters: &[Tensor<1>],
    losses: impl Fn(Range<usize>, &[Tensor<1>]) -> Tensor<1> + Sync,
) -> Gradients {
    let shards = parts.count.clamp(1, count);
    let leaf = |parameter: &Tensor<1>| {
        let leaf = parameter.clone().autodiff();
        if !parts.recompute {
            return leaf.require_grad();
        }
        leaf.with_gradient_checkpointing_strategy(GradientCheckpointingStrategy::Balanced).require_grad()
    };
    let part = |i: usize| {
        let start = Instant::now();
        let leaves: Vec<Tensor<1>> = parameters.iter().map(leaf).collect();
        let losses = losses(count * i / shards..count * (i + 1) / shards, &leaves);
        let forward = start.elapsed();
        let mut gradients = losses.clone().sum().div_scalar(count as f64).backward();
        let gradients: Vec<Tensor<1>> = leaves
            .into_iter()
            .map(|leaf| leaf.grad_remove(&mut gradients).unwrap_or_else(|| leaf.inner().zeros_like()))
            .collect();
        (gradients, losses.inner(), Spent { forward, backward: start.elapsed() - forward })
    };
    let mut sum: Option<Vec<Tensor<1>>> = None;
    let mut all = Vec::with_capacity(shards);
    let mut spent = Spent::default();
    workers.for_each_in_order(shards, part, |_, (gradients, losses, part)| {
        let start = Instant::now();
        all.push(losses);
        sum = Some(match sum.take() {
            None => gradients,
            Some(sum) => sum.into_iter().zip(gradients).map(|(a, b)| a + b).collect(),
        });
        spent.forward += part.forward;
        spent.backward += part.backward + start.elapsed();
    });
    Gradients { gradients: sum.unwrap_or_default(), losses: Tensor::cat(all, 0), spent }
}
