//! Noising and the losses of the recipes that denoise (METHOD.md sections 1 to 3).
//!
//! Given clean patches x0 [B, N, P], standard normal eps [B, N, K] and time steps t: latents z0 of the tokenizer,
//! z_t = gamma_t·z0 + sigma_t·eps, the network sees z_t or its picture mean + s·Dᵀ z_t, and the loss of a picture is
//!
//! | target | loss |
//! |---|---|
//! | noise | mean (eps − net)² |
//! | clean latent | λ·mean (z0 − net)² |
//! | projected image | λ·mean (mean + s·Dᵀ z0 − net)² |
//! | image | λ·mean w_i r_i², r = V (x0 − net), w_i = 1 for the K kept directions and 0.1 beyond |
//!
//! with λ = gamma²/(gamma² + sigma²), and the mean over all values of the picture (instead of the sum: a constant factor that
//! keeps gradients of all shapes at one size for the clipping). V is orthonormal, so
//! sum w_i r_i² = 0.1·‖x0 − net‖² + 0.9·‖V_K (x0 − net)‖²: only K of the P rows are multiplied.

use super::super::batch::Batches;
use crate::model::block::{one_hot, unit_rows};
use crate::model::net::Net;
use crate::model::{Feed, Space};
use crate::recipe::{Denoise, Sees, Target};
use crate::tokenizer::LatentSpace;
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::schedule::STEPS;

/// Share of the pictures whose class is not said during training (DiT, for classifier-free guidance).
const UNSAID: f32 = 0.1;

/// A denoiser's parts on a device.
#[derive(Clone, Debug)]
pub struct Denoising {
    parts: Denoise,
    space: LatentSpace,
    /// gamma_t, sigma_t and lambda_t for t in 0..=T.
    gamma: Vec<f32>,
    sigma: Vec<f32>,
    weight: Vec<f32>,
    residual_weight: f32,
    /// Classes that condition the network; 0: none.
    classes: usize,
}

/// Pictures of one training step (or a part of it) on a device, with their noise.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Clean patches [B, N, P].
    pub clean: Tensor<3>,
    /// Noise [B, N, K].
    pub noise: Tensor<3>,
    /// Time step of each picture.
    pub t: Vec<u32>,
    /// One at the class of each picture, [B, classes + 1].
    pub classes: Option<Tensor<2>>,
    /// 0 where the vector that conditions the decoder is dropped, else 1: [B, 1].
    pub kept: Option<Tensor<2>>,
}

impl Sample {
    /// Without classes and dropout.
    pub fn plain(clean: Tensor<3>, noise: Tensor<3>, t: Vec<u32>) -> Self {
        Sample { clean, noise, t, classes: None, kept: None }
    }
}

impl Denoising {
    pub(super) fn new(parts: &Denoise, space: LatentSpace, residual_weight: f32, classes: usize) -> Self {
        let table = |of: &dyn Fn(u32) -> f64| (0..=STEPS).map(|t| of(t) as f32).collect();
        let schedule = parts.schedule;
        Denoising {
            gamma: table(&|t| schedule.gamma(t)),
            sigma: table(&|t| schedule.sigma(t)),
            weight: table(&|t| schedule.clean_weight(t)),
            parts: parts.clone(),
            space,
            residual_weight,
            classes,
        }
    }

    /// The recipe's parts.
    pub fn parts(&self) -> &Denoise {
        &self.parts
    }

    /// The tokenizer.
    pub fn space(&self) -> &LatentSpace {
        &self.space
    }

    /// Uniform on 1..=T, or the one level there is.
    pub(super) fn time_steps(&self, batches: &Batches, epoch: u32, samples: &[u32]) -> Vec<u32> {
        match self.parts.schedule.only_step() {
            Some(t) => vec![t; samples.len()],
            None => batches.time_steps(epoch, samples),
        }
    }

