//! Masked autoencoder (He et al., "Masked autoencoders are scalable vision learners", arXiv 2111.06377): the encoder sees a
//! quarter of the tokens, the decoder predicts the patches of the others, each normalised by its own mean and deviation.

use super::Objective;
use crate::model::net::Net;
use crate::train::batch::Batches;
use burn::tensor::{Int, Tensor, TensorData};

/// Guards the division by a patch's variance (the paper's code).
const EPSILON: f64 = 1e-6;

impl Objective {
    /// Loss of each picture, [b]: mean over the values of its hidden patches.
    pub(super) fn masked_losses(
        &self,
        net: &Net,
        ratio: f64,
        batches: &Batches,
        epoch: u32,
        samples: &[u32],
    ) -> Tensor<1> {
        let clean = batches.clean(epoch, samples, &self.device);
        let [b, n, p] = clean.dims();
        let visible = visible(n, ratio);
        let orders: Vec<Vec<u32>> = samples.iter().map(|&sample| batches.token_order(epoch, sample, n)).collect();
        let indices = |values: Vec<i64>| {
            let count = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [count]), &self.device)
        };
        let seen = |base: bool| {
            let rows = orders.iter().enumerate().flat_map(|(i, order)| {
                order[..visible].iter().map(move |&token| (if base { i * n } else { 0 }) as i64 + i64::from(token))
            });
            indices(rows.collect())
        };
        let input = self.encoder_input(clean.clone());
        let width = input.dims()[2];
        let input = input.reshape([b * n, width]).select(0, seen(true)).reshape([b, visible, width]);
        let condition = net.condition(Net::time_table(&vec![self.t; b], &self.device), None);
        let tokens = net.encode_some(input, seen(false), &condition);
        let mut places = vec![0i64; b * n];
        let mut hidden = vec![0f32; b * n];
        for (i, order) in orders.iter().enumerate() {
            for (place, &token) in order.iter().enumerate() {
                places[i * n + token as usize] = (i * n + place) as i64;
                hidden[i * n + token as usize] = if place < visible { 0.0 } else { 1.0 / ((n - visible) * p) as f32 };
            }
        }
        let predicted = net.decode_masked(tokens, indices(places), &condition);
        let centred = clean.clone() - clean.mean_dim(2);
        let target = centred.clone() / centred.square().mean_dim(2).add_scalar(EPSILON).sqrt();
        let hidden = Tensor::<3>::from_data(TensorData::new(hidden, [b, n, 1]), &self.device);
        ((predicted - target).square() * hidden).reshape([b, n * p]).sum_dim(1).reshape([b])
    }
}

/// Tokens of n that the encoder sees: at least one, and at least one not.
pub(super) fn visible(n: usize, ratio: f64) -> usize {
    ((n as f64 * (1.0 - ratio)).round() as usize).clamp(1, n.max(2) - 1)
}
