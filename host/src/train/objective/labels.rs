//! The same encoder trained with labels, the yardstick of METHOD.md section 4: a linear classifier on the token average at the
//! time step of the embedding, on clean pictures; cross-entropy, all weights trained together.

use super::Objective;
use crate::model::block::{cross_entropy, one_hot};
use crate::model::net::Net;
use crate::train::batch::Batches;
use burn::tensor::Tensor;

impl Objective {
    /// Cross-entropy of each picture, [b].
    pub(super) fn label_losses(&self, net: &Net, batches: &Batches, epoch: u32, samples: &[u32]) -> Tensor<1> {
        let logits = net.layers()[0].forward(self.pooled(net, batches.clean(epoch, samples, &self.device)));
        let labels = batches.labels(samples).into_iter().map(usize::from);
        let targets = one_hot(logits.dims()[1], labels, &self.device);
        cross_entropy(logits, targets)
    }
}
