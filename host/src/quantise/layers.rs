//! Signal-to-quantisation-noise of every stage, integer against float, on the same pictures: where quality is lost.

use super::FloatEncoder;
use super::build::{Scales, norm_scale};
use super::calibrate::channels;
use super::correct::{aligned, bytes_of};
use crate::data::Split;
use crate::{Error, Result};
use ldae_device::{BlockStage, Encoder, Tap, TapData, TapId};
use ldae_shared::format::ArtifactDesc;
use rayon::prelude::*;
use serde::Serialize;

/// Noise of one stage, accumulated from the input on (not of the stage alone).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNoise {
    /// Tap name.
    pub name: String,
    /// 10·log10(Σ float² / Σ (integer − float)²), dB.
    pub sqnr_db: f64,
}

/// Float values of every tap of one picture.
struct Floats(Vec<Vec<f32>>);

/// Compares the integer taps with the float ones as they come.
struct Compare<'a> {
    floats: &'a Floats,
    encoder: &'a FloatEncoder,
    scales: &'a Scales,
    used: Vec<usize>,
    /// Σ float², Σ error² by tap index.
    energy: Vec<[f64; 2]>,
}

impl Tap for Compare<'_> {
    fn tap(&mut self, id: TapId, data: TapData<'_>) {
        let s = &self.encoder.spec;
        let index = id.index(s.depth);
        let Some(floats) = self.floats.0.get(index).filter(|f| !f.is_empty()) else { return };
        let (_, width) = channels(s, id, self.used[index]);
        let at = self.used[index];
        let mut compare = |i: usize, code: f64| {
            let (float, real) = (f64::from(floats[at + i]), real(self.scales, id, i % width, code));
            self.energy[index][0] += float * float;
            self.energy[index][1] += (real - float) * (real - float);
        };
        self.used[index] += match data {
            TapData::I8(v) => count(v, |i, v| compare(i, f64::from(v))),
            TapData::I16(v) => count(v, |i, v| compare(i, f64::from(v))),
            TapData::U16(v) => count(v, |i, v| compare(i, f64::from(v))),
            _ => 0,
        };
    }
}

fn count<T: Copy>(values: &[T], mut f: impl FnMut(usize, T)) -> usize {
    values.iter().enumerate().for_each(|(i, &v)| f(i, v));
    values.len()
}

/// Real value of a code.
fn real(scales: &Scales, id: TapId, channel: usize, code: f64) -> f64 {
    let TapId::Block(block, stage) = id else {
        return match id {
            TapId::Latents => code * scales.latents[channel],
            TapId::FinalNorm => code * norm_scale(scales.last_norm),
            _ => code * scales.stream,
        };
    };
    let b = &scales.blocks[usize::from(block)];
    match stage {
        BlockStage::Norm1 => code * norm_scale(b.norms[0]),
        BlockStage::Norm2 => code * norm_scale(b.norms[1]),
        BlockStage::Q => code * b.q,
        BlockStage::K => code * b.k,
        BlockStage::V => code * b.v,
        BlockStage::Logits => code * b.logits,
        BlockStage::Probabilities => code / 32768.0,
        BlockStage::Attention => code * b.attention,
        BlockStage::Fc1 => (code - b.fc1_zero) * b.fc1,
        BlockStage::Gelu => (code + f64::from(b.gelu_offset)) * b.gelu,
        BlockStage::Proj | BlockStage::Residual1 | BlockStage::Fc2 | BlockStage::Residual2 => code * scales.stream,
    }
}

/// Measures every stage on the first `limit` pictures.
///
/// # Errors
/// Pictures that the encoder refuses.
pub(super) fn measure(
    encoder: &FloatEncoder,
    desc: &ArtifactDesc,
    scales: &Scales,
    pictures: &Split,
    limit: usize,
) -> Result<Vec<LayerNoise>> {
    let s = &encoder.spec;
    let bytes = bytes_of(desc)?;
    let engine = Encoder::new(&bytes).map_err(|e| Error::new("the quantised encoder is not valid").caused_by(e))?;
    let one = |i: usize| -> Result<Vec<[f64; 2]>> {
        let mut floats = Floats(vec![Vec::new(); s.taps()]);
        encoder.tokens_tapped(pictures.image(i), &mut |id, data| floats.0[id.index(s.depth)].extend_from_slice(data));
        let zero = || vec![0usize; s.taps()];
        let mut tap = Compare { floats: &floats, encoder, scales, used: zero(), energy: vec![[0.0; 2]; s.taps()] };
        let (mut scratch, mut codes) = (aligned(engine.scratch_bytes()), vec![0i8; s.embedding() as usize]);
        engine
            .embed_tapped(pictures.image(i), bytemuck::cast_slice_mut(&mut scratch), &mut codes, &mut tap)
            .map_err(|e| Error::new("the device engine refused a calibration picture").caused_by(e))?;
        Ok(tap.energy)
    };
    let parts: Vec<_> = (0..pictures.len().min(limit)).into_par_iter().map(one).collect::<Result<_>>()?;
    let noise = (0..s.taps()).filter_map(|index| {
        let id = TapId::from_index(index, s.depth)?;
        let sum = |part: usize| parts.iter().map(|p| p[index][part]).sum::<f64>();
        let (signal, noise) = (sum(0), sum(1));
        // Stages without a float counterpart (pixels, pooled sums) and dead branches have no ratio.
        (signal > 0.0 && noise > 0.0)
            .then(|| LayerNoise { name: id.to_string(), sqnr_db: 10.0 * (signal / noise).log10() })
    });
    Ok(noise.collect())
}
