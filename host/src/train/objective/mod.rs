//! What a recipe minimises, on one device: the loss of every picture of a step, and the tokens that its encoder embeds.
//!
//! Losses of a part of a batch depend on that part and on what [`Objective::shared`] computed for the whole batch, never on the
//! other parts, so that parts run on any number of cores and processes.

mod contrastive;
mod denoise;
mod labels;
mod masked;
#[cfg(test)]
mod pytorch;
#[cfg(test)]
mod tests;

pub use denoise::{Denoising, Sample};

use super::batch::{Batches, Step};
use super::checkpoint::Checkpoint;
use super::optimiser::State;
use super::workers::Workers;
use crate::Result;
use crate::model::net::{Frame, Net};
use crate::recipe::{Method, Recipe};
use crate::tokenizer::LatentSpace;
use burn::tensor::{Device, Tensor};
use std::ops::Range;

/// A recipe on a device.
#[derive(Clone, Debug)]
pub struct Objective {
    frame: Frame,
    kind: Kind,
    space: LatentSpace,
    /// Time step at which the encoder embeds.
    t: u32,
    device: Device,
}

#[derive(Clone, Debug)]
enum Kind {
    Denoise(Box<Denoising>),
    Masked { ratio: f64 },
    Contrastive { temperature: f64 },
    Labels,
}

/// What the parts of one step share.
#[derive(Clone, Debug)]
pub enum Shared {
    /// Nothing.
    Nothing,
    /// Keys [B, E] of the two views, from the momentum encoder.
    Keys(Box<[Tensor<2>; 2]>),
}

impl Objective {
    /// `residual_weight` is w_i beyond the kept directions (target `image`); `t` the time step of the embedding.
    pub fn new(
        recipe: &Recipe,
        frame: Frame,
        space: LatentSpace,
        residual_weight: f32,
        t: u32,
        device: &Device,
    ) -> Self {
        let kind = match &recipe.method {
            Method::Denoise(parts) => {
                Kind::Denoise(Box::new(Denoising::new(parts, space.clone(), residual_weight, frame.spec().classes)))
            }
            Method::Masked(parts) => Kind::Masked { ratio: parts.mask_ratio },
            Method::Contrastive(parts) => Kind::Contrastive { temperature: parts.temperature },
            Method::Labels(_) => Kind::Labels,
        };
        Objective { frame, kind, space, t, device: device.clone() }
    }

    /// The objective of a checkpoint's run.
    ///
    /// # Errors
    /// Its tokenizer is not the one that its recipe names.
    pub fn of(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = &checkpoint.header.config;
        let (frame, space) = (Frame::new(*checkpoint.spec(), device), checkpoint.tokenizer()?.on(device));
        let (weight, t) = (config.optimiser.residual_weight as f32, config.schedule.t_embed);
        Ok(Self::new(&config.recipe, frame, space, weight, t, device))
    }

    /// Shape and tables.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The denoiser, of recipes that denoise.
    pub fn denoising(&self) -> Option<&Denoising> {
        match &self.kind {
            Kind::Denoise(denoising) => Some(denoising),
            _ => None,
        }
    }

    /// Noise level of each picture of a step; recipes without noise have none.
    pub fn time_steps(&self, batches: &Batches, epoch: u32, samples: &[u32]) -> Option<Vec<u32>> {
        self.denoising().map(|d| d.time_steps(batches, epoch, samples))
    }

    /// Computes what all parts of a step need, with the moving average of the weights.
    pub fn shared(&self, workers: &Workers, shards: usize, state: &State, batches: &Batches, step: &Step) -> Shared {
        match self.kind {
            Kind::Contrastive { .. } => Shared::Keys(Box::new(self.keys(workers, shards, state, batches, step))),
            _ => Shared::Nothing,
        }
    }

    /// Loss of each picture `range` of a step, `[b]`, at `leaves`.
    pub fn losses(
        &self,
        leaves: &[Tensor<1>],
        shared: &Shared,
        batches: &Batches,
        step: &Step,
        range: Range<usize>,
    ) -> Tensor<1> {
        let net = self.frame.build(leaves);
        let samples = &step.samples[range.clone()];
        match (&self.kind, shared) {
            (Kind::Denoise(denoising), _) => {
                denoising.losses(&net, &denoising.sample(batches, step.epoch, samples, &self.device))
            }
            (Kind::Masked { ratio }, _) => self.masked_losses(&net, *ratio, batches, step.epoch, samples),
            (Kind::Contrastive { temperature }, Shared::Keys(keys)) => {
                self.contrastive_losses(&net, *temperature, keys, batches, step, range)
            }
            (Kind::Contrastive { .. }, Shared::Nothing) => unreachable!("`shared` makes the keys"),
            (Kind::Labels, _) => self.label_losses(&net, batches, step.epoch, samples),
        }
    }

    /// What the encoder reads of clean patches [B, N, P] at the time step of the embedding.
    fn encoder_input(&self, patches: Tensor<3>) -> Tensor<3> {
        match &self.kind {
            Kind::Denoise(denoising) => denoising.clean_input(patches, self.t),
            // The other recipes see pictures through the front end that the exported encoder has.
            _ => self.space.decode(self.space.encode(patches)),
        }
    }

    /// Encoder output [B, N, W] of clean patches [B, N, P] at the time step of the embedding.
    pub fn tokens(&self, net: &Net, patches: Tensor<3>) -> Tensor<3> {
        let b = patches.dims()[0];
        let condition = net.condition(Net::time_table(&vec![self.t; b], &self.device), None);
        net.encode(self.encoder_input(patches), &condition)
    }

    /// Mean token of each picture, [B, W].
    fn pooled(&self, net: &Net, patches: Tensor<3>) -> Tensor<2> {
        let tokens = self.tokens(net, patches);
        let [b, _, w] = tokens.dims();
        tokens.mean_dim(1).reshape([b, w])
    }
}
