//! Noise on what an encoder sees: z = gamma_t·z0 + sigma_t·eps on the latents of a picture (METHOD.md sections 1 and 3), for embeddings of
//! noised pictures at the time step that the encoder is told.
//!
//! An encoder's first layer reads the picture's coordinates v = V_K (x − mean) along K orthonormal directions, those of the PCA, or of the
//! span of another tokenizer per patch ([`crate::model::canonical`]), whose latents are s·z0 = C v with C lower triangular (Gram-Schmidt).
//! Behind a convolutional tokenizer it reads z0 itself.
//!
//! eps is a function of the picture's bytes (their CRC-32 is the sample of a Philox stream), so that it depends neither on the order
//! of the pictures nor on threads, and is the same at every t: the points of a curve over t differ in amplitude only.

use crate::model::pca::PatchPca;
use crate::recipe::Schedule;
use crate::tokenizer::{LinearTokenizer, Tokenizer};
use ldae_shared::crc::crc32;
use ldae_shared::noise::{Purpose, Stream};

/// Epoch of the stream: none that training reaches, and not the one of the report's reconstructions.
const EPOCH: u32 = u32::MAX - 1;
/// Seed of evaluation's noise, the same for every run, so that runs are compared under the same noise.
const SEED: u64 = 1;

/// s·sigma_t/gamma_t: the first layer of an encoder at time step t scales what it is given by gamma_t itself
/// ([`crate::model::Weights::at`]).
#[derive(Clone, Debug, PartialEq)]
pub struct InputNoise {
    amplitude: f32,
    /// C [K, K], where it is not the identity.
    mixing: Option<Vec<f32>>,
}

impl InputNoise {
    /// At time step `t`, on the latents of `tokenizer`; `front` is the projection of the encoder behind it. `None` where gamma is 0:
    /// nothing of the picture is left.
    pub fn new(schedule: Schedule, t: u16, tokenizer: &Tokenizer, front: &PatchPca) -> Option<Self> {
        let (scale, mixing) = match tokenizer {
            Tokenizer::Pca(pca) => (pca.scale, None),
            Tokenizer::Linear(linear) => (linear.scale, Some(mixing(linear, front))),
            Tokenizer::Conv(_) => (1.0, None),
        };
        let (gamma, sigma) = (schedule.gamma(t.into()), schedule.sigma(t.into()));
        (gamma > 0.0).then(|| InputNoise { amplitude: (f64::from(scale) * sigma / gamma) as f32, mixing })
    }

    /// v -> v + s·sigma/gamma·C⁻¹ eps, in place; coordinates [N, K] of `picture`.
    pub fn add(&self, picture: &[u8], coordinates: &mut [f32]) {
        let mut stream = Stream::new(SEED, Purpose::Latent, EPOCH, crc32(picture));
        let Some(c) = &self.mixing else {
            return coordinates.iter_mut().for_each(|v| *v += self.amplitude * stream.gaussian());
        };
        let k = c.len().isqrt();
        let mut solved = vec![0f32; k];
        for token in coordinates.chunks_exact_mut(k) {
            // Forward substitution.
            for (i, row) in c.chunks_exact(k).enumerate() {
                let known: f32 = row[..i].iter().zip(&solved).map(|(c, y)| c * y).sum();
                let rest = self.amplitude * stream.gaussian() - known;
                // A latent that depends on those before it adds nothing of its own.
                solved[i] = if row[i] == 0.0 { 0.0 } else { rest / row[i] };
            }
            token.iter_mut().zip(&solved).for_each(|(v, y)| *v += y);
        }
    }
}

