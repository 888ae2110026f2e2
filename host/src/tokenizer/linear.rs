//! Tokenizers of single patches: z = A (x − mean) / s, back x = mean + s·Dᵀ z, with A and D [K, P] and s the root mean square
//! of A (x − mean), so that latents have unit scale.
//!
//! Patch PCA has A = D = V_K. The patch autoencoder learns both without constraint by the squared error; the patch variational
//! autoencoder adds the divergence of its Gaussian posterior from N(0, 1), with a decoder of fixed deviation (reading:
//! [`DEVIATION`]); its latents are the posterior's means. (Paper A, section 4.2: patch-wise VAE, AE, PCA.)

use crate::Result;
use crate::cli::Output;
use crate::data::Split;
use crate::model::NamedTensor;
use crate::model::pca::PatchPca;
use crate::train::checkpoint::{read_tensor, to_device};
use crate::train::optimiser::{self, State, Update};
use crate::train::step::{Parts, mean_gradients};
use crate::train::workers::Workers;
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::{PatchGrid, pixel_value};

/// Deviation of the variational decoder in pixel values of -1 to 1: a tenth of what a picture spreads over (reading).
const DEVIATION: f64 = 0.1;
/// Steps, patches of a step and peak learning rate: the error is within 3 % of the PCA's, which no linear autoencoder beats (test).
const STEPS: u64 = 1000;
const BATCH: usize = 1024;
const LEARNING_RATE: f64 = 1e-3;
/// Both maps start at the PCA, displaced by this share of a row's length (reading). From random maps the directions of small
/// variance are not found in these steps: 4 dB are missing on CIFAR-10.
const DISPLACEMENT: f32 = 0.3;
/// Parts of a batch.
const SHARDS: usize = 4;
/// Epoch of the streams that choose patches; the PCA's is 0.
const EPOCH: u32 = 1;

/// A tokenizer of patches of P values.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearTokenizer {
    /// Mean patch, P values.
    pub mean: Vec<f32>,
    /// A, [K, P].
    pub encode: Vec<f32>,
    /// D, [K, P].
    pub decode: Vec<f32>,
    /// s.
    pub scale: f32,
}

/// Names of the tensors in a checkpoint.
pub const TENSORS: [&str; 3] = ["tokenizer.encode", "tokenizer.decode", "tokenizer.scale"];

impl LinearTokenizer {
    /// The first `rank` components of a PCA.
    pub fn of_pca(pca: &PatchPca, rank: usize) -> Self {
        let kept = pca.basis[..rank * pca.mean.len()].to_vec();
        LinearTokenizer { mean: pca.mean.clone(), encode: kept.clone(), decode: kept, scale: pca.scale }
    }

    /// Shapes of [`TENSORS`] for K latents of P values.
    pub fn shapes(rank: usize, p: usize) -> [Vec<usize>; 3] {
        [vec![rank, p], vec![rank, p], vec![1]]
    }

