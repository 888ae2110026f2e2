//! From pictures to the numbers of one training step, on the CPU.
//!
//! Every value is a pure function of seed, epoch and sample: augmentation, time step (uniform on 1..=T) and latent noise
//! come from Philox streams keyed by them, the order from [`crate::data::order`]. An epoch drops its last
//! partial batch, so that all steps have one shape.

use crate::data::{Augment, Split, augment, order, permutation};
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream, schedule};
use ldae_shared::patch::{PatchGrid, pixel_value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

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
    /// Nanoseconds spent on pictures and noise, summed over the threads.
    spent: AtomicU64,
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
        Batches { split, grid, rank, batch: batch.min(split.len()), augment, seed, order, spent: AtomicU64::new(0) }
    }

    /// Seconds spent on pictures and noise so far, summed over the threads.
    pub fn seconds(&self) -> f64 {
        self.spent.load(Ordering::Relaxed) as f64 / 1e9
    }

    fn timed<R>(&self, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        self.spent.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        result
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
        self.timed(|| {
            let mut bytes = vec![0u8; samples.len() * self.grid.pixels()];
            for (&sample, picture) in samples.iter().zip(bytes.chunks_exact_mut(self.grid.pixels())) {
                let image = self.split.image(sample as usize);
                augment(image, side, channels, self.augment, self.seed, epoch, sample, picture);
            }
            patches(self.grid, &bytes.chunks_exact(self.grid.pixels()).collect::<Vec<_>>(), device)
        })
    }

    /// Patches [B, N, P] of one of two differently augmented views of some samples of an epoch.
    pub fn view(&self, epoch: u32, samples: &[u32], view: u32, device: &Device) -> Tensor<3> {
        // Views are augmented like two pictures of different epochs.
        self.clean(2 * epoch + view, samples, device)
    }

    /// Standard normal latent noise [B, N, K] of some samples of an epoch.
    pub fn noise(&self, epoch: u32, samples: &[u32], device: &Device) -> Tensor<3> {
        let values = self.grid.tokens() * self.rank;
        self.timed(|| {
            let mut noise = vec![0f32; samples.len() * values];
            for (&sample, noise) in samples.iter().zip(noise.chunks_exact_mut(values)) {
                Stream::new(self.seed, Purpose::Latent, epoch, sample).fill_gaussian(noise);
            }
            Tensor::from_data(TensorData::new(noise, [samples.len(), self.grid.tokens(), self.rank]), device)
        })
    }

    /// Two numbers uniform on [0, 1) for what happens to a share of the samples; they follow the time step in its stream.
    pub fn chance(&self, epoch: u32, sample: u32) -> [f32; 2] {
        let mut stream = Stream::new(self.seed, Purpose::TimeStep, epoch, sample);
        stream.below(schedule::STEPS);
        [stream.uniform(), stream.uniform()]
    }

    /// A random order of n tokens.
    pub fn token_order(&self, epoch: u32, sample: u32, n: usize) -> Vec<u32> {
        permutation(Stream::new(self.seed, Purpose::Mask, epoch, sample), n)
    }

    /// Labels of some samples; 0 where there are none ([`TrainConfig::check_dataset`](super::TrainConfig::check_dataset) refuses
    /// recipes that would read them).
    pub fn labels(&self, samples: &[u32]) -> Vec<u16> {
        let labels = self.split.labels();
        samples.iter().map(|&s| labels.and_then(|l| l.get(s as usize)).copied().unwrap_or_default()).collect()
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
