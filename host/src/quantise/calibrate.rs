//! What the quantiser needs to know about activations: ranges, histograms and means over calibration pictures, from the
//! float reference. Two passes (ranges first, then histograms between them); the result does not depend on threads.

use super::FloatEncoder;
use super::histograms::Histograms;
use crate::cli::Output;
use crate::data::Split;
use crate::eval::pooling::pool;
use crate::{Error, Result};
use ldae_device::{BlockStage, TapId};
use ldae_shared::fixed::NormRange;
use ldae_shared::spec::EncoderSpec;
use rayon::prelude::*;

/// Fewer calibration pictures than this make ranges noisy (NUMERICS.md: error-minimising ranges need at least 512).
pub const MIN_PICTURES: usize = 512;
/// Pictures of one task: a fixed number, so that sums do not depend on the number of threads.
const CHUNK: usize = 16;

/// Stages whose mean output per channel the bias correction restores.
pub(super) const CORRECTED: [BlockStage; 6] =
    [BlockStage::Q, BlockStage::K, BlockStage::V, BlockStage::Proj, BlockStage::Fc1, BlockStage::Fc2];

/// Statistics of the float encoder over calibration pictures.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Pictures seen.
    pub pictures: usize,
    /// Clip of every latent component, [K].
    pub(super) latent_clips: Vec<f32>,
    /// Clip by tap index of the stages that a histogram gives one; for GELU the distance from `gelu_lowest`.
    clips: Vec<f32>,
    /// Range of GELU inputs of each block that loses least behind the GELU.
    pub(super) fc1_ranges: Vec<(f32, f32)>,
    /// Largest magnitude by tap index (stream and logits use it).
    largest: Vec<f32>,
    /// Lowest GELU output of each block.
    pub(super) gelu_lowest: Vec<f32>,
    /// Mean per output channel by tap index; empty for taps that need none.
    means: Vec<Vec<f64>>,
    /// Mean of every component of the pooled embedding.
    pub pooled_mean: Vec<f32>,
    /// Deviation of every component of the pooled embedding.
    pub pooled_deviation: Vec<f32>,
    depth: u16,
}

impl Statistics {
    pub(super) fn clip(&self, block: usize, stage: BlockStage) -> f64 {
        f64::from(self.clips[TapId::Block(block as u16, stage).index(self.depth)])
    }

    /// Range of a LayerNorm's codes: the error-minimising clip in whole sixteenths.
    pub(super) fn norm_range(&self, id: TapId) -> NormRange {
        let sixteenths = (16.0 * self.clips[id.index(self.depth)]).ceil().clamp(16.0, 255.0);
        NormRange::new(sixteenths as u8).unwrap_or(NormRange::FIVE)
    }

    pub(super) fn largest(&self, id: TapId) -> f64 {
        f64::from(self.largest[id.index(self.depth)])
    }

    pub(super) fn means(&self, id: TapId) -> &[f64] {
        &self.means[id.index(self.depth)]
    }
}

/// First output channel of a piece of a tap before which the picture gave `seen` values, and how many channels a row of
/// it has. Keys and values come head by head, [N, W/H] each, in pieces of any number of rows.
pub(super) fn channels(s: &EncoderSpec, id: TapId, seen: usize) -> (usize, usize) {
    let (w, dh) = (s.width as usize, s.head_width() as usize);
    match id {
        TapId::Latents => (0, s.rank as usize),
        TapId::Block(_, BlockStage::K | BlockStage::V) => (seen / (s.tokens() as usize * dh) * dh, dh),
        TapId::Block(_, BlockStage::Fc1 | BlockStage::Gelu) => (0, s.hidden() as usize),
        _ => (0, w),
    }
}

/// Channels of a whole tap.
pub(super) fn width_of(s: &EncoderSpec, id: TapId) -> usize {
    match channels(s, id, 0) {
        (_, _) if matches!(id, TapId::Block(_, BlockStage::K | BlockStage::V)) => s.width as usize,
        (_, width) => width,
    }
}

/// True for taps whose channel means are needed.
pub(super) fn is_corrected(id: TapId) -> bool {
    match id {
        TapId::Latents | TapId::Embed => true,
        TapId::Block(_, stage) => CORRECTED.contains(&stage),
        _ => false,
    }
}

/// Ranges and sums of some pictures.
pub(super) struct Ranges {
    pub(super) largest: Vec<f32>,
    pub(super) latents: Vec<f32>,
    pub(super) gelu_lowest: Vec<f32>,
    pub(super) fc1_lowest: Vec<f32>,
    sums: Vec<Vec<f64>>,
    squares: Vec<Vec<f64>>,
    pooled: Vec<f32>,
}

