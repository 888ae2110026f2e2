//! Second pass of the calibration: histograms of activations between the ranges of the first, and the clips they give.
//! One histogram a stage (a LayerNorm, a tensor with one static scale), one a latent component.

use super::FloatEncoder;
use super::calibrate::Ranges;
use super::range::Histogram;
use ldae_device::{BlockStage, TapId};

/// Histograms of some pictures.
pub(super) struct Histograms {
    latents: Vec<Histogram>,
    /// By tap index; none for stages that are ranged otherwise.
    taps: Vec<Option<Histogram>>,
}

/// Lowest value of a stage whose codes have an offset: its histogram counts distances from there.
fn lowest(ranges: &Ranges, id: TapId) -> Option<f32> {
    match id {
        TapId::Block(block, BlockStage::Gelu) => Some(ranges.gelu_lowest[usize::from(block)]),
        TapId::Block(block, BlockStage::Fc1) => Some(ranges.fc1_lowest[usize::from(block)]),
        _ => None,
    }
}

/// True for stages with symmetric codes over a range that a histogram chooses.
fn is_symmetric(id: TapId) -> bool {
    use BlockStage::{Attention, K, Norm1, Norm2, Q, V};
    matches!(id, TapId::FinalNorm | TapId::Block(_, Norm1 | Norm2 | Q | K | V | Attention))
}

impl Histograms {
    pub(super) fn of(encoder: &FloatEncoder, ranges: &Ranges, pictures: &[&[u8]]) -> Self {
        let s = &encoder.spec;
        let tap = |i: usize| -> Option<Histogram> {
            let id = TapId::from_index(i, s.depth)?;
            match lowest(ranges, id) {
                Some(lowest) => Some(Histogram::new(ranges.largest[i] - lowest)),
                None => is_symmetric(id).then(|| Histogram::new(ranges.largest[i])),
            }
        };
        let mut h = Histograms {
            latents: ranges.latents.iter().map(|&m| Histogram::new(m)).collect(),
            taps: (0..s.taps()).map(tap).collect(),
        };
        for picture in pictures {
            encoder.tokens_tapped(picture, &mut |id, data| {
                if id == TapId::Latents {
                    for (k, histogram) in h.latents.iter_mut().enumerate() {
                        histogram.add(data.iter().skip(k).step_by(s.rank as usize));
                    }
                }
                let Some(histogram) = &mut h.taps[id.index(s.depth)] else { return };
                match lowest(ranges, id) {
                    None => histogram.add(data.iter()),
                    Some(lowest) => {
                        let shifted: Vec<f32> = data.iter().map(|v| v - lowest).collect();
                        histogram.add(shifted.iter());
                    }
                }
            });
        }
        h
    }

    pub(super) fn merge(&mut self, other: &Histograms) {
        self.latents.iter_mut().zip(&other.latents).for_each(|(a, b)| a.merge(b));
        for (a, b) in self.taps.iter_mut().zip(&other.taps) {
            if let (Some(a), Some(b)) = (a, b) {
                a.merge(b);
            }
        }
    }

    /// Clip of every latent component.
    pub(super) fn latent_clips(&self) -> Vec<f32> {
        self.latents.iter().map(|h| h.best_clip(127.0)).collect()
    }

    /// Clips by tap index; zero for stages that have none (GELU inputs have [`Histograms::fc1_ranges`]).
    pub(super) fn clips(&self, depth: u16) -> Vec<f32> {
        let clip = |(i, h): (usize, &Option<Histogram>)| match (h, TapId::from_index(i, depth)) {
            (None, _) | (_, Some(TapId::Block(_, BlockStage::Fc1))) => 0.0,
            (Some(h), Some(TapId::Block(_, BlockStage::Gelu))) => h.best_clip(254.0),
            (Some(h), _) => h.best_clip(127.0),
        };
        self.taps.iter().enumerate().map(clip).collect()
    }

    /// Range of GELU inputs of each block that loses least behind the GELU.
    pub(super) fn fc1_ranges(&self, depth: u16, ranges: &Ranges) -> Vec<(f32, f32)> {
        let range = |block: u16| {
            let histogram = &self.taps[TapId::Block(block, BlockStage::Fc1).index(depth)];
            let lowest = ranges.fc1_lowest[usize::from(block)];
            histogram.as_ref().map_or((-1.0, 1.0), |h| h.best_gelu_range(lowest))
        };
        (0..depth).map(range).collect()
    }
}
