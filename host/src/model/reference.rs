//! For tests only: the networks of METHOD.md once more, in plain f64 arrays and loops, sharing nothing with the Burn code but
//! parameter names.

use super::{ModelSpec, Weights};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::spec::{EncoderSpec, Pooling};

/// A model small enough for plain loops, with a decoder of another shape than the encoder.
pub fn tiny_spec() -> ModelSpec {
    let encoder = EncoderSpec {
        image: 8,
        channels: 3,
        patch: 4,
        rank: 12,
        width: 24,
        depth: 2,
        heads: 3,
        mlp_ratio: 2,
        pooling: Pooling::MeanStd,
    };
    ModelSpec { decoder_depth: 1, decoder_width: 20, decoder_heads: 2, ..ModelSpec::symmetric(encoder) }
}

/// Pictures of smooth random colour plus noise, u8 HWC.
pub fn noise_pictures(side: usize, channels: usize, count: usize, seed: u64) -> Vec<Vec<u8>> {
    (0..count)
        .map(|i| {
            let mut stream = Stream::new(seed, Purpose::Drawn, 0, i as u32);
            let slope: Vec<f32> = (0..2 * channels).map(|_| 50.0 * stream.gaussian()).collect();
            let mut picture = Vec::with_capacity(side * side * channels);
            for y in 0..side {
                for x in 0..side {
                    for c in 0..channels {
                        let (u, v) = (x as f32 / side as f32 - 0.5, y as f32 / side as f32 - 0.5);
                        let value = 127.0 + slope[c] * u + slope[channels + c] * v + 12.0 * stream.gaussian();
                        picture.push(value.clamp(0.0, 255.0) as u8);
                    }
                }
            }
            picture
        })
        .collect()
}

/// Tokens of one picture.
pub type Rows = Vec<Vec<f64>>;

/// x·weight + bias of the named layer.
pub fn linear(weights: &Weights, name: &str, x: &[f64]) -> Vec<f64> {
    let weight = weights.get(&format!("{name}.weight")).unwrap();
    let bias = &weights.get(&format!("{name}.bias")).unwrap().values;
    let out = weight.shape[1];
    (0..out)
        .map(|o| {
            let product: f64 = x.iter().enumerate().map(|(i, v)| v * f64::from(weight.values[i * out + o])).sum();
            product + f64::from(bias[o])
        })
        .collect()
}

/// x·sigmoid(x).
pub fn silu(x: Vec<f64>) -> Vec<f64> {
    x.into_iter().map(|v| v / (1.0 + (-v).exp())).collect()
}

fn gelu(x: Vec<f64>) -> Vec<f64> {
    let c = (2.0 / std::f64::consts::PI).sqrt();
    x.into_iter().map(|v| 0.5 * v * (1.0 + (c * (v + 0.044715 * v.powi(3))).tanh())).collect()
}

/// LayerNorm without affine.
pub fn norm(x: &[f64]) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
    x.iter().map(|v| (v - mean) / (variance + 1e-6).sqrt()).collect()
}

fn modulated(x: &[f64], shift: &[f64], scale: &[f64]) -> Vec<f64> {
    norm(x).iter().zip(shift.iter().zip(scale)).map(|(v, (shift, scale))| v * (1.0 + scale) + shift).collect()
}

/// c for a time step, of the conditioning MLP `name`.
pub fn time(weights: &Weights, name: &str, t: u32) -> Vec<f64> {
    let features: Vec<f64> = (0..256)
        .map(|i| {
            let angle = f64::from(t) * (-(10_000f64.ln()) * (i % 128) as f64 / 128.0).exp();
            if i < 128 { angle.cos() } else { angle.sin() }
        })
        .collect();
    linear(weights, &format!("{name}.fc2"), &silu(linear(weights, &format!("{name}.fc1"), &features)))
}

