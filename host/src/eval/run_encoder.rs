//! The float encoder of a run (or of an untrained model) on plain arrays: named weights, one fixed time step, all
//! poolings from one pass. METHOD.md section 1.
//!
//! The modulation of the chosen t is computed once and applied as it stands. Folding it into the linear layers is the
//! exporter's work ([`crate::quantise::FloatEncoder`], whose functions are the libm crate's and whose stages can be
//! tapped); this is the network it is checked against, with faster activations, because evaluation embeds whole sets.
//! The front end passes the picture through the K kept PCA directions, as training did: patch `[P]` -> latents `[K]` ->
//! width `[W]`. A picture's result depends on nothing but the picture.

use super::activation::{gelu, silu, softmax};
use super::embedder::{Embedder, Role, Vector};
use super::input_noise::InputNoise;
use super::pooling::{self, pool};
use crate::model::positions::{positions, time_features};
use crate::model::{NORM_EPSILON, Weights};
use crate::tokenizer::ConvTokenizer;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ldae_shared::patch::{PatchGrid, pixel_value};
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::sync::Arc;

/// Time steps of training (METHOD.md section 1); probing lies between clean and pure noise.
pub const MAX_T: u16 = 1000;

/// y = x·weight + bias; weight [inputs, outputs].
struct Linear {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    fn of(weights: &Weights, name: &str) -> Result<Self> {
        Ok(Linear {
            weight: tensor(weights, &format!("{name}.weight"))?.to_vec(),
            bias: tensor(weights, &format!("{name}.bias"))?.to_vec(),
        })
    }

    /// [rows, inputs] -> [rows, outputs].
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let outputs = self.bias.len();
        let inputs = self.weight.len() / outputs;
        let rows = x.len() / inputs;
        let mut y = self.bias.repeat(rows);
        matmul(
            MatMut::from_row_major_slice_mut(&mut y, rows, outputs),
            Accum::Add,
            MatRef::from_row_major_slice(x, rows, inputs),
            MatRef::from_row_major_slice(&self.weight, inputs, outputs),
            1.0,
            Par::Seq,
        );
        y
    }
}

/// A DiT block at one time step; `modulation` [6·W]: shift, scale, gate of the attention, then of the MLP.
struct Block {
    modulation: Vec<f32>,
    qkv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
}

/// An encoder of [`Weights`] at one time step.
pub struct RunEncoder {
    name: String,
    role: Role,
    spec: EncoderSpec,
    grid: PatchGrid,
    poolings: Vec<Pooling>,
    /// In place of `project`, where the tokenizer is convolutional.
    tokenizer: Option<Arc<ConvTokenizer>>,
    /// [P, K], then [K, W] with the positions added after it.
    project: Linear,
    embed: Linear,
    /// [N, W].
    positions: Vec<f32>,
    blocks: Vec<Block>,
    noise: Option<InputNoise>,
}

impl RunEncoder {
    /// The encoder half of `weights`, conditioned on `t` (0 to 1000), giving the named poolings.
    ///
    /// # Errors
    /// A tensor is missing, t lies outside, or the grid has no such pooling.
    pub fn new(name: &str, weights: &Weights, t: u16, poolings: &[Pooling]) -> Result<Self> {
        if t > MAX_T {
            return Err(
                Error::new(format!("time step {t} lies outside 0 to {MAX_T}")).hint("--t 10 is the usual choice")
            );
        }
        let weights = &*weights.at(t);
        let spec = weights.spec().encoder;
        let grid = PatchGrid::of(&spec).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
        for &pooling in poolings {
            pooling::check(pooling, grid.side())?;
        }
        let mut hidden = Linear::of(weights, "time.fc1")?.apply(&time_features(t.into()));
        silu(&mut hidden);
        let mut condition = Linear::of(weights, "time.fc2")?.apply(&hidden);
        silu(&mut condition);
        let blocks = (0..spec.depth).map(|i| {
            let part = |part: &str| Linear::of(weights, &format!("encoder.blocks.{i}.{part}"));
            let modulation = part("modulation")?.apply(&condition);
            Ok(Block { modulation, qkv: part("qkv")?, proj: part("proj")?, fc1: part("fc1")?, fc2: part("fc2")? })
        });
        let (project, embed) = match weights.tokenizer() {
            None => front_end(weights, &spec)?,
            Some(_) => (Linear { weight: Vec::new(), bias: Vec::new() }, Linear::of(weights, "encoder.embed")?),
        };
        Ok(RunEncoder {
            name: name.to_owned(),
            role: Role::Baseline,
            spec,
            grid,
            poolings: poolings.to_vec(),
            tokenizer: weights.tokenizer().cloned(),
            project,
            embed,
            positions: positions(grid.side(), spec.width.into()),
            blocks: blocks.collect::<Result<_>>()?,
            noise: None,
        })
    }

