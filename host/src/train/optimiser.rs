//! AdamW, global-norm clipping, the moving average of the weights and the learning-rate schedule.
//!
//! All state is flat f32 tensors in layout order, so that a checkpoint names and restores every number. AdamW:
//! Loshchilov, Hutter, "Decoupled weight decay regularization", 2019, betas 0.9 / 0.999 and epsilon 1e-8 (DiT).

use super::adamw::{self, Factors};
use super::workers::Workers;
use crate::model::is_cpu;
use burn::tensor::{Device, Tensor};

/// First-moment decay.
const BETA1: f64 = 0.9;
/// Second-moment decay.
const BETA2: f64 = 0.999;
/// Guards the division.
const EPSILON: f64 = 1e-8;

/// Parameters with their optimiser state, without autodiff.
#[derive(Clone, Debug)]
pub struct State {
    /// Current weights.
    pub parameters: Vec<Tensor<1>>,
    /// First moments.
    pub first: Vec<Tensor<1>>,
    /// Second moments.
    pub second: Vec<Tensor<1>>,
    /// Moving average of the weights: what is evaluated and exported.
    pub average: Vec<Tensor<1>>,
    /// Steps taken.
    pub step: u64,
}

/// Settings of one update.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decoupled weight decay, for tensors whose flag is set.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; 0 switches clipping off.
    pub clip: f64,
    /// Largest decay of the moving average.
    pub average_decay: f64,
}

impl State {
    /// Zero moments, average equal to the weights.
    pub fn new(parameters: Vec<Tensor<1>>) -> Self {
        let zeros: Vec<_> = parameters.iter().map(Tensor::zeros_like).collect();
        State { first: zeros.clone(), second: zeros, average: parameters.clone(), parameters, step: 0 }
    }

    /// One step. `norm` is the global norm of `gradients` ([`global_norm`]); `decayed` says which tensors decay. On the CPU the workers share
    /// the tensors.
    pub fn update(
        &mut self,
        gradients: Vec<Tensor<1>>,
        norm: &Norm,
        decayed: &[bool],
        update: &Update,
        workers: &Workers,
    ) {
        self.step += 1;
        let step = self.step as f64;
        // m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + e), the corrections folded into two scalars.
        let rate = update.learning_rate / (1.0 - BETA1.powf(step));
        let second_correction = 1.0 / (1.0 - BETA2.powf(step));
        // Short runs: the average follows within the first steps and reaches its decay only after about 9/(1 - decay).
        let decay = update.average_decay.min((1.0 + step) / (10.0 + step));
        let kept = |i: usize| {
            if decayed[i] { 1.0 - update.learning_rate * update.weight_decay } else { 1.0 }
        };
        let device = self.parameters.first().map(Tensor::device).unwrap_or_default();
        if let Norm::Known(norm) = norm
            && is_cpu(&device)
        {
            let shrink = if update.clip > 0.0 && *norm > update.clip { update.clip / norm } else { 1.0 };
            return adamw::update(self, gradients, &device, workers, |i| Factors {
                shrink: shrink as f32,
                first: [BETA1 as f32, (1.0 - BETA1) as f32],
                second: [BETA2 as f32, (1.0 - BETA2) as f32],
                rate: rate as f32,
                correction: second_correction as f32,
                epsilon: EPSILON as f32,
                keep: kept(i) as f32,
                average: [decay as f32, (1.0 - decay) as f32],
            });
        }
        let shrink =
            (update.clip > 0.0).then(|| norm.tensor(&device).clamp_min(update.clip).recip().mul_scalar(update.clip));
        for (i, gradient) in gradients.into_iter().enumerate() {
            let gradient = shrink.iter().fold(gradient, |gradient, shrink| gradient * shrink.clone());
            self.first[i] = self.first[i].clone().mul_scalar(BETA1) + gradient.clone().mul_scalar(1.0 - BETA1);
            self.second[i] = self.second[i].clone().mul_scalar(BETA2) + gradient.square().mul_scalar(1.0 - BETA2);
            let divisor = self.second[i].clone().mul_scalar(second_correction).sqrt().add_scalar(EPSILON);
            let change = (self.first[i].clone() / divisor).mul_scalar(rate);
            let weights = self.parameters[i].clone().mul_scalar(kept(i));
            self.parameters[i] = weights - change;
            self.average[i] =
                self.average[i].clone().mul_scalar(decay) + self.parameters[i].clone().mul_scalar(1.0 - decay);
        }
    }
}

/// Global norm of a gradient.
#[derive(Clone, Debug)]
pub enum Norm {
    /// Computed on the CPU.
    Known(f64),
    /// On a device that nobody waits for, `[1]`.
    OnDevice(Box<Tensor<1>>),
}

