//! DDIM and ancestral sampling over a list of falling time steps.

use super::time_steps;
use crate::Result;
use crate::recipe::Schedule;
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Without noise: the picture is a function of the first z_T.
    Ddim,
    /// With the noise of the posterior.
    Ancestral,
}

/// What a network estimates, [B, N, K].
#[derive(Clone, Debug)]
pub enum Answer {
    /// The noise eps.
    Noise(Tensor<3>),
    /// The clean latents z0.
    Clean(Tensor<3>),
}

/// What is sampled and how.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The schedule the network was trained with.
    pub schedule: Schedule,
    /// How a step is taken.
    pub sampler: Sampler,
    /// Number of steps.
    pub steps: u32,
    /// Tokens N and latent values K of one.
    pub shape: [usize; 2],
    /// Random seed.
    pub seed: u64,
}

/// Latents z0 [B, N, K] of pictures `range` (B of them) on `device`; `predict(z_t, t)` is the network's answer.
///
/// # Errors
/// The number of steps or the schedule cannot be sampled.
pub fn sample(
    settings: &Settings,
    range: Range<u32>,
    device: &Device,
    mut predict: impl FnMut(Tensor<3>, u32) -> Answer,
) -> Result<Tensor<3>> {
    let times = time_steps(settings.schedule, settings.steps)?;
    let noise = |step: u32| noise(settings, range.clone(), step, device);
    let level = |t: u32| Level { gamma: settings.schedule.gamma(t), sigma: settings.schedule.sigma(t) };
    let first = level(times[0]);
    let mut z = noise(0).mul_scalar(first.gamma.hypot(first.sigma));
    for (step, pair) in times.windows(2).enumerate() {
        let (from, to) = (level(pair[0]), level(pair[1]));
        let (clean, eps) = from.split(z.clone(), predict(z.clone(), pair[0]));
        z = match settings.sampler {
            Sampler::Ddim => clean.mul_scalar(to.gamma) + eps.mul_scalar(to.sigma),
            Sampler::Ancestral => {
                let [of_z, of_clean, deviation] = from.posterior(to);
                let mean = z.mul_scalar(of_z) + clean.mul_scalar(of_clean);
                if deviation == 0.0 { mean } else { mean + noise(step as u32 + 1).mul_scalar(deviation) }
            }
        };
    }
    Ok(z)
}

/// Standard normal noise of step `step` for every picture of `range`.
fn noise(settings: &Settings, range: Range<u32>, step: u32, device: &Device) -> Tensor<3> {
    let [n, k] = settings.shape;
    let mut values = vec![0f32; range.len() * n * k];
    for (picture, values) in range.clone().zip(values.chunks_exact_mut(n * k)) {
        Stream::new(settings.seed, Purpose::Sample, step, picture).fill_gaussian(values);
    }
    Tensor::from_data(TensorData::new(values, [range.len(), n, k]), device)
}

/// One level of a schedule.
#[derive(Clone, Copy, Debug)]
struct Level {
    gamma: f64,
    sigma: f64,
}

impl Level {
    /// Estimates of z0 and eps from z_t and either of them.
    fn split(self, z: Tensor<3>, answer: Answer) -> (Tensor<3>, Tensor<3>) {
        match answer {
            Answer::Noise(eps) => ((z - eps.clone().mul_scalar(self.sigma)).div_scalar(self.gamma), eps),
            Answer::Clean(clean) => (clean.clone(), (z - clean.mul_scalar(self.gamma)).div_scalar(self.sigma)),
        }
    }