    /// The same encoder in another role; it starts as a baseline.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        RunEncoder { role, ..self }
    }

    /// The same encoder under another name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        RunEncoder { name: name.to_owned(), ..self }
    }

    /// The same encoder on noised pictures.
    #[must_use]
    pub fn with_noise(self, noise: InputNoise) -> Self {
        RunEncoder { noise: Some(noise), ..self }
    }

    /// The first `layer` blocks only, with the final LayerNorm behind them: the tokens after block `layer` (from 1), or before any
    /// block (0).
    ///
    /// # Errors
    /// The encoder has fewer blocks.
    pub fn up_to_block(mut self, layer: u16) -> Result<Self> {
        if usize::from(layer) > self.blocks.len() {
            return Err(Error::new(format!("there is no block {layer}: the encoder has {}", self.blocks.len()))
                .hint("give --layer all, or numbers from 0 (before any block) to the number of blocks"));
        }
        self.blocks.truncate(layer.into());
        Ok(self)
    }

    /// Tokens after the final LayerNorm, [N, W].
    pub fn tokens(&self, picture: &[u8]) -> Vec<f32> {
        let width = usize::from(self.spec.width);
        let pixels: Vec<f32> = picture.iter().map(|&byte| pixel_value(byte)).collect();
        let mut patches = vec![0.0; self.grid.tokens() * self.grid.patch_values()];
        self.grid.patchify(&pixels, &mut patches);
        let mut latents = match &self.tokenizer {
            None => self.project.apply(&patches),
            Some(tokenizer) => {
                let shape = [1, self.grid.tokens(), self.grid.patch_values()];
                let patches = Tensor::<3>::from_data(TensorData::new(patches, shape), &Device::flex());
                tokenizer.encode(patches).into_data().iter::<f32>().collect()
            }
        };
        if let Some(noise) = &self.noise {
            noise.add(picture, &mut latents);
        }
        let mut x = self.embed.apply(&latents);
        add(&mut x, &self.positions);
        for block in &self.blocks {
            block.forward(&mut x, width, self.spec.heads.into());
        }
        normalise(&mut x, width);
        x
    }
}

impl Embedder for RunEncoder {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn role(&self) -> Role {
        self.role
    }

    fn takes(&self) -> (usize, usize) {
        (self.spec.image.into(), self.spec.channels.into())
    }

    fn vectors(&self) -> Vec<Vector> {
        let dim = |p: Pooling| p.factor() as usize * usize::from(self.spec.width);
        self.poolings.iter().map(|&p| Vector { pooling: Some(p), dim: dim(p) }).collect()
    }

    fn embed(&self, picture: &[u8], out: &mut [&mut [f32]]) -> Result<()> {
        let tokens = self.tokens(picture);
        for (pooling, out) in self.poolings.iter().zip(out) {
            pool(&tokens, self.grid.side(), *pooling, out);
        }
        Ok(())
    }
}

impl Block {
    /// Adds attention and MLP to the stream x [N, W].
    fn forward(&self, x: &mut [f32], width: usize, heads: usize) {
        let part = |i: usize| &self.modulation[i * width..(i + 1) * width];
        let mixed = attend(&self.qkv.apply(&modulated(x, part(0), part(1))), width, heads);
        add_gated(x, &self.proj.apply(&mixed), part(2));
        let mut hidden = self.fc1.apply(&modulated(x, part(3), part(4)));
        gelu(&mut hidden);
        add_gated(x, &self.fc2.apply(&hidden), part(5));
    }
}

/// Attention outputs [N, W], heads side by side, of qkv [N, 3·W] (q, k, v; heads contiguous inside each).
fn attend(qkv: &[f32], width: usize, heads: usize) -> Vec<f32> {
    let (n, head) = (qkv.len() / (3 * width), width / heads);
    let scale = 1.0 / (head as f32).sqrt();
    let view = |offset: usize| MatRef::from_row_major_slice(qkv, n, 3 * width).subcols(offset, head);
    let mut mixed = vec![0.0; n * width];
    let mut scores = vec![0.0; n * n];
    for h in 0..heads {
        let (q, k, v) = (view(h * head), view(width + h * head), view(2 * width + h * head));
        // [N, d] x [d, N] -> [N, N]
        let s = MatMut::from_row_major_slice_mut(&mut scores, n, n);
        matmul(s, Accum::Replace, q, k.transpose(), scale, Par::Seq);
        scores.chunks_exact_mut(n).for_each(softmax);
        // [N, N] x [N, d] -> columns of this head
        let out = MatMut::from_row_major_slice_mut(&mut mixed, n, width).subcols_mut(h * head, head);
        matmul(out, Accum::Replace, MatRef::from_row_major_slice(&scores, n, n), v, 1.0, Par::Seq);
    }
    mixed
}

