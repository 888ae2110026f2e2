//! From pictures to the numbers of one training step.
//!
//! Every value is a pure function of seed, epoch and sample: augmentation, time step (uniform on 1..=T) and latent noise
//! come from Philox streams keyed by them, the order from [`crate::data::order`]. An epoch drops its last
//! partial batch, so that all steps have one shape.

use super::device_noise;
use super::feed::{Ahead, Feed, Wanted, patchify};
use crate::data::{Augment, Split, order, permutation};
use crate::model::is_cpu;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream, schedule};
use ldae_shared::patch::{PatchGrid, pixel_value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Cuts a split into batches.
#[derive(Debug)]
pub struct Batches<'a> {
    split: &'a Split,
    batch: usize,
    seed: u64,
    feed: Arc<Feed>,
    /// Where the next step's values are made while this one is computed.
    ahead: Option<Ahead>,
    /// Whether the device makes the noise itself.
    noise_on_device: bool,
    /// Order of one epoch, kept while that epoch lasts.
    order: (u32, Vec<u32>),
    /// Nanoseconds spent on pictures and noise, summed over the threads.
    spent: AtomicU64,
}

/// The samples of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        let feed = Arc::new(Feed { split: split.clone(), grid, rank, augment, seed });
        Batches {
            split,
            batch: batch.min(split.len()),
            seed,
            feed,
            ahead: None,
            noise_on_device: false,
            order,
            spent: AtomicU64::new(0),
        }
    }

    /// Makes pictures on all cores, and those of the next step while this one is computed: for training on a GPU, which makes the
    /// noise itself. On a CPU the training threads make what their part of the batch needs. The values are the same, those of the noise
    /// but for rounding.
    #[must_use]
    pub fn ahead_of(mut self, device: &Device) -> Self {
        if !is_cpu(device) {
            // A device that computes other values gets the host's.
            self.ahead = Some(Ahead::new(Arc::clone(&self.feed), device, takes_bytes(device)));
            self.noise_on_device = device_noise::check(device).is_ok();
        }
        self
    }

    /// Where the noise is made, if not by the threads that train.
    pub fn noise_is_made_on_device(&self) -> Option<bool> {
        self.ahead.as_ref().map(|_| self.noise_on_device)
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
        let now = self.samples(step);
        if self.ahead.is_some() {
            let next = self.samples(step + 1);
            if let Some(ahead) = &self.ahead {
                ahead.begin(&now, next);
            }
        }
        now
    }

    fn samples(&mut self, step: u64) -> Step {
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
        self.view(epoch, samples, 0, device)
    }

    /// [`Batches::clean`] as one of several independently augmented views; view 0 is the one that `clean` gives.
    pub fn view(&self, epoch: u32, samples: &[u32], view: u32, device: &Device) -> Tensor<3> {
        self.values(Wanted::View(view), epoch, samples, device)
    }

    /// Standard normal latent noise [B, N, K] of some samples of an epoch.
    pub fn noise(&self, epoch: u32, samples: &[u32], device: &Device) -> Tensor<3> {
        if self.noise_on_device {
            let shape = self.feed.shape(Wanted::Noise);
            return self.timed(|| device_noise::latent_noise(self.seed, epoch, samples, shape, device));
        }
        self.values(Wanted::Noise, epoch, samples, device)
    }

    fn values(&self, wanted: Wanted, epoch: u32, samples: &[u32], device: &Device) -> Tensor<3> {
        self.timed(|| match &self.ahead {
            Some(ahead) => upload(ahead.values(wanted, epoch, samples), device),
            None => upload(self.feed.values(wanted, epoch, samples), device),
        })
    }

    /// What the cores do for a GPU that trains: augmented patches of some samples as bytes, [b, N, P].
    pub fn for_gpu(&self, epoch: u32, samples: &[u32]) -> TensorData {
        self.feed.for_gpu(Wanted::View(0), epoch, samples, true)
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

/// Values of -1 to 1 from bytes (as `ldae_shared::patch::pixel_value`, on the device), other values as they are.
fn upload(data: TensorData, device: &Device) -> Tensor<3> {
    if data.dtype() != DType::U8 {
        return Tensor::from_data(data, device);
    }
    let bytes = Tensor::<3, Int>::from_data(data, (device, DType::U8));
    bytes.float().sub_scalar(127.5).div_scalar(127.5)
}

/// Whether a device makes the right values of bytes.
fn takes_bytes(device: &Device) -> bool {
    let bytes: Vec<u8> = (0..=255).collect();
    let values = || upload(TensorData::new(bytes.clone(), [1, 16, 16]), device).try_into_data();
    let values = std::panic::catch_unwind(std::panic::AssertUnwindSafe(values)).ok().and_then(|data| data.ok());
    let values = values.and_then(|data| data.try_to_vec::<f32>().ok());
    // Its division may round differently.
    let close = |(value, byte): (&f32, &u8)| (value - pixel_value(*byte)).abs() < 1e-6;
    values.is_some_and(|values| values.iter().zip(&bytes).all(close))
}

/// Clean patches [B, N, P] of whole pictures (u8 HWC), without augmentation.
///
/// # Panics
/// When a picture has another size.
pub fn patches(grid: PatchGrid, pictures: &[&[u8]], device: &Device) -> Tensor<3> {
    let mut patches = vec![0f32; pictures.len() * grid.pixels()];
    for (picture, target) in pictures.iter().zip(patches.chunks_exact_mut(grid.pixels())) {
        assert_eq!(picture.len(), grid.pixels(), "pictures of the grid's size");
        patchify(grid, picture, target);
    }
    let shape = [pictures.len(), grid.tokens(), grid.patch_values()];
    Tensor::from_data(TensorData::new(patches, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_the_values_of_the_host() {
        let bytes: Vec<u8> = (0..=255).collect();
        let device = Device::flex();
        let uploaded = upload(TensorData::new(bytes.clone(), [2, 8, 16]), &device).into_data();
        let expected: Vec<f32> = bytes.into_iter().map(pixel_value).collect();
        assert_eq!(uploaded.try_to_vec::<f32>().unwrap(), expected);
    }

    #[test]
    fn a_gpu_gets_what_a_cpu_gets() {
        let pixels = (0..12 * 8 * 8 * 3u32).map(|i| (i * i % 251) as u8).collect();
        let split = Split::from_memory(pixels, 8, 3, None);
        let (grid, device) = (PatchGrid::new(8, 4, 3).unwrap(), Device::flex());
        let batches = || Batches::new(&split, grid, 5, 4, Augment::CropColour, 9);
        let (mut cpu, mut gpu) = (batches(), batches());
        // What `ahead_of` does for a GPU; tensors are on the CPU here all the same.
        assert!(takes_bytes(&device));
        gpu.ahead = Some(Ahead::new(Arc::clone(&gpu.feed), &device, true));
        gpu.noise_on_device = true;
        for step in 0..5 {
            let samples = cpu.step(step);
            assert_eq!(samples, gpu.step(step));
            let (epoch, samples) = (samples.epoch, &samples.samples);
            let values = |t: Tensor<3>| t.into_data().try_to_vec::<f32>().unwrap();
            for view in 0..2 {
                let [a, b] = [&cpu, &gpu].map(|batches| values(batches.view(epoch, samples, view, &device)));
                assert_eq!(a, b);
            }
            let [a, b] = [&cpu, &gpu].map(|batches| values(batches.noise(epoch, samples, &device)));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 2e-6));
        }
    }
}