impl Ranges {
    fn of(encoder: &FloatEncoder, pictures: &[&[u8]]) -> Self {
        let s = &encoder.spec;
        let taps = s.taps();
        let mut r = Ranges {
            largest: vec![0.0; taps],
            latents: vec![0.0; s.rank as usize],
            gelu_lowest: vec![0.0; s.depth as usize],
            fc1_lowest: vec![0.0; s.depth as usize],
            sums: vec![Vec::new(); taps],
            squares: vec![Vec::new(); taps],
            pooled: Vec::new(),
        };
        for picture in pictures {
            let mut seen = vec![0usize; taps];
            let tokens = encoder.tokens_tapped(picture, &mut |id, data| {
                let index = id.index(s.depth);
                r.largest[index] = data.iter().fold(r.largest[index], |m, v| m.max(v.abs()));
                let (first, width) = channels(s, id, seen[index]);
                seen[index] += data.len();
                if id == TapId::Latents {
                    for row in data.chunks_exact(width) {
                        r.latents.iter_mut().zip(row).for_each(|(m, v)| *m = m.max(v.abs()));
                    }
                }
                let lowest = match id {
                    TapId::Block(block, BlockStage::Gelu) => Some(&mut r.gelu_lowest[block as usize]),
                    TapId::Block(block, BlockStage::Fc1) => Some(&mut r.fc1_lowest[block as usize]),
                    _ => None,
                };
                if let Some(lowest) = lowest {
                    *lowest = data.iter().copied().fold(*lowest, f32::min);
                }
                if is_corrected(id) {
                    let (sums, squares) = (&mut r.sums[index], &mut r.squares[index]);
                    sums.resize(width_of(s, id), 0.0);
                    squares.resize(width_of(s, id), 0.0);
                    let channels = first..first + width;
                    for row in data.chunks_exact(width) {
                        let pairs = sums[channels.clone()].iter_mut().zip(&mut squares[channels.clone()]);
                        for ((sum, square), &v) in pairs.zip(row) {
                            *sum += f64::from(v);
                            *square += f64::from(v) * f64::from(v);
                        }
                    }
                }
            });
            let at = r.pooled.len();
            r.pooled.resize(at + s.embedding() as usize, 0.0);
            pool(&tokens, s.grid() as usize, s.pooling, &mut r.pooled[at..]);
        }
        r
    }

    fn merge(&mut self, other: Ranges) {
        let max = |a: &mut Vec<f32>, b: &[f32]| a.iter_mut().zip(b).for_each(|(a, b)| *a = a.max(*b));
        max(&mut self.largest, &other.largest);
        max(&mut self.latents, &other.latents);
        let min = |a: &mut Vec<f32>, b: &[f32]| a.iter_mut().zip(b).for_each(|(a, b)| *a = a.min(*b));
        min(&mut self.gelu_lowest, &other.gelu_lowest);
        min(&mut self.fc1_lowest, &other.fc1_lowest);
        for (a, b) in [(&mut self.sums, &other.sums), (&mut self.squares, &other.squares)] {
            for (a, b) in a.iter_mut().zip(b) {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            }
        }
        self.pooled.extend(other.pooled);
    }
}

/// Mean and root mean square per channel of the stages in [`CORRECTED`], by tap index: one pass, for equalisation.
pub(super) struct Channels {
    means: Vec<Vec<f64>>,
    rms: Vec<Vec<f64>>,
    depth: u16,
}

impl Channels {
    /// Measures over `pictures`.
    pub(super) fn measure(encoder: &FloatEncoder, pictures: &Split) -> Option<Self> {
        let all: Vec<&[u8]> = (0..pictures.len()).map(|i| pictures.image(i)).collect();
        let parts: Vec<Ranges> = all.par_chunks(CHUNK).map(|c| Ranges::of(encoder, c)).collect();
        let ranges = parts.into_iter().reduce(|mut a, b| {
            a.merge(b);
            a
        })?;
        let rows = (all.len() * encoder.spec.tokens() as usize) as f64;
        let over = |v: &[Vec<f64>], f: fn(f64) -> f64| -> Vec<Vec<f64>> {
            v.iter().map(|v| v.iter().map(|x| f(x / rows)).collect()).collect()
        };
        Some(Channels {
            means: over(&ranges.sums, |x| x),
            rms: over(&ranges.squares, f64::sqrt),
            depth: encoder.spec.depth,
        })
    }

    pub(super) fn means(&self, block: u16, stage: BlockStage) -> &[f64] {
        &self.means[TapId::Block(block, stage).index(self.depth)]
    }

    pub(super) fn rms(&self, block: u16, stage: BlockStage) -> &[f64] {
        &self.rms[TapId::Block(block, stage).index(self.depth)]
    }
}

