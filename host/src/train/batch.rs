//! From pictures to the numbers of one training step, on the CPU.
//!
//! Every value is a pure function of seed, epoch and sample: augmentation, time step (uniform on 1..=T) and latent noise
//! come from Philox streams keyed by them, the order from [`crate::data::order`]. An epoch drops its last
//! partial batch, so that all steps have one shape.

use super::loss::Batch;
use crate::data::{Augment, Split, augment, order};
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream, schedule};
use ldae_shared::patch::{PatchGrid, pixel_value};

/// Cuts a split into batches.
#[derive(Debug)]
pub struct Batches<'a> {
    split: &'a Split,
    grid: PatchGrid,
    rank: usize,
    batch: usize,
    augment: Augment,
    seed: u64,
    /// Order of one epoch, kept while that epoch lasts.
    order: (u32, Vec<u32>),
}

/// The samples of one step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Epoch, from 0.
    pub epoch: u32,
    /// Positions in the split.
    pub samples: Vec<u32>,
}

impl<'a> Batches<'a> {
    /// `batch` pictures a step, at most the whole split.
    pub fn new(split: &'a Split, grid: PatchGrid, rank: usize, batch: usize, augment: Augment, seed: u64) -> Self {
        let order = (0, order(seed, 0, split.len()));
        Batches { split, grid, rank, batch: batch.min(split.len()), augment, seed, order }
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.split.len() / self.batch) as u64
    }

    /// The samples of step `step`, counted from 0 over all epochs.
    pub fn step(&mut self, step: u64) -> Step {
        let epoch = (step / self.steps_per_epoch()) as u32;
        if self.order.0 != epoch {
            self.order = (epoch, order(self.seed, epoch, self.split.len()));
        }
        let start = (step % self.steps_per_epoch()) as usize * self.batch;
        Step { epoch, samples: self.order.1[start..start + self.batch].to_vec() }
    }

    /// Time step of a sample, uniform on 1..=T.
    fn time_step(&self, epoch: u32, sample: u32) -> u32 {
        1 + Stream::new(self.seed, Purpose::TimeStep, epoch, sample).below(schedule::STEPS)
    }

    /// Time steps of some samples of an epoch.
    pub fn time_steps(&self, epoch: u32, samples: &[u32]) -> Vec<u32> {
        samples.iter().map(|&sample| self.time_step(epoch, sample)).collect()
    }

    /// Clean, augmented patches [B, N, P] of some samples of an epoch.
    pub fn clean(&self, epoch: u32, samples: &[u32], device: &Device) -> Tensor<3> {
        let (side, channels) = (self.split.side(), self.split.channels());
        let mut bytes = vec![0u8; samples.len() * self.grid.pixels()];
        for (&sample, picture) in samples.iter().zip(bytes.chunks_exact_mut(self.grid.pixels())) {
            let image = self.split.image(sample as usize);
            augment(image, side, channels, self.augment, self.seed, epoch, sample, picture);
        }
        patches(self.grid, &bytes.chunks_exact(self.grid.pixels()).collect::<Vec<_>>(), device)
    }

    /// Everything the loss needs of some samples of an epoch.
    pub fn assemble(&self, epoch: u32, samples: &[u32], device: &Device) -> Batch {
        let values = self.grid.tokens() * self.rank;
        let mut noise = vec![0f32; samples.len() * values];
        for (&sample, noise) in samples.iter().zip(noise.chunks_exact_mut(values)) {
            Stream::new(self.seed, Purpose::Latent, epoch, sample).fill_gaussian(noise);
        }
        let shape = [samples.len(), self.grid.tokens(), self.rank];
        Batch {
            clean: self.clean(epoch, samples, device),
            noise: Tensor::from_data(TensorData::new(noise, shape), device),
            t: self.time_steps(epoch, samples),
        }
    }
}

/// Clean patches [B, N, P] of whole pictures (u8 HWC), without augmentation.
///
/// # Panics
/// When a picture has another size.
pub fn patches(grid: PatchGrid, pictures: &[&[u8]], device: &Device) -> Tensor<3> {
    let mut patches = vec![0f32; pictures.len() * grid.pixels()];
    let mut values = vec![0f32; grid.pixels()];
    for (picture, target) in pictures.iter().zip(patches.chunks_exact_mut(grid.pixels())) {
        assert_eq!(picture.len(), values.len(), "pictures of the grid's size");
        values.iter_mut().zip(*picture).for_each(|(value, &byte)| *value = pixel_value(byte));
        grid.patchify(&values, target);
    }
    let shape = [pictures.len(), grid.tokens(), grid.patch_values()];
    Tensor::from_data(TensorData::new(patches, shape), device)
}