/// Patches to latents, z' = V_K (x - mean), and latents to width, W_eᵀ(mean + V_Kᵀ z') + bias.
fn front_end(weights: &Weights, spec: &EncoderSpec) -> Result<(Linear, Linear)> {
    let (p, k, w) = (spec.patch_values() as usize, usize::from(spec.rank), usize::from(spec.width));
    let (mean, basis) = (tensor(weights, "pca.mean")?, &tensor(weights, "pca.basis")?[..k * p]);
    let embed = Linear::of(weights, "encoder.embed")?;
    // Products of f64: these matrices are made once and stand for two layers each.
    let dot = |a: &[f32], b: &dyn Fn(usize) -> f32| -> f64 {
        a.iter().enumerate().map(|(i, v)| f64::from(*v) * f64::from(b(i))).sum()
    };
    let mut project = Linear { weight: vec![0.0; p * k], bias: vec![0.0; k] };
    let mut latents = Linear { weight: vec![0.0; k * w], bias: embed.bias.clone() };
    for (i, row) in basis.chunks_exact(p).enumerate() {
        project.bias[i] = -dot(row, &|j| mean[j]) as f32;
        for (j, v) in row.iter().enumerate() {
            project.weight[j * k + i] = *v;
        }
        for c in 0..w {
            latents.weight[i * w + c] = dot(row, &|j| embed.weight[j * w + c]) as f32;
        }
    }
    for (c, bias) in latents.bias.iter_mut().enumerate() {
        *bias += dot(mean, &|j| embed.weight[j * w + c]) as f32;
    }
    Ok((project, latents))
}

fn tensor<'a>(weights: &'a Weights, name: &str) -> Result<&'a [f32]> {
    weights.get(name).map(|t| &t.values[..]).ok_or_else(|| {
        Error::new(format!("the weights have no tensor {name}")).hint("the checkpoint is of another version or damaged")
    })
}

/// LayerNorm without affine, row by row.
fn normalise(x: &mut [f32], width: usize) {
    for row in x.chunks_exact_mut(width) {
        let mean = row.iter().sum::<f32>() / width as f32;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / width as f32;
        let factor = 1.0 / (variance + NORM_EPSILON as f32).sqrt();
        row.iter_mut().for_each(|v| *v = (*v - mean) * factor);
    }
}

/// LN(x)·(1 + scale) + shift.
fn modulated(x: &[f32], shift: &[f32], scale: &[f32]) -> Vec<f32> {
    let mut y = x.to_vec();
    normalise(&mut y, shift.len());
    for row in y.chunks_exact_mut(shift.len()) {
        row.iter_mut().zip(shift.iter().zip(scale)).for_each(|(v, (shift, scale))| *v = *v * (1.0 + scale) + shift);
    }
    y
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn add_gated(x: &mut [f32], y: &[f32], gate: &[f32]) {
    for (x, y) in x.chunks_exact_mut(gate.len()).zip(y.chunks_exact(gate.len())) {
        x.iter_mut().zip(y.iter().zip(gate)).for_each(|(x, (y, gate))| *x += y * gate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::model;
    use crate::model::reference::encode;

    #[test]
    fn equals_the_plain_f64_network_on_the_projected_picture() {
        for (rank, t) in [(48, 10), (12, 10), (12, 700)] {
            let (weights, pictures) = model(rank);
            let encoder = RunEncoder::new("trained", &weights, t, &pooling::ALL).unwrap();
            let grid = PatchGrid::of(&weights.spec().encoder).unwrap();
            let fitted = weights.pca();
            for picture in &pictures {
                let pixels: Vec<f32> = picture.iter().map(|&b| pixel_value(b)).collect();
                let patches: Vec<Vec<f64>> = (0..grid.tokens())
                    .map(|token| {
                        let (mut patch, mut z) = ([0.0; 48], vec![0.0; rank.into()]);
                        grid.copy_patch(&pixels, token, &mut patch);
                        fitted.view().project(&patch, &mut z);
                        fitted.view().reconstruct(&z, &mut patch);
                        patch.map(f64::from).to_vec()
                    })
                    .collect();
                let want = encode(&weights, &patches, t.into());
                for (got, want) in encoder.tokens(picture).iter().zip(want.iter().flatten()) {
                    assert!((f64::from(*got) - want).abs() < 1e-4, "rank {rank}, t {t}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn equals_the_folded_reference() {
        let (weights, pictures) = model(12);
        let unfolded = RunEncoder::new("trained", &weights, 300, &pooling::ALL).unwrap();
        let folded = crate::quantise::FloatEncoder::fold(&weights, 300, Pooling::Mean).unwrap();
        for picture in &pictures {
            for (a, b) in unfolded.tokens(picture).iter().zip(folded.tokens(picture)) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }

    #[test]
    fn gives_every_pooling_from_one_pass() {
        let (weights, pictures) = model(12);
        let encoder = RunEncoder::new("trained", &weights, 10, &pooling::ALL).unwrap();
        let dims: Vec<usize> = encoder.vectors().iter().map(|v| v.dim).collect();
        assert_eq!(dims, [24, 48, 96]);
        let (mut a, mut b, mut c) = (vec![0.0; 24], vec![0.0; 48], vec![0.0; 96]);
        encoder.embed(&pictures[0], &mut [&mut a, &mut b, &mut c]).unwrap();
        assert_eq!(a, b[..24]);
        assert!(b[24..].iter().all(|d| *d > 0.0));
    }

    #[test]
    fn refuses_a_time_step_outside() {
        let (weights, _) = model(12);
        assert!(RunEncoder::new("trained", &weights, 1001, &pooling::ALL).is_err());
    }
}
