//! The same encoder trained with labels, the yardstick of METHOD.md section 4: a linear classifier on the token average at the
//! time step of the embedding, on clean pictures; cross-entropy, all weights trained together.

use super::Objective;
use crate::model::net::Net;
use crate::train::batch::Batches;
use burn::tensor::{Tensor, TensorData, activation};

impl Objective {
    /// Cross-entropy of each picture, [b].
    pub(super) fn label_losses(&self, net: &Net, batches: &Batches, epoch: u32, samples: &[u32]) -> Tensor<1> {
        let logits = net.layers()[0].forward(self.pooled(net, batches.clean(epoch, samples, &self.device)));
        let [b, classes] = logits.dims();
        let mut target = vec![0f32; b * classes];
        batches
            .labels(samples)
            .iter()
            .enumerate()
            .for_each(|(i, &label)| target[i * classes + usize::from(label)] = 1.0);
        let target = Tensor::<2>::from_data(TensorData::new(target, [b, classes]), &self.device);
        (activation::log_softmax(logits, 1) * target).sum_dim(1).reshape([b]).neg()
    }
}