/// C = A V_Kᵀ [K, K], of which the lower triangle is read.
fn mixing(tokenizer: &LinearTokenizer, front: &PatchPca) -> Vec<f32> {
    let p = tokenizer.mean.len();
    let k = tokenizer.encode.len() / p;
    let dot = |a: &[f32], v: &[f32]| a.iter().zip(v).map(|(a, v)| f64::from(*a) * f64::from(*v)).sum::<f64>() as f32;
    let rows = tokenizer.encode.chunks_exact(p);
    rows.flat_map(|a| front.basis.chunks_exact(p).take(k).map(move |v| dot(a, v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::run_encoder::RunEncoder;
    use crate::eval::testing::model;
    use crate::model::reference::encode;
    use ldae_shared::patch::{PatchGrid, pixel_value};
    use ldae_shared::spec::Pooling;

    #[test]
    fn noise_has_the_schedules_amplitude_and_belongs_to_the_picture() {
        let front = PatchPca { mean: Vec::new(), basis: Vec::new(), scale: 1.0, eigenvalues: Vec::new() };
        let identity = |scale: f32| Tokenizer::Pca(LinearTokenizer { scale, ..LinearTokenizer::of_pca(&front, 0) });
        let latents = vec![3.0f32; 40_000];
        let noised = |t, picture: &[u8]| {
            let mut z = latents.clone();
            InputNoise::new(Schedule::Ddpm, t, &identity(2.0), &front).unwrap().add(picture, &mut z);
            z
        };
        let z = noised(300, &[1, 2, 3]);
        assert_eq!(z, noised(300, &[1, 2, 3]));
        assert_ne!(z, noised(300, &[1, 2, 4]));
        let n = z.len() as f64;
        let mean = z.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let deviation = (z.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt();
        let gamma2 = ldae_shared::noise::schedule::alpha_bar_ddpm(300);
        let expected = 2.0 * ((1.0 - gamma2) / gamma2).sqrt();
        // Four standard errors of 40 000 samples.
        assert!((mean - 3.0).abs() < 4.0 * expected / n.sqrt(), "{mean}");
        assert!((deviation - expected).abs() < 4.0 * expected / (2.0 * n).sqrt(), "{deviation} {expected}");
        assert_eq!(noised(0, &[1]), latents);
        assert_eq!(InputNoise::new(Schedule::Gamma2Linear, 1000, &identity(1.0), &front), None);
    }

    /// x_t = mean + s·V_Kᵀ(gamma·z0 + sigma·eps) as patches, in f64, through the plain network.
    #[test]
    fn noised_input_equals_the_plain_f64_network_on_x_t() {
        let (weights, pictures) = model(12);
        let pca = weights.pca();
        let grid = PatchGrid::of(&weights.spec().encoder).unwrap();
        for (schedule, t) in [(Schedule::SigmaLinear, 400), (Schedule::Ddpm, 200)] {
            let tokenizer = Tokenizer::Pca(LinearTokenizer::of_pca(&pca, 12));
            let noise = InputNoise::new(schedule, t, &tokenizer, &pca).unwrap();
            let weights = weights.clone().with_schedule(schedule);
            let encoder = RunEncoder::new("", &weights, t, &[Pooling::Mean]).unwrap().with_noise(noise);
            let (gamma, sigma) = (schedule.gamma(t.into()), schedule.sigma(t.into()));
            let picture = &pictures[0];
            let pixels: Vec<f32> = picture.iter().map(|&b| pixel_value(b)).collect();
            let mut eps = Stream::new(1, Purpose::Latent, u32::MAX - 1, ldae_shared::crc::crc32(picture));
            let s = f64::from(pca.scale);
            let patches: Vec<Vec<f64>> = (0..grid.tokens())
                .map(|token| {
                    let mut patch = [0.0; 48];
                    grid.copy_patch(&pixels, token, &mut patch);
                    let mut x: Vec<f64> = pca.mean.iter().map(|m| f64::from(*m)).collect();
                    for v in pca.basis.chunks_exact(48).take(12) {
                        let dot = v.iter().zip(patch.iter().zip(&pca.mean));
                        let z0 =
                            dot.map(|(v, (p, m))| f64::from(*v) * (f64::from(*p) - f64::from(*m))).sum::<f64>() / s;
                        let z = gamma * z0 + sigma * f64::from(eps.gaussian());
                        x.iter_mut().zip(v).for_each(|(x, v)| *x += s * z * f64::from(*v));
                    }
                    x
                })
                .collect();
            let want = encode(&weights, &patches, t.into());
            for (got, want) in encoder.tokens(picture).iter().zip(want.iter().flatten()) {
                assert!((f64::from(*got) - want).abs() < 2e-4, "{schedule:?}: {got} {want}");
            }
        }
    }
}