    /// Pictures, noise, time steps, classes and dropout of some samples of an epoch.
    pub(super) fn sample(&self, batches: &Batches, epoch: u32, samples: &[u32], device: &Device) -> Sample {
        let clean = batches.clean(epoch, samples, device);
        let noise = batches.noise(epoch, samples, device);
        let mut sample = Sample::plain(clean, noise, self.time_steps(batches, epoch, samples));
        let b = samples.len();
        if self.classes > 0 {
            let labels = batches.labels(samples);
            let said = labels.iter().zip(samples).map(|(&label, &sample)| {
                if batches.chance(epoch, sample)[0] < UNSAID { self.classes } else { usize::from(label) }
            });
            sample.classes = Some(one_hot(self.classes + 1, said, device));
        }
        if self.parts.condition_dropout > 0.0 {
            let dropped = |sample: u32| f64::from(batches.chance(epoch, sample)[1]) < self.parts.condition_dropout;
            let rows: Vec<f32> = samples.iter().map(|&s| if dropped(s) { 0.0 } else { 1.0 }).collect();
            sample.kept = Some(Tensor::from_data(TensorData::new(rows, [b, 1]), device));
        }
        sample
    }

    /// A value for each picture, [B, 1, 1].
    fn column(values: impl Iterator<Item = f32>, device: &Device) -> Tensor<3> {
        let values: Vec<f32> = values.collect();
        let b = values.len();
        Tensor::from_data(TensorData::new(values, [b, 1, 1]), device)
    }

    /// s·z_t [B, N, K] of s·z0.
    fn noisy_latents(&self, latents: Tensor<3>, noise: Tensor<3>, t: &[u32]) -> Tensor<3> {
        let device = latents.device();
        let at = |table: &[f32], t: u32| table[t.min(STEPS) as usize];
        let latents = if t.iter().all(|&t| at(&self.gamma, t) == 1.0) {
            latents
        } else {
            latents * Self::column(t.iter().map(|&t| at(&self.gamma, t)), &device)
        };
        latents + noise * Self::column(t.iter().map(|&t| self.space.scale() * at(&self.sigma, t)), &device)
    }

    /// What the network reads of s·z [B, N, K]: z, or its picture [B, N, P].
    fn input(&self, latents: Tensor<3>) -> Tensor<3> {
        match self.parts.input {
            Space::Latent => latents.div_scalar(self.space.scale()),
            Space::Image => self.space.decode(latents),
        }
    }

    /// What the encoder reads of clean patches [B, N, P] when they are embedded at t: gamma_t·z0, without noise.
    pub(super) fn clean_input(&self, patches: Tensor<3>, t: u32) -> Tensor<3> {
        let latents = self.space.encode(patches);
        let gamma = if self.parts.encoder_sees == Sees::Clean { 1.0 } else { self.gamma[t.min(STEPS) as usize] };
        self.input(if gamma == 1.0 { latents } else { latents.mul_scalar(gamma) })
    }

    /// Network output for what it reads, [B, N, P or K]; `seen` is what the encoder reads, if something else.
    fn predict(&self, net: &Net, input: Tensor<3>, seen: Option<Tensor<3>>, sample: &Conditions) -> Tensor<3> {
        let features = Net::time_table(sample.t, &input.device());
        let condition = net.condition(features.clone(), sample.classes.cloned());
        let tokens = net.encode(seen.unwrap_or_else(|| input.clone()), &condition);
        if self.parts.feed == Feed::Tokens {
            return net.decode(tokens, &condition);
        }
        let vector = self.vector(tokens.clone(), sample.kept);
        let condition = net.decoder_condition(&condition, features, Some(vector));
        net.decode(if self.parts.feed == Feed::Vector { input } else { tokens }, &condition)
    }

    /// The mean token [B, W], of length 1 if the recipe is directional, zero where it is dropped.
    fn vector(&self, tokens: Tensor<3>, kept: Option<&Tensor<2>>) -> Tensor<2> {
        let [b, _, w] = tokens.dims();
        let mut vector = tokens.mean_dim(1).reshape([b, w]);
        if self.parts.directional {
            vector = unit_rows(vector);
        }
        match kept {
            Some(kept) => vector * kept.clone(),
            None => vector,
        }
    }