impl Norm {
    /// The number; waits for the device.
    pub fn read(&self) -> f64 {
        match self {
            Norm::Known(norm) => *norm,
            Norm::OnDevice(norm) => Tensor::clone(norm).into_data().iter::<f32>().map(f64::from).sum(),
        }
    }

    fn tensor(&self, device: &Device) -> Tensor<1> {
        match self {
            Norm::Known(norm) => Tensor::from_data([*norm as f32], device),
            Norm::OnDevice(norm) => Tensor::clone(norm),
        }
    }
}

/// Global norm over all tensors.
pub fn global_norm(gradients: &[Tensor<1>], workers: &Workers) -> Norm {
    if gradients.first().is_some_and(|g| is_cpu(&g.device())) {
        return Norm::Known(adamw::sum_of_squares(gradients, workers).sqrt());
    }
    let squares: Vec<Tensor<1>> = gradients.iter().map(|g| g.clone().square().sum()).collect();
    Norm::OnDevice(Box::new(Tensor::cat(squares, 0).sum().sqrt()))
}

/// Linear warm-up over `warmup` steps, then half a cosine to zero at `total`. `step` counts from 0.
pub fn learning_rate(peak: f64, step: u64, warmup: u64, total: u64) -> f64 {
    if step < warmup {
        return peak * (step + 1) as f64 / warmup as f64;
    }
    let progress = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    peak * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &Device::flex())
    }

    fn values(tensor: &Tensor<1>) -> Vec<f32> {
        tensor.clone().into_data().try_to_vec().unwrap()
    }

    /// Ten steps against the published equations in f64.
    #[test]
    fn adamw_is_the_published_update() {
        let (rate, decay, clip) = (0.01, 0.1, 0.5);
        let workers = Workers::new(2).unwrap();
        let start = [[0.5f32, -1.0], [2.0, 0.25]];
        let mut state = State::new(start.iter().map(|v| tensor(v)).collect());
        let (mut p, mut m, mut v, mut e) =
            (start.map(|t| t.map(f64::from)), [[0f64; 2]; 2], [[0f64; 2]; 2], [[0f64; 2]; 2]);
        e.clone_from(&p);
        for step in 1..=10i32 {
            let gradient: Vec<[f32; 2]> =
                (0..2).map(|i| [0.3 * step as f32 - i as f32, 0.1 * (step * step) as f32 - 2.0]).collect();
            let tensors: Vec<_> = gradient.iter().map(|g| tensor(g)).collect();
            let norm = global_norm(&tensors, &workers);
            let exact: f64 = gradient.iter().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            assert!((norm.read() / exact - 1.0).abs() < 1e-6);
            state.update(
                tensors,
                &norm,
                &[true, false],
                &Update { learning_rate: rate, weight_decay: decay, clip, average_decay: 0.99 },
                &workers,
            );
            let average_decay = 0.99f64.min((1.0 + f64::from(step)) / (10.0 + f64::from(step)));
            for i in 0..2 {
                for j in 0..2 {
                    let g = f64::from(gradient[i][j]) * (clip / exact).min(1.0);
                    m[i][j] = 0.9 * m[i][j] + 0.1 * g;
                    v[i][j] = 0.999 * v[i][j] + 0.001 * g * g;
                    let (mh, vh) = (m[i][j] / (1.0 - 0.9f64.powi(step)), v[i][j] / (1.0 - 0.999f64.powi(step)));
                    let decayed = if i == 0 { rate * decay * p[i][j] } else { 0.0 };
                    p[i][j] -= rate * mh / (vh.sqrt() + 1e-8) + decayed;
                    e[i][j] = average_decay * e[i][j] + (1.0 - average_decay) * p[i][j];
                }
            }
        }
        for i in 0..2 {
            for j in 0..2 {
                assert!((f64::from(values(&state.parameters[i])[j]) - p[i][j]).abs() < 1e-5);
                assert!((f64::from(values(&state.average[i])[j]) - e[i][j]).abs() < 1e-5);
            }
        }
        assert_eq!(state.step, 10);
    }

    #[test]
    fn schedule_rises_peaks_and_ends_at_zero() {
        let rates: Vec<f64> = (0..100).map(|s| learning_rate(1.0, s, 10, 100)).collect();
        assert_eq!((rates[0], rates[9], rates[10]), (0.1, 1.0, 1.0));
        assert!((rates[55] - 0.5).abs() < 1e-12);
        assert!(rates[99] < 0.001 && rates[10..].windows(2).all(|w| w[0] > w[1]));
        assert_eq!(learning_rate(1.0, 0, 0, 1), 1.0);
    }
}