    /// What a checkpoint keeps beside the PCA, whose mean is the tokenizer's.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let p = self.mean.len();
        let values = [self.encode.clone(), self.decode.clone(), vec![self.scale]];
        TENSORS
            .into_iter()
            .zip(Self::shapes(self.encode.len() / p, p))
            .zip(values)
            .map(|((name, shape), values)| NamedTensor { name: name.to_owned(), shape, values })
            .collect()
    }

    /// Trains a patch autoencoder, or a variational one, on random training patches. The mean is the PCA's.
    ///
    /// # Errors
    /// The device does not hand over its values.
    pub fn train(
        variational: bool,
        grid: PatchGrid,
        rank: usize,
        split: &Split,
        pca: &PatchPca,
        seed: u64,
        (workers, out): (&Workers, &Output),
    ) -> Result<Self> {
        let p = grid.patch_values();
        let device = Device::flex();
        let displaced = |i: u32| -> Vec<f32> {
            let mut stream = Stream::new(seed, Purpose::Init, 3, i);
            let spread = DISPLACEMENT / (p as f32).sqrt();
            pca.basis[..rank * p].iter().map(|v| v + spread * stream.gaussian()).collect()
        };
        let mut parameters = vec![displaced(0), displaced(1)];
        if variational {
            // Small log-variances that do not depend on the patch at first: deviation 0.1.
            parameters.push(vec![0.0; rank * p]);
            parameters.push(vec![2.0 * (0.1f32).ln(); rank]);
        }
        let mut state = State::new(to_device(&parameters, &device));
        let decayed = vec![false; parameters.len()];
        let bar = out.progress("tokenizer", STEPS);
        while state.step < STEPS {
            let first = state.step as usize * BATCH;
            let result = mean_gradients(
                workers,
                Parts { count: SHARDS, recompute: false },
                BATCH,
                &state.parameters,
                |range, leaves| {
                    let samples = first + range.start..first + range.end;
                    let patches = patches(grid, split, pca, samples.clone(), seed);
                    let x = Tensor::<2>::from_data(TensorData::new(patches, [samples.len(), p]), &device);
                    losses(leaves, x, rank, variational.then_some((seed, first + range.start)))
                },
            );
            let norm = optimiser::global_norm(&result.gradients, workers);
            let rate = optimiser::learning_rate(LEARNING_RATE, state.step, STEPS / 20, STEPS);
            let update = Update { learning_rate: rate, weight_decay: 0.0, clip: 0.0, average_decay: 0.99 };
            state.update(result.gradients, &norm, &decayed, &update, workers);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let (encode, decode) = (read_tensor(&state.average[0])?, read_tensor(&state.average[1])?);
        // The root mean square over patches that training did not choose.
        let sample = patches(grid, split, pca, STEPS as usize * BATCH..STEPS as usize * BATCH + 8 * BATCH, seed);
        let mut squares = 0f64;
        for (patch, row) in sample.chunks_exact(p).flat_map(|patch| encode.chunks_exact(p).map(move |row| (patch, row)))
        {
            squares += row.iter().zip(patch).map(|(a, x)| f64::from(a * x)).sum::<f64>().powi(2);
        }
        let scale = (squares / (8 * BATCH * rank) as f64).sqrt() as f32;
        Ok(LinearTokenizer { mean: pca.mean.clone(), encode, decode, scale })
    }
}

/// Centred patches: sample i is a uniformly drawn picture and token.
fn patches(grid: PatchGrid, split: &Split, pca: &PatchPca, samples: std::ops::Range<usize>, seed: u64) -> Vec<f32> {
    let p = grid.patch_values();
    let mut bytes = vec![0u8; p];
    let mut all = Vec::with_capacity(samples.len() * p);
    for sample in samples {
        let mut stream = Stream::new(seed, Purpose::Patches, EPOCH, sample as u32);
        let image = split.image(stream.below(split.len() as u32) as usize);
        grid.copy_patch(image, stream.below(grid.tokens() as u32) as usize, &mut bytes);
        all.extend(bytes.iter().zip(&pca.mean).map(|(&byte, mean)| pixel_value(byte) - mean));
    }
    all
}