/// Means over tokens and pictures of each GELU input (block, channel), clipped to the block's range.
pub(super) fn clipped_means(encoder: &FloatEncoder, pictures: &Split, ranges: &[(f32, f32)]) -> Vec<Vec<f64>> {
    let s = &encoder.spec;
    let all: Vec<&[u8]> = (0..pictures.len()).map(|i| pictures.image(i)).collect();
    let of = |chunk: &[&[u8]]| {
        let mut sums = vec![vec![0.0f64; s.hidden() as usize]; ranges.len()];
        for picture in chunk {
            encoder.tokens_tapped(picture, &mut |id, data| {
                let TapId::Block(block, BlockStage::Fc1) = id else { return };
                let (low, high) = ranges[usize::from(block)];
                let sums = &mut sums[usize::from(block)];
                for row in data.chunks_exact(sums.len()) {
                    sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(v.clamp(low, high)));
                }
            });
        }
        sums
    };
    // Chunks of a fixed size, added in order: the same sums on any number of cores.
    let parts: Vec<_> = all.par_chunks(CHUNK).map(of).collect();
    let rows = (all.len() * s.tokens() as usize).max(1) as f64;
    let mut means = vec![vec![0.0; s.hidden() as usize]; ranges.len()];
    for part in parts {
        for (mean, sum) in means.iter_mut().flatten().zip(part.iter().flatten()) {
            *mean += sum / rows;
        }
    }
    means
}

/// Runs the float encoder over all of `pictures` twice.
///
/// # Errors
/// No pictures, pictures of another shape, or activations that are not finite.
pub fn calibrate(encoder: &FloatEncoder, pictures: &Split, out: &Output) -> Result<Statistics> {
    let s = &encoder.spec;
    if pictures.is_empty() {
        return Err(Error::new("there are no calibration pictures").hint("give a data set with training pictures"));
    }
    if (pictures.side(), pictures.channels()) != (s.image as usize, s.channels as usize) {
        return Err(Error::new("the calibration pictures have another size than the encoder takes"));
    }
    let all: Vec<&[u8]> = (0..pictures.len()).map(|i| pictures.image(i)).collect();
    let chunks: Vec<&[&[u8]]> = all.chunks(CHUNK).collect();
    let bar = out.progress("calibrate", 2 * all.len() as u64);
    let counted = |chunk: &&[&[u8]]| bar.inc(chunk.len() as u64);
    let parts: Vec<Ranges> = chunks.par_iter().inspect(|c| counted(c)).map(|c| Ranges::of(encoder, c)).collect();
    let ranges = parts.into_iter().reduce(|mut a, b| {
        a.merge(b);
        a
    });
    let ranges = ranges.ok_or_else(|| Error::new("there are no calibration pictures"))?;
    if ranges.largest.iter().any(|v| !v.is_finite()) {
        return Err(Error::new("the encoder produces values that are not finite")
            .hint("the run diverged: export its `best` checkpoint or train again with a smaller --lr"));
    }
    let parts: Vec<Histograms> =
        chunks.par_iter().inspect(|c| counted(c)).map(|c| Histograms::of(encoder, &ranges, c)).collect();
    let histograms = parts.into_iter().reduce(|mut a, b| {
        a.merge(&b);
        a
    });
    let histograms = histograms.ok_or_else(|| Error::new("there are no calibration pictures"))?;
    bar.finish_and_clear();

    let rows = (all.len() * s.tokens() as usize) as f64;
    let (pooled_mean, pooled_deviation) = moments(&ranges.pooled, s.embedding() as usize);
    Ok(Statistics {
        pictures: all.len(),
        latent_clips: histograms.latent_clips(),
        clips: histograms.clips(s.depth),
        fc1_ranges: histograms.fc1_ranges(s.depth, &ranges),
        largest: ranges.largest,
        gelu_lowest: ranges.gelu_lowest,
        means: ranges.sums.iter().map(|sums| sums.iter().map(|s| s / rows).collect()).collect(),
        pooled_mean,
        pooled_deviation,
        depth: s.depth,
    })
}

/// Mean and population deviation of the columns of `values` [rows, dim], in f64.
pub(super) fn moments(values: &[f32], dim: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = (values.len() / dim) as f64;
    let mut mean = vec![0f64; dim];
    for row in values.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v) / rows);
    }
    let mut variance = vec![0f64; dim];
    for row in values.chunks_exact(dim) {
        for ((s, &v), m) in variance.iter_mut().zip(row).zip(&mean) {
            *s += (f64::from(v) - m).powi(2) / rows;
        }
    }
    (mean.iter().map(|&m| m as f32).collect(), variance.iter().map(|v| v.sqrt() as f32).collect())
}
