//! MoCo v3 (Chen, Xie, He, "An empirical study of training self-supervised vision transformers", arXiv 2104.02057).
//!
//! Two views of each picture; queries from encoder, projector and predictor, keys from the moving averages of encoder and
//! projector; InfoNCE over the batch, both ways, times 2·tau. The momentum encoder is the moving average that every run keeps
//! (`--ema`, 0.99 here as in the paper), so it is also what is evaluated. The heads normalise each vector (LayerNorm) where the
//! paper has BatchNorm (reading: statistics of a batch would tie its parts together).

use super::Objective;
use crate::model::block::{Linear, cross_entropy, layer_norm, one_hot, unit_rows};
use crate::model::net::Net;
use crate::train::batch::{Batches, Step};
use crate::train::optimiser::State;
use crate::train::workers::Workers;
use burn::tensor::{Tensor, activation};
use std::ops::Range;

/// Layers of the projector; the predictor's are behind them.
const PROJECTOR: usize = 3;

/// Linear layers with LayerNorm and ReLU between them.
fn mlp(layers: &[Linear], mut x: Tensor<2>) -> Tensor<2> {
    for (i, layer) in layers.iter().enumerate() {
        if i > 0 {
            let [b, h] = x.dims();
            x = activation::relu(layer_norm(x.reshape([b, 1, h])).reshape([b, h]));
        }
        x = layer.forward(x);
    }
    x
}

impl Objective {
    /// Keys of both views of a step's pictures, without gradients.
    pub(super) fn keys(
        &self,
        workers: &Workers,
        shards: usize,
        state: &State,
        batches: &Batches,
        step: &Step,
    ) -> [Tensor<2>; 2] {
        let net = self.frame.build(&state.average);
        let count = step.samples.len();
        let shards = shards.clamp(1, count);
        let mut parts: [Vec<Tensor<2>>; 2] = [Vec::new(), Vec::new()];
        workers.for_each_in_order(
            shards,
            |i| {
                let samples = &step.samples[count * i / shards..count * (i + 1) / shards];
                [0, 1].map(|view| {
                    let patches = batches.view(step.epoch, samples, view, &self.device);
                    unit_rows(mlp(&net.layers()[..PROJECTOR], self.pooled(&net, patches)))
                })
            },
            |_, keys| keys.into_iter().zip(&mut parts).for_each(|(key, part)| part.push(key)),
        );
        parts.map(|part| Tensor::cat(part, 0))
    }

    /// Loss of each picture, [b].
    pub(super) fn contrastive_losses(
        &self,
        net: &Net,
        temperature: f64,
        keys: &[Tensor<2>; 2],
        batches: &Batches,
        step: &Step,
        range: Range<usize>,
    ) -> Tensor<1> {
        let own = one_hot(step.samples.len(), range.clone(), &self.device);
        let loss = |view: usize| {
            let patches = batches.view(step.epoch, &step.samples[range.clone()], view as u32, &self.device);
            let (projector, predictor) = net.layers().split_at(PROJECTOR);
            let query = unit_rows(mlp(predictor, mlp(projector, self.pooled(net, patches))));
            // [b, E] x [E, B]: similarity to the other view of every picture.
            let logits = query.matmul(keys[1 - view].clone().transpose()).div_scalar(temperature);
            cross_entropy(logits, own.clone())
        };
        (loss(0) + loss(1)).mul_scalar(2.0 * temperature)
    }
}