/// Loss of each centred patch x [b, P]: ‖x − Dᵀ A x‖²/2, or of a variational autoencoder ‖x − Dᵀ z‖²/(2·DEVIATION²) + KL with
/// z = A x + exp(v/2)·eps, v = C x + c; `noise` is the seed and the number of the first sample.
fn losses(leaves: &[Tensor<1>], x: Tensor<2>, rank: usize, noise: Option<(u64, usize)>) -> Tensor<1> {
    let [b, p] = x.dims();
    let matrix = |i: usize| leaves[i].clone().reshape([rank, p]);
    let mean = x.clone().matmul(matrix(0).transpose()); // [b, K]
    let error = |z: Tensor<2>| (x.clone() - z.matmul(matrix(1))).square().sum_dim(1).reshape([b]);
    let Some((seed, first)) = noise else { return error(mean).mul_scalar(0.5) };
    let log_variance = x.clone().matmul(matrix(2).transpose()) + leaves[3].clone().reshape([1, rank]);
    let mut eps = vec![0f32; b * rank];
    for (i, row) in eps.chunks_exact_mut(rank).enumerate() {
        Stream::new(seed, Purpose::Latent, u32::MAX - 1, (first + i) as u32).fill_gaussian(row);
    }
    let eps = Tensor::<2>::from_data(TensorData::new(eps, [b, rank]), &x.device());
    let z = mean.clone() + log_variance.clone().mul_scalar(0.5).exp() * eps;
    let divergence = (mean.square() + log_variance.clone().exp() - log_variance).add_scalar(-1.0).mul_scalar(0.5);
    error(z).mul_scalar(0.5 / (DEVIATION * DEVIATION)) + divergence.sum_dim(1).reshape([b])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pca;
    use crate::model::reference::noise_pictures;

    const RANK: usize = 6;

    fn pictures() -> (Split, PatchGrid, PatchPca) {
        let split = Split::from_memory(noise_pictures(8, 3, 40, 3).concat(), 8, 3, None);
        let grid = PatchGrid::new(8, 4, 3).unwrap();
        let pca = pca::fit(grid, RANK, split.len(), |i| split.image(i), 5000, 1).unwrap();
        (split, grid, pca)
    }

    /// Mean squared error of a tokenizer on patches, in f64.
    fn error(tokenizer: &LinearTokenizer, patches: &[f32]) -> f64 {
        let p = tokenizer.mean.len();
        let mut sum = 0.0;
        for patch in patches.chunks_exact(p) {
            let z: Vec<f64> = tokenizer
                .encode
                .chunks_exact(p)
                .map(|row| row.iter().zip(patch).map(|(a, x)| f64::from(*a) * f64::from(*x)).sum())
                .collect();
            for (i, x) in patch.iter().enumerate() {
                let back: f64 = z.iter().enumerate().map(|(k, z)| z * f64::from(tokenizer.decode[k * p + i])).sum();
                sum += (f64::from(*x) - back).powi(2);
            }
        }
        sum / patches.len() as f64
    }

    #[test]
    fn the_autoencoder_reaches_the_pca_and_the_variational_one_costs_a_little() {
        let (split, grid, pca) = pictures();
        let workers = Workers::new(2).unwrap();
        let train = |variational| {
            let out = Output::silent();
            LinearTokenizer::train(variational, grid, RANK, &split, &pca, 1, (&workers, &out)).unwrap()
        };
        let patches = patches(grid, &split, &pca, 0..2000, 9);
        let plain = train(false);
        let (best, ae, vae) = (
            error(&LinearTokenizer::of_pca(&pca, RANK), &patches),
            error(&plain, &patches),
            error(&train(true), &patches),
        );
        assert!(ae < 1.03 * best, "{ae} {best}");
        assert!(vae < 1.5 * best && vae > best, "{vae} {best}");
        assert_eq!(plain, train(false));
    }

    #[test]
    fn losses_are_the_equations() {
        let (split, grid, pca) = pictures();
        let (p, b) = (48, 3);
        let x = patches(grid, &split, &pca, 0..b, 2);
        let draw = |length: usize, sample: u32| {
            let mut values = vec![0f32; length];
            Stream::new(4, Purpose::Init, 0, sample).fill_gaussian(&mut values);
            values.iter().map(|v| 0.1 * v).collect::<Vec<f32>>()
        };
        let parameters = [draw(RANK * p, 0), draw(RANK * p, 1), draw(RANK * p, 2), draw(RANK, 3)];
        let device = Device::flex();
        let leaves = to_device(&parameters, &device);
        let tensor = Tensor::<2>::from_data(TensorData::new(x.clone(), [b, p]), &device);
        let ours: Vec<f32> = losses(&leaves, tensor.clone(), RANK, Some((5, 70))).into_data().try_to_vec().unwrap();
        let plain: Vec<f32> = losses(&leaves[..2], tensor, RANK, None).into_data().try_to_vec().unwrap();
        for (i, x) in x.chunks_exact(p).enumerate() {
            let dot = |m: usize, k: usize| -> f64 {
                x.iter().zip(&parameters[m][k * p..]).map(|(x, a)| f64::from(*x) * f64::from(*a)).sum()
            };
            let mut eps = [0f32; RANK];
            Stream::new(5, Purpose::Latent, u32::MAX - 1, 70 + i as u32).fill_gaussian(&mut eps);
            let (mut z, mut mean, mut divergence) = ([0f64; RANK], [0f64; RANK], 0.0);
            for k in 0..RANK {
                let v = dot(2, k) + f64::from(parameters[3][k]);
                mean[k] = dot(0, k);
                z[k] = mean[k] + (v / 2.0).exp() * f64::from(eps[k]);
                divergence += 0.5 * (mean[k] * mean[k] + v.exp() - v - 1.0);
            }
            let squares = |z: &[f64; RANK]| -> f64 {
                (0..p)
                    .map(|j| {
                        let back: f64 = (0..RANK).map(|k| z[k] * f64::from(parameters[1][k * p + j])).sum();
                        (f64::from(x[j]) - back).powi(2)
                    })
                    .sum()
            };
            let want = squares(&z) / (2.0 * 0.01) + divergence;
            assert!((f64::from(ours[i]) / want - 1.0).abs() < 1e-4, "{} {want}", ours[i]);
            assert!((f64::from(plain[i]) / (0.5 * squares(&mean)) - 1.0).abs() < 1e-4);
        }
    }
}