    /// Factors of z_t and z0^ in the posterior's mean, and its standard deviation.
    fn posterior(self, to: Level) -> [f64; 3] {
        let a = self.gamma / to.gamma;
        let variance = self.sigma * self.sigma;
        let added = variance - (a * to.sigma).powi(2);
        [a * to.sigma * to.sigma / variance, to.gamma * added / variance, to.sigma * (added.max(0.0) / variance).sqrt()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULES: [Schedule; 3] = [Schedule::Ddpm, Schedule::Gamma2Linear, Schedule::SigmaLinear];

    fn settings(schedule: Schedule, sampler: Sampler, steps: u32) -> Settings {
        Settings { schedule, sampler, steps, shape: [16, 16], seed: 3 }
    }

    /// The exact estimate of z0 for data N(m, s²), each value for itself: E[z0 | z_t] of two jointly Gaussian variables.
    fn exact(z: Tensor<3>, level: Level, m: f64, s: f64) -> Tensor<3> {
        let Level { gamma, sigma } = level;
        let gain = gamma * s * s / (gamma * gamma * s * s + sigma * sigma);
        z.sub_scalar(gamma * m).mul_scalar(gain).add_scalar(m)
    }

    /// Mean and deviation of 256 pictures (65536 values) drawn with the exact estimate; as eps where `noise` is set.
    fn moments(settings: &Settings, m: f64, s: f64, noise: bool) -> [f64; 2] {
        let z = sample(settings, 0..256, &Device::flex(), |z, t| {
            let level = Level { gamma: settings.schedule.gamma(t), sigma: settings.schedule.sigma(t) };
            let clean = exact(z.clone(), level, m, s);
            if noise { Answer::Noise(level.split(z, Answer::Clean(clean)).1) } else { Answer::Clean(clean) }
        });
        let values: Vec<f64> = z.unwrap().into_data().iter::<f32>().map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        [mean, variance.sqrt()]
    }

    /// Where the first z_T has the moments of the data at T, both samplers must end with those of the data. Bounds: five standard
    /// errors of 65536 values, and what finite steps cost (1000 steps: of order 1/1000).
    #[test]
    fn exact_denoisers_give_the_distribution_of_the_data() {
        for sampler in [Sampler::Ddim, Sampler::Ancestral] {
            for (schedule, m, s) in
                [(Schedule::Ddpm, 0.7, 0.5), (Schedule::Gamma2Linear, 0.0, 1.0), (Schedule::SigmaLinear, 0.0, 1.0)]
            {
                let [mean, deviation] = moments(&settings(schedule, sampler, 999), m, s, false);
                assert!((mean - m).abs() < 5.0 * s / 256.0, "{sampler:?} {schedule:?}: mean {mean}");
                assert!((deviation / s - 1.0).abs() < 0.02, "{sampler:?} {schedule:?}: deviation {deviation}");
            }
        }
    }

    /// DDIM follows the probability flow: for N(m, s²) it maps z_T linearly, z_0 = m + s·(z_T − gamma·m)/√(gamma²s² + sigma²),
    /// from whatever it starts.
    #[test]
    fn ddim_follows_the_flow() {
        for schedule in SCHEDULES {
            let settings = settings(schedule, Sampler::Ddim, 999);
            let last = time_steps(schedule, 999).unwrap()[0];
            let (gamma, sigma) = (schedule.gamma(last), schedule.sigma(last));
            let (m, s) = (0.4, 0.6);
            let start = super::noise(&settings, 0..2, 0, &Device::flex()).mul_scalar(gamma.hypot(sigma));
            let z = sample(&settings, 0..2, &Device::flex(), |z, t| {
                Answer::Clean(exact(z, Level { gamma: schedule.gamma(t), sigma: schedule.sigma(t) }, m, s))
            });
            let marginal = (gamma * gamma * s * s + sigma * sigma).sqrt();
            for (z0, start) in z.unwrap().into_data().iter::<f32>().zip(start.into_data().iter::<f32>()) {
                let expected = m + s * (f64::from(start) - gamma * m) / marginal;
                assert!((f64::from(z0) - expected).abs() < 0.01, "{schedule:?}: {z0} against {expected}");
            }
        }
    }

    /// With few steps the estimates may be given either way, and pictures do not depend on those drawn beside them.
    #[test]
    fn either_answer_and_any_batches_give_the_same() {
        for sampler in [Sampler::Ddim, Sampler::Ancestral] {
            for schedule in SCHEDULES {
                let settings = settings(schedule, sampler, 10);
                let (a, b) = (moments(&settings, 0.3, 0.8, false), moments(&settings, 0.3, 0.8, true));
                assert!((a[0] - b[0]).abs() < 1e-4 && (a[1] - b[1]).abs() < 1e-4, "{a:?} {b:?}");
                let draw = |range| {
                    let z = sample(&settings, range, &Device::flex(), |z, _| Answer::Clean(z.mul_scalar(0.5)));
                    z.unwrap().into_data().try_to_vec::<f32>().unwrap()
                };
                assert_eq!(draw(0..3)[256..512], draw(1..2));
                assert_ne!(draw(0..1), draw(1..2));
            }
        }
    }

    /// The posterior's moments by the product of the two Gaussians q(z_t | z_s)·q(z_s | z0), completed to a square.
    #[test]
    fn the_posterior_is_the_product_of_its_gaussians() {
        for schedule in SCHEDULES {
            for (t, s) in [(900, 500), (300, 299), (2, 1)] {
                let level = |t| Level { gamma: schedule.gamma(t), sigma: schedule.sigma(t) };
                let (from, to) = (level(t), level(s));
                let [of_z, of_clean, deviation] = from.posterior(to);
                let a = from.gamma / to.gamma;
                let step_variance = from.sigma.powi(2) - (a * to.sigma).powi(2);
                let precision = a * a / step_variance + 1.0 / to.sigma.powi(2);
                let near = |x: f64, y: f64| assert!((x - y).abs() < 1e-9 * y.abs().max(1.0), "{x} against {y}");
                near(deviation, precision.powf(-0.5));
                near(of_z, a / step_variance / precision);
                near(of_clean, to.gamma / to.sigma.powi(2) / precision);
            }
        }
    }
}