/// One block on the tokens of one picture.
pub fn block(weights: &Weights, name: &str, heads: usize, x: &mut Rows, condition: &[f64]) {
    let w = x[0].len();
    let modulation = linear(weights, &format!("{name}.modulation"), condition);
    let part = |i: usize| &modulation[i * w..(i + 1) * w];
    let qkv: Rows =
        x.iter().map(|row| linear(weights, &format!("{name}.qkv"), &modulated(row, part(0), part(1)))).collect();
    let head = w / heads;
    for (i, row) in x.iter_mut().enumerate() {
        let mut mixed = vec![0.0; w];
        for h in 0..heads {
            let q = &qkv[i][h * head..(h + 1) * head];
            let scores: Vec<f64> = qkv
                .iter()
                .map(|other| {
                    let k = &other[w + h * head..w + (h + 1) * head];
                    (q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>() / (head as f64).sqrt()).exp()
                })
                .collect();
            let total: f64 = scores.iter().sum();
            for (score, other) in scores.iter().zip(&qkv) {
                for d in 0..head {
                    mixed[h * head + d] += score / total * other[2 * w + h * head + d];
                }
            }
        }
        let out = linear(weights, &format!("{name}.proj"), &mixed);
        row.iter_mut().zip(out).zip(part(2)).for_each(|((v, o), gate)| *v += o * gate);
    }
    for row in x.iter_mut() {
        let hidden = gelu(linear(weights, &format!("{name}.fc1"), &modulated(row, part(3), part(4))));
        let out = linear(weights, &format!("{name}.fc2"), &hidden);
        row.iter_mut().zip(out).zip(part(5)).for_each(|((v, o), gate)| *v += o * gate);
    }
}

/// Adds positions to tokens, of which row i stands at place `places[i]` of the grid.
fn add_positions(x: &mut Rows, grid: usize, places: &[usize]) {
    let width = x[0].len();
    let table = super::positions::positions(grid, width);
    for (row, place) in x.iter_mut().zip(places) {
        let positions = &table[place * width..(place + 1) * width];
        row.iter_mut().zip(positions).for_each(|(v, p)| *v += f64::from(*p));
    }
}

/// Encoder output (after the final LayerNorm) of the tokens at `places`, under the condition c.
pub fn encode_some(weights: &Weights, tokens: &Rows, places: &[usize], c: &[f64]) -> Rows {
    let spec = weights.spec();
    let condition = silu(c.to_vec());
    let mut x: Rows = tokens.iter().map(|row| linear(weights, "encoder.embed", row)).collect();
    add_positions(&mut x, spec.encoder.grid() as usize, places);
    for i in 0..spec.encoder.depth {
        block(weights, &format!("encoder.blocks.{i}"), spec.encoder.heads.into(), &mut x, &condition);
    }
    x.iter().map(|row| norm(row)).collect()
}

/// Encoder output of all tokens of a picture at a time step.
pub fn encode(weights: &Weights, tokens: &Rows, t: u32) -> Rows {
    let places: Vec<usize> = (0..tokens.len()).collect();
    encode_some(weights, tokens, &places, &time(weights, "time", t))
}

/// Decoder blocks and output layer on what the decoder's first layer made of its input, under the condition c.
pub fn decode(weights: &Weights, mut x: Rows, c: &[f64]) -> Rows {
    let spec = weights.spec();
    let condition = silu(c.to_vec());
    let places: Vec<usize> = (0..x.len()).collect();
    add_positions(&mut x, spec.encoder.grid() as usize, &places);
    for i in 0..spec.decoder_depth {
        block(weights, &format!("decoder.blocks.{i}"), spec.decoder_heads, &mut x, &condition);
    }
    let modulation = linear(weights, "decoder.final_modulation", &condition);
    let (shift, scale) = modulation.split_at(spec.decoder_width);
    x.iter().map(|row| linear(weights, "decoder.output", &modulated(row, shift, scale))).collect()
}
