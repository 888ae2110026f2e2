//! The artifact's integer weights in a float network: what runtimes without our arithmetic compute with them. Weights are
//! the very integers of the artifact; one integer of a row is worth what the row's factor says; activations, positions,
//! biases and functions stay float.
//!
//! The embedding's columns absorb a scale for each latent (NUMERICS.md rule 8), so the projection gives latents in units of
//! their codes here.

use super::build::LayerCodes;
use super::correct::Quantised;
use super::factor::{is_capped, value};
use super::{Dense, FloatBlock, FloatEncoder};
use ldae_shared::format::LinearDesc;
use ldae_shared::spec::EncoderSpec;

/// A linear layer with integer weights: `y_j = scales_j·Σ codes_ji·x_i + bias_j`.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Dense {
    /// Length of a row of input.
    pub inputs: usize,
    /// Row-major [outputs, inputs], −127 to 127.
    pub codes: Vec<i8>,
    /// Value of one code, `[outputs]`.
    pub scales: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// Layers of a block, as in [`FloatBlock`].
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Block {
    /// 3W×W.
    pub qkv: Int8Dense,
    /// W×W.
    pub proj: Int8Dense,
    /// rW×W.
    pub fc1: Int8Dense,
    /// W×rW.
    pub fc2: Int8Dense,
}

/// An encoder with integer weights and float activations.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightOnly {
    /// Shape.
    pub spec: EncoderSpec,
    /// Time step that was folded.
    pub time_step: u16,
    /// K×P: pixel values in [−1, 1] to latents in units of their codes.
    pub project: Int8Dense,
    /// W×K.
    pub embed: Int8Dense,
    /// [N, W].
    pub positions: Vec<f32>,
    /// L blocks.
    pub blocks: Vec<Int8Block>,
}

impl WeightOnly {
    /// The integers of `quantised` with the biases of `float`, the encoder that was quantised.
    pub fn new(float: &FloatEncoder, quantised: &Quantised) -> Self {
        let (s, desc, scales) = (&float.spec, &quantised.desc, &quantised.scales);
        let mut project = int8(&float.project, &desc.project, &scales.project());
        // From the latents' unit to that of their codes.
        for ((scale, bias), latent) in project.scales.iter_mut().zip(&mut project.bias).zip(&scales.latents) {
            *scale = (f64::from(*scale) / latent) as f32;
            *bias = (f64::from(*bias) / latent) as f32;
        }
        let blocks = float.blocks.iter().zip(&desc.blocks).zip(&scales.blocks).map(|((b, d), codes)| {
            let codes = codes.layers(s, scales.stream);
            Int8Block {
                qkv: int8(&b.qkv, &d.qkv, &codes.qkv),
                proj: int8(&b.proj, &d.proj, &codes.proj),
                fc1: int8(&b.fc1, &d.fc1, &codes.fc1),
                fc2: int8(&b.fc2, &d.fc2, &codes.fc2),
            }
        });
        WeightOnly {
            spec: float.spec,
            time_step: float.time_step,
            project,
            embed: int8(&scales.embed_of_codes(&float.embed), &desc.embed, &scales.embed(s)),
            positions: float.positions.clone(),
            blocks: blocks.collect(),
        }
    }

    /// The same function as a float encoder.
    pub fn dequantised(&self) -> FloatEncoder {
        let blocks = self.blocks.iter().map(|b| FloatBlock {
            qkv: b.qkv.dequantised(),
            proj: b.proj.dequantised(),
            fc1: b.fc1.dequantised(),
            fc2: b.fc2.dequantised(),
        });
        FloatEncoder {
            spec: self.spec,
            time_step: self.time_step,
            project: self.project.dequantised(),
            embed: self.embed.dequantised(),
            positions: self.positions.clone(),
            blocks: blocks.collect(),
        }
    }
}

impl Int8Dense {
    fn dequantised(&self) -> Dense {
        let rows = self.codes.chunks_exact(self.inputs).zip(&self.scales);
        let weights = rows.flat_map(|(row, &scale)| row.iter().map(move |&c| f32::from(c) * scale)).collect();
        Dense { inputs: self.inputs, outputs: self.bias.len(), weights, bias: self.bias.clone() }
    }
}

/// The integers of `desc`, made from `float`, with the value that each row's factor gives them.
fn int8(float: &Dense, desc: &LinearDesc, codes: &LayerCodes) -> Int8Dense {
    let rows = float.weights.chunks_exact(float.inputs).zip(desc.weights.chunks_exact(float.inputs));
    let scale = |(j, (real, row)): (usize, (&[f32], &[i8]))| {
        if is_capped(desc.factor[j]) {
            nearest_scale(real, row)
        } else {
            value(desc.factor[j]) * codes.output[j] / codes.input
        }
    };
    Int8Dense {
        inputs: float.inputs,
        codes: desc.weights.clone(),
        scales: rows.enumerate().map(|row| scale(row) as f32).collect(),
        bias: float.bias.clone(),
    }
}

/// The scale with which `codes` come nearest to `real`: a row whose factor is at rule 3's cap was made smaller than the
/// factor says, because the integer engine saturates its outputs whatever the weights' size.
fn nearest_scale(real: &[f32], codes: &[i8]) -> f64 {
    let products = real.iter().zip(codes).map(|(&r, &c)| (f64::from(r) * f64::from(c), f64::from(c) * f64::from(c)));
    let (dot, square) = products.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    if square > 0.0 { dot / square } else { 0.0 }
}
