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

    /// The tensors of some samples of an epoch on `device`.
    pub fn assemble(&self, epoch: u32, samples: &[u32], device: &Device) -> Batch {
        let (n, p) = (self.grid.tokens(), self.grid.patch_values());
        let pixels = self.grid.pixels();
        let (mut clean, mut noise) = (vec![0f32; samples.len() * pixels], vec![0f32; samples.len() * n * self.rank]);
        let mut t = Vec::with_capacity(samples.len());
        let (mut bytes, mut values) = (vec![0u8; pixels], vec![0f32; pixels]);
        let targets = clean.chunks_exact_mut(pixels).zip(noise.chunks_exact_mut(n * self.rank));
        for (&sample, (clean, noise)) in samples.iter().zip(targets) {
            let image = self.split.image(sample as usize);
            let (side, channels) = (self.split.side(), self.split.channels());
            augment(image, side, channels, self.augment, self.seed, epoch, sample, &mut bytes);
            for (value, &byte) in values.iter_mut().zip(&bytes) {
                *value = pixel_value(byte);
            }
            self.grid.patchify(&values, clean);
            Stream::new(self.seed, Purpose::Latent, epoch, sample).fill_gaussian(noise);
            t.push(1 + Stream::new(self.seed, Purpose::TimeStep, epoch, sample).below(schedule::STEPS));
        }
        Batch {
            clean: Tensor::from_data(TensorData::new(clean, [samples.len(), n, p]), device),
            noise: Tensor::from_data(TensorData::new(noise, [samples.len(), n, self.rank]), device),
            t,
        }
    }
}

/// Clean patches [B, N, P] of whole pictures (u8 HWC), without augmentation.
///
/// # Panics
/// When a picture has another size.
pub fn pictures_to_patches(grid: PatchGrid, pictures: &[&[u8]]) -> Vec<f32> {
    let mut patches = vec![0f32; pictures.len() * grid.pixels()];
    for (picture, target) in pictures.iter().zip(patches.chunks_exact_mut(grid.pixels())) {
        let values: Vec<f32> = picture.iter().map(|&b| pixel_value(b)).collect();
        grid.patchify(&values, target);
    }
    patches
}
