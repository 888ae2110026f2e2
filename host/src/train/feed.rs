//! Pictures and noise of a step as numbers, and those of the next step while a device computes this one.
//!
//! Every value is a pure function of seed, epoch and sample, so that it does not matter where or when it is made. A CPU that trains
//! has no core to spare: its threads make what their part of the batch needs. A GPU leaves the cores free: they make one step's
//! pictures together, and the next step's ahead of time ([`Ahead`]), as bytes (a quarter of the way to the GPU) in memory that it can
//! read while it computes; the noise is made there ([`super::device_noise`]).

use super::batch::Step;
use crate::data::{Augment, Split, augment};
use burn::tensor::{Device, TensorData};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::{PatchGrid, pixel_value};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a step asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Augmented patches [B, N, P], as one of several views.
    View(u32),
    /// Standard normal latent noise [B, N, K].
    Noise,
}

/// Makes the values of any samples.
#[derive(Debug)]
pub(super) struct Feed {
    pub split: Split,
    pub grid: PatchGrid,
    pub rank: usize,
    pub augment: Augment,
    pub seed: u64,
}

impl Feed {
    /// Rows and columns of one sample's values.
    pub fn shape(&self, wanted: Wanted) -> [usize; 2] {
        match wanted {
            Wanted::View(_) => [self.grid.tokens(), self.grid.patch_values()],
            Wanted::Noise => [self.grid.tokens(), self.rank],
        }
    }

    /// Bytes of one sample's augmented patches.
    fn write_bytes(&self, view: u32, epoch: u32, sample: u32, bytes: &mut [u8]) {
        let image = self.split.image(sample as usize);
        let (side, channels) = (self.split.side(), self.split.channels());
        let mut picture = vec![0u8; image.len()];
        augment(image, side, channels, self.augment, self.seed, epoch, sample, view, &mut picture);
        self.grid.patchify(&picture, bytes);
    }

    fn write(&self, wanted: Wanted, epoch: u32, sample: u32, values: &mut [f32]) {
        match wanted {
            Wanted::View(view) => {
                let mut bytes = vec![0u8; values.len()];
                self.write_bytes(view, epoch, sample, &mut bytes);
                values.iter_mut().zip(&bytes).for_each(|(value, &byte)| *value = pixel_value(byte));
            }
            Wanted::Noise => Stream::new(self.seed, Purpose::Latent, epoch, sample).fill_gaussian(values),
        }
    }

    /// Values of some samples, [b, rows, columns] in f32, made by the calling thread.
    pub fn values(&self, wanted: Wanted, epoch: u32, samples: &[u32]) -> TensorData {
        let size = self.size(wanted);
        let mut values = vec![0f32; samples.len() * size];
        let parts = samples.iter().zip(values.chunks_exact_mut(size));
        parts.for_each(|(&sample, values)| self.write(wanted, epoch, sample, values));
        TensorData::new(values, self.shape_of(wanted, samples))
    }

    /// The same for a GPU, made by all cores, and pictures `as_bytes`. Not for a thread of a pool: the work would stay in that pool.
    pub fn for_gpu(&self, wanted: Wanted, epoch: u32, samples: &[u32], as_bytes: bool) -> TensorData {
        let (size, shape) = (self.size(wanted), self.shape_of(wanted, samples));
        match wanted {
            Wanted::View(view) if as_bytes => {
                let mut bytes = vec![0u8; samples.len() * size];
                let parts = samples.par_iter().zip(bytes.par_chunks_exact_mut(size));
                parts.for_each(|(&sample, bytes)| self.write_bytes(view, epoch, sample, bytes));
                TensorData::new(bytes, shape)
            }
            _ => {
                let mut values = vec![0f32; samples.len() * size];
                let parts = samples.par_iter().zip(values.par_chunks_exact_mut(size));
                parts.for_each(|(&sample, values)| self.write(wanted, epoch, sample, values));
                TensorData::new(values, shape)
            }
        }
    }

    fn size(&self, wanted: Wanted) -> usize {
        self.shape(wanted).iter().product::<usize>().max(1)
    }

    fn shape_of(&self, wanted: Wanted, samples: &[u32]) -> [usize; 3] {
        let [rows, columns] = self.shape(wanted);
        [samples.len(), rows, columns]
    }
}

/// Patches [N, P] of one picture (u8 HWC).
///
/// # Panics
/// When the picture has another size.
pub(super) fn patchify(grid: PatchGrid, picture: &[u8], patches: &mut [f32]) {
    let mut bytes = vec![0u8; grid.pixels()];
    grid.patchify(picture, &mut bytes);
    patches.iter_mut().zip(&bytes).for_each(|(value, &byte)| *value = pixel_value(byte));
}

/// Values of some places in a step.
type Made = (Wanted, Range<usize>, TensorData);