    /// Loss of each picture, `[B]`.
    pub fn losses(&self, net: &Net, sample: &Sample) -> Tensor<1> {
        let [b, n, p] = sample.clean.dims();
        let device = sample.clean.device();
        let latents = self.space.encode(sample.clean.clone());
        let input = self.input(self.noisy_latents(latents.clone(), sample.noise.clone(), &sample.t));
        let seen = (self.parts.encoder_sees == Sees::Clean).then(|| self.input(latents.clone()));
        let conditions = Conditions { t: &sample.t, classes: sample.classes.as_ref(), kept: sample.kept.as_ref() };
        let predicted = self.predict(net, input, seen, &conditions);
        let squares = |difference: Tensor<3>| {
            let [_, _, values] = difference.dims();
            (difference.square().reshape([b, n * values]).sum_dim(1), n * values)
        };
        let (sum, values) = match self.parts.target {
            Target::Noise => squares(sample.noise.clone() - predicted),
            Target::CleanLatent => squares(latents.div_scalar(self.space.scale()) - predicted),
            Target::ProjectedImage => squares(self.space.decode(latents) - predicted),
            Target::Image => {
                let residual = (sample.clean.clone() - predicted).reshape([b * n, p]);
                let directions = self.space.directions().expect("`Recipe::check` wants a PCA for this target");
                let k = directions.dims()[0];
                let kept = residual.clone().matmul(directions.transpose());
                let all = residual.square().reshape([b, n * p]).sum_dim(1).mul_scalar(self.residual_weight);
                let kept = kept.square().reshape([b, n * k]).sum_dim(1).mul_scalar(1.0 - self.residual_weight);
                (all + kept, n * p)
            }
        };
        let weight = |t: u32| if self.parts.target == Target::Noise { 1.0 } else { self.weight[t.min(STEPS) as usize] };
        let weight: Vec<f32> = sample.t.iter().map(|&t| weight(t) / values as f32).collect();
        sum.reshape([b]) * Tensor::<1>::from_data(TensorData::new(weight, [b]), &device)
    }

    /// The picture of z_t, and the picture that the network sees behind the noise: two times [B, N, P].
    pub fn reconstruct(&self, net: &Net, sample: &Sample) -> (Tensor<3>, Tensor<3>) {
        let latents = self.space.encode(sample.clean.clone());
        let noisy = self.noisy_latents(latents, sample.noise.clone(), &sample.t);
        let conditions = Conditions { t: &sample.t, classes: None, kept: None };
        let scale = self.space.scale();
        let predicted = match self.parts.target {
            Target::ProjectedImage | Target::Image => self.predict(net, self.input(noisy.clone()), None, &conditions),
            _ => {
                let z = noisy.clone().div_scalar(scale);
                self.space.decode(self.estimate(net, z, &sample.t, None).mul_scalar(scale))
            }
        };
        (self.space.decode(noisy), predicted)
    }

    /// The network's estimate of z0 [B, N, K] from z_t, both of unit scale; `classes` as in [`Sample`].
    pub fn estimate(&self, net: &Net, z: Tensor<3>, t: &[u32], classes: Option<&Tensor<2>>) -> Tensor<3> {
        let scale = self.space.scale();
        let input = self.input(z.clone().mul_scalar(scale));
        let predicted = self.predict(net, input, None, &Conditions { t, classes, kept: None });
        match self.parts.target {
            Target::CleanLatent => predicted,
            Target::ProjectedImage | Target::Image => self.space.encode(predicted).div_scalar(scale),
            Target::Noise => {
                let device = z.device();
                let at = |table: &[f32], t: u32| table[t.min(STEPS) as usize];
                let noise = predicted * Self::column(t.iter().map(|&t| at(&self.sigma, t)), &device);
                (z - noise) / Self::column(t.iter().map(|&t| at(&self.gamma, t)), &device)
            }
        }
    }
}

/// What accompanies the network's input.
struct Conditions<'a> {
    t: &'a [u32],
    classes: Option<&'a Tensor<2>>,
    kept: Option<&'a Tensor<2>>,
}
