//! The float reference (NUMERICS.md rule 10): the folded encoder, a plain ViT, in f32. It calibrates the quantiser,
//! measures what quantisation costs, and embeds for the evaluation of a run. Transcendental functions come from the
//! `libm` crate only, never from the platform.
//!
//! ```text
//! pixels u8 → patches [N, P] → latents [N, K] → stream [N, W] → L × (attention, MLP) → LayerNorm → tokens [N, W]
//! ```

use super::Dense;
use ldae_device::{BlockStage, TapId};
use ldae_shared::patch::{PatchGrid, pixel_value};
use ldae_shared::spec::EncoderSpec;

/// Epsilon of every LayerNorm (DiT).
const NORM_EPSILON: f32 = 1e-6;

/// One folded block.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatBlock {
    /// 3W×W on the normalised stream; queries, keys, values.
    pub qkv: Dense,
    /// W×W, gated.
    pub proj: Dense,
    /// rW×W on the normalised stream.
    pub fc1: Dense,
    /// W×rW, gated.
    pub fc2: Dense,
}

/// A folded encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatEncoder {
    /// Shape.
    pub spec: EncoderSpec,
    /// Time step that was folded.
    pub time_step: u16,
    /// K×P: pixel values in [−1, 1] to latents of unit scale, z = V_K (x − mean) / s.
    pub project: Dense,
    /// W×K.
    pub embed: Dense,
    /// [N, W].
    pub positions: Vec<f32>,
    /// L blocks.
    pub blocks: Vec<FloatBlock>,
}

/// Receives intermediate results, shaped like the integer engine's taps.
pub type FloatTap<'a> = dyn FnMut(TapId, &[f32]) + 'a;

impl FloatEncoder {
    /// Tokens after the last LayerNorm, [N, W], of one picture (u8 [image, image, C]).
    ///
    /// # Panics
    /// When `pixels` has another length than the spec says.
    pub fn tokens(&self, pixels: &[u8]) -> Vec<f32> {
        self.tokens_tapped(pixels, &mut |_, _| ())
    }

    /// [`FloatEncoder::tokens`], showing every stage to `tap` in the order and layout of the integer taps.
    ///
    /// # Panics
    /// When `pixels` has another length than the spec says.
    pub fn tokens_tapped(&self, pixels: &[u8], tap: &mut FloatTap<'_>) -> Vec<f32> {
        let s = &self.spec;
        let w = s.width as usize;
        let patches = patches(s, pixels);
        let latents = self.project.forward(&patches);
        tap(TapId::Latents, &latents);
        let mut stream = self.embed.forward(&latents);
        tap(TapId::Embed, &stream);
        stream.iter_mut().zip(&self.positions).for_each(|(x, p)| *x += p);
        tap(TapId::Stream, &stream);
        for (index, block) in self.blocks.iter().enumerate() {
            let id = |stage| TapId::Block(index as u16, stage);
            let norm = layer_norm(&stream, w);
            tap(id(BlockStage::Norm1), &norm);
            let qkv = block.qkv.forward(&norm); // [N, 3W]
            let attention = attention(s, &qkv, &mut |stage, data| tap(id(stage), data));
            let proj = block.proj.forward(&attention);
            tap(id(BlockStage::Proj), &proj);
            stream.iter_mut().zip(&proj).for_each(|(x, y)| *x += y);
            tap(id(BlockStage::Residual1), &stream);
            let norm = layer_norm(&stream, w);
            tap(id(BlockStage::Norm2), &norm);
            let mut hidden = block.fc1.forward(&norm); // [N, rW]
            tap(id(BlockStage::Fc1), &hidden);
            hidden.iter_mut().for_each(|x| *x = gelu(*x));
            tap(id(BlockStage::Gelu), &hidden);
            let fc2 = block.fc2.forward(&hidden);
            tap(id(BlockStage::Fc2), &fc2);
            stream.iter_mut().zip(&fc2).for_each(|(x, y)| *x += y);
            tap(id(BlockStage::Residual2), &stream);
        }
        let tokens = layer_norm(&stream, w);
        tap(TapId::FinalNorm, &tokens);
        tokens
    }
}

/// Pixel values in [−1, 1], patch by patch, [N, P].
fn patches(s: &EncoderSpec, pixels: &[u8]) -> Vec<f32> {
    assert_eq!(pixels.len(), s.pixels() as usize, "a picture of another size");
    let grid = PatchGrid::of(s).expect("the spec was checked when the encoder was built");
    let mut out = Vec::with_capacity(pixels.len());
    let mut patch = vec![0u8; grid.patch_values()];
    for token in 0..grid.tokens() {
        grid.copy_patch(pixels, token, &mut patch);
        out.extend(patch.iter().map(|&b| pixel_value(b)));
    }
    out
}

/// LayerNorm without affine, over rows of `w`.
fn layer_norm(x: &[f32], w: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(w) {
        let mean = row.iter().sum::<f32>() / w as f32;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / w as f32;
        let inverse = 1.0 / libm::sqrtf(variance + NORM_EPSILON);
        out.extend(row.iter().map(|x| (x - mean) * inverse));
    }
    out
}

/// GELU in the tanh form that the model is trained with (DiT).
pub(super) fn gelu(x: f32) -> f32 {
    let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x); // sqrt(2/pi)
    0.5 * x * (1.0 + libm::tanhf(inner))
}

/// Attention outputs [N, W] of `qkv` [N, 3W]; taps are head-major like the engine's.
fn attention(s: &EncoderSpec, qkv: &[f32], tap: &mut dyn FnMut(BlockStage, &[f32])) -> Vec<f32> {
    let (n, w, dh) = (s.tokens() as usize, s.width as usize, s.head_width() as usize);
    let gather = |part: usize, head: usize| -> Vec<f32> {
        let from = part * w + head * dh;
        qkv.chunks_exact(3 * w).flat_map(|row| row[from..from + dh].iter().copied()).collect() // [N, W/H]
    };
    let queries: Vec<f32> = qkv.chunks_exact(3 * w).flat_map(|row| row[..w].iter().copied()).collect();
    tap(BlockStage::Q, &queries);
    let scale = 1.0 / libm::sqrtf(dh as f32);
    let mut out = vec![0.0; n * w];
    for head in 0..s.heads as usize {
        let (q, k, v) = (gather(0, head), gather(1, head), gather(2, head));
        tap(BlockStage::K, &k);
        tap(BlockStage::V, &v);
        let mut scores = Dense { inputs: dh, outputs: n, weights: k, bias: vec![0.0; n] }.forward(&q); // [N, N]
        scores.iter_mut().for_each(|x| *x *= scale);
        tap(BlockStage::Logits, &scores);
        for row in scores.chunks_exact_mut(n) {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|x| *x = libm::expf(*x - max));
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
        }
        tap(BlockStage::Probabilities, &scores);
        let y = Dense::from_in_out(&v, &vec![0.0; dh]).forward(&scores); // [N, W/H]
        tap(BlockStage::Attention, &y);
        for (row, y) in out.chunks_exact_mut(w).zip(y.chunks_exact(dh)) {
            row[head * dh..(head + 1) * dh].copy_from_slice(y);
        }
    }
    out
}