/// Makes the values of the next step while this one is computed: for the places of the step that the last one asked for.
#[derive(Debug)]
pub(super) struct Ahead {
    feed: Arc<Feed>,
    /// Whose memory the values of the next step are put into, as far as it has any for that.
    device: Device,
    /// Whether it takes pictures as bytes.
    bytes: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Step>,
    /// What the current step has asked for so far.
    asked: Vec<(Wanted, Range<usize>)>,
    /// Values of the current step that were made before it began.
    ready: Vec<Made>,
    next: Option<(Step, JoinHandle<Vec<Made>>)>,
}

impl Ahead {
    pub fn new(feed: Arc<Feed>, device: &Device, bytes: bool) -> Self {
        Ahead { feed, device: device.clone(), bytes, state: Mutex::default() }
    }

    /// `step` begins, `next` will follow.
    pub fn begin(&self, step: &Step, next: Step) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = std::mem::take(&mut state.asked);
        state.ready = match state.next.take() {
            // A thread that panicked made nothing: the step then makes the values itself, and shows the panic.
            Some((made, thread)) if made == *step => thread.join().unwrap_or_default(),
            _ => Vec::new(),
        };
        state.current = Some(step.clone());
        if !asked.is_empty() {
            let (feed, step, device, bytes) = (Arc::clone(&self.feed), next.clone(), self.device.clone(), self.bytes);
            let make = move |(wanted, places): (Wanted, Range<usize>)| {
                let mut values = feed.for_gpu(wanted, step.epoch, &step.samples[places.clone()], bytes);
                device.staging(std::iter::once(&mut values));
                (wanted, places, values)
            };
            state.next = Some((next, std::thread::spawn(|| asked.into_iter().map(make).collect())));
        }
    }

    /// The values of samples that follow each other in the current step; of any others too, but never ahead of time.
    pub fn values(&self, wanted: Wanted, epoch: u32, samples: &[u32]) -> TensorData {
        self.take(wanted, epoch, samples).unwrap_or_else(|| {
            // A training thread is a pool of its own: a thread outside of it has the pool of all cores.
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| self.feed.for_gpu(wanted, epoch, samples, self.bytes));
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
    }

    fn take(&self, wanted: Wanted, epoch: u32, samples: &[u32]) -> Option<TensorData> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let step = state.current.as_ref().filter(|step| step.epoch == epoch)?;
        let start = step.samples.iter().position(|s| Some(s) == samples.first())?;
        let places = start..start + samples.len();
        if step.samples.get(places.clone())? != samples {
            return None;
        }
        state.asked.push((wanted, places.clone()));
        let found = state.ready.iter().position(|(w, p, _)| (*w, p) == (wanted, &places))?;
        Some(state.ready.swap_remove(found).2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batches;
    use super::*;

    fn feed() -> Arc<Feed> {
        let pixels = (0..20 * 16 * 16 * 3u32).map(|i| (i * i % 253) as u8).collect();
        let split = Split::from_memory(pixels, 16, 3, None);
        let grid = PatchGrid::new(16, 4, 3).unwrap();
        Arc::new(Feed { split, grid, rank: 5, augment: Augment::Crop, seed: 3 })
    }

    #[test]
    fn what_is_made_ahead_is_what_would_be_made() {
        let feed = feed();
        let ahead = Ahead::new(Arc::clone(&feed), &Device::flex(), true);
        let mut batches = Batches::new(&feed.split, feed.grid, feed.rank, 8, feed.augment, feed.seed);
        for step in 0..7 {
            let (now, next) = (batches.step(step), batches.step(step + 1));
            ahead.begin(&now, next);
            let made: usize = ahead.state.lock().unwrap().ready.len();
            assert_eq!(made, if step < 2 { 0 } else { 3 }, "the first step says what the third needs");
            for wanted in [Wanted::View(0), Wanted::View(1), Wanted::Noise] {
                let samples = &now.samples[2..7];
                assert_eq!(ahead.values(wanted, now.epoch, samples), feed.for_gpu(wanted, now.epoch, samples, true));
            }
            assert_eq!(ahead.state.lock().unwrap().ready.len(), 0, "all of it was used");
        }
    }

    #[test]
    fn other_samples_are_made_when_asked_for() {
        let feed = feed();
        let ahead = Ahead::new(Arc::clone(&feed), &Device::flex(), false);
        let step = Step { epoch: 1, samples: vec![4, 7, 1] };
        ahead.begin(&step, step.clone());
        for (epoch, samples) in [(0, &[4u32, 7][..]), (1, &[7, 4]), (1, &[9]), (1, &[1, 3])] {
            for wanted in [Wanted::Noise, Wanted::View(1)] {
                let expected = feed.values(wanted, epoch, samples);
                assert_eq!(ahead.values(wanted, epoch, samples), expected);
            }
        }
        assert!(ahead.state.lock().unwrap().asked.is_empty());
    }
}
