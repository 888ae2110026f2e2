//! Folding: the constant time step, gates, normalisation and PCA disappear into the weights (METHOD.md section 1).
//!
//! For a constant t adaLN is an affine map behind each LayerNorm (into qkv and fc1) and a gate per output channel (into
//! proj and fc2). The projection V_KᵀV_K and the patch embedding are consecutive linear maps, so the device computes
//! patch → K latents → W.

use super::{Dense, FloatBlock, FloatEncoder};
use crate::model::Weights;
use crate::model::positions::{positions, time_features};
use crate::{Error, Result};
use ldae_shared::spec::Pooling;

impl FloatEncoder {
    /// Folds `weights` at time step `t` (0..=1000); `pooling` replaces the one of the training configuration.
    ///
    /// # Errors
    /// A tensor is missing, has another shape, or is not finite; or the tokenizer is convolutional.
    pub fn fold(weights: &Weights, t: u16, pooling: Pooling) -> Result<Self> {
        weights.check_exportable()?;
        let weights = &*weights.at(t);
        let mut spec = weights.spec().encoder;
        spec.pooling = pooling;
        let (p, k, w) = (spec.patch_values() as usize, spec.rank as usize, spec.width as usize);
        let condition = condition(weights, t)?;

        // z = V_K (x − mean) / s
        let (mean, basis) = (tensor(weights, "pca.mean", p)?, tensor(weights, "pca.basis", p * p)?);
        let scale = tensor(weights, "pca.scale", 1)?[0];
        let kept = &basis[..k * p];
        let project = Dense {
            inputs: p,
            outputs: k,
            weights: kept.iter().map(|v| v / scale).collect(),
            bias: kept
                .chunks_exact(p)
                .map(|row| {
                    (-row.iter().zip(mean).map(|(&v, &m)| f64::from(v) * f64::from(m)).sum::<f64>() / f64::from(scale))
                        as f32
                })
                .collect(),
        };
        // The network's own embedding reads mean + s·V_Kᵀ·z.
        let patch_embed = dense(weights, "encoder.embed", p, w)?;
        let mut embed =
            Dense { inputs: k, outputs: w, weights: Vec::with_capacity(w * k), bias: Vec::with_capacity(w) };
        for (row, bias) in patch_embed.weights.chunks_exact(p).zip(&patch_embed.bias) {
            let dot = |v: &[f32]| row.iter().zip(v).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            embed.weights.extend(kept.chunks_exact(p).map(|v| (dot(v) * f64::from(scale)) as f32));
            embed.bias.push((f64::from(*bias) + dot(mean)) as f32);
        }

        let mut blocks = Vec::with_capacity(spec.depth.into());
        for i in 0..spec.depth {
            let name = |part: &str| format!("encoder.blocks.{i}.{part}");
            let modulation = dense(weights, &name("modulation"), condition.len(), 6 * w)?.forward(&condition);
            let part = |j: usize| &modulation[j * w..(j + 1) * w];
            let (shift1, scale1, gate1) = (part(0), part(1), part(2));
            let (shift2, scale2, gate2) = (part(3), part(4), part(5));
            let plus_one = |s: &[f32]| -> Vec<f32> { s.iter().map(|s| 1.0 + s).collect() };
            let hidden = spec.hidden() as usize;
            blocks.push(FloatBlock {
                qkv: dense(weights, &name("qkv"), w, 3 * w)?.after_affine(&plus_one(scale1), shift1),
                proj: dense(weights, &name("proj"), w, w)?.gated(gate1),
                fc1: dense(weights, &name("fc1"), w, hidden)?.after_affine(&plus_one(scale2), shift2),
                fc2: dense(weights, &name("fc2"), hidden, w)?.gated(gate2),
            });
        }
        let positions = positions(spec.grid() as usize, w);
        Ok(FloatEncoder { spec, time_step: t, project, embed, positions, blocks })
    }
}

/// silu(fc2(silu(fc1(features(t))))): what every modulation layer reads.
fn condition(weights: &Weights, t: u16) -> Result<Vec<f32>> {
    let features = time_features(f32::from(t));
    let wc = weights.spec().condition_width();
    let mut c = dense(weights, "time.fc1", features.len(), wc)?.forward(&features);
    c.iter_mut().for_each(|x| *x = silu(*x));
    let mut c = dense(weights, "time.fc2", wc, wc)?.forward(&c);
    c.iter_mut().for_each(|x| *x = silu(*x));
    Ok(c)
}

fn silu(x: f32) -> f32 {
    x / (1.0 + libm::expf(-x))
}

fn tensor<'a>(weights: &'a Weights, name: &str, length: usize) -> Result<&'a [f32]> {
    let missing = || {
        Error::new(format!("the checkpoint has no usable tensor {name} of {length} values"))
            .hint("the checkpoint belongs to another configuration: train again or restore the file")
    };
    let t = weights.get(name).filter(|t| t.values.len() == length).ok_or_else(missing)?;
    if t.values.iter().any(|v| !v.is_finite()) {
        return Err(Error::new(format!("tensor {name} holds values that are not finite"))
            .hint("the run diverged: export its `best` checkpoint or train again with a smaller --lr"));
    }
    Ok(&t.values)
}

fn dense(weights: &Weights, name: &str, inputs: usize, outputs: usize) -> Result<Dense> {
    let w = tensor(weights, &format!("{name}.weight"), inputs * outputs)?;
    let b = tensor(weights, &format!("{name}.bias"), outputs)?;
    Ok(Dense::from_in_out(w, b))
}
