//! Gradients of a batch: forward and backward on its parts, added in part order.

use super::workers::Workers;
use burn::tensor::Tensor;
use std::ops::Range;

/// Gradients and losses of one batch.
#[derive(Debug)]
pub struct Gradients {
    /// Mean gradient over the batch, one flat tensor per parameter.
    pub gradients: Vec<Tensor<1>>,
    /// Loss of every picture, in batch order.
    pub losses: Vec<f32>,
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
        let leaves: Vec<Tensor<1>> = parameters.iter().map(|p| p.clone().autodiff().require_grad()).collect();
        let losses = losses(count * i / shards..count * (i + 1) / shards, &leaves);
        let mut gradients = losses.clone().sum().div_scalar(count as f64).backward();
        let gradients: Vec<Tensor<1>> = leaves
            .into_iter()
            .map(|leaf| leaf.grad_remove(&mut gradients).unwrap_or_else(|| leaf.inner().zeros_like()))
            .collect();
        (gradients, losses.inner().into_data().iter::<f32>().collect::<Vec<f32>>())
    };
    let mut sum: Option<Vec<Tensor<1>>> = None;
    let mut all = Vec::with_capacity(count);
    workers.for_each_in_order(shards, part, |_, (gradients, losses)| {
        all.extend(losses);
        sum = Some(match sum.take() {
            None => gradients,
            Some(sum) => sum.into_iter().zip(gradients).map(|(a, b)| a + b).collect(),
        });
    });
    Gradients { gradients: sum.unwrap_or_default(), losses: all }
}
