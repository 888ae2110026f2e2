//! Noising and the loss of METHOD.md section 1, in Burn.
//!
//! Given clean patches x0 [B, N, P], standard normal latent noise eps [B, N, K] and time steps t:
//! x_t = mean + V_Kᵀ(V_K (x0 - mean) + s·sigma_t·eps), r = V (x0 - net(x_t, t)), and the loss of a picture is
//! 1/(1 + sigma²) · mean over its N·P values of w_i r_i², w_i = 1 for the K kept directions and 0.1 beyond. (The mean
//! instead of the sum is a constant factor; it keeps gradients of all shapes at one size for the clipping.) V is orthonormal, so
//! sum w_i r_i² = 0.1·‖x0 - pred‖² + 0.9·‖V_K (x0 - pred)‖²: only K of the P rows are multiplied.

use crate::model::net::Net;
use crate::model::pca::PatchPca;
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::schedule;

/// The PCA on a device.
#[derive(Clone, Debug)]
pub struct LatentNoise {
    /// [1, P].
    mean: Tensor<2>,
    /// V_K [K, P].
    kept: Tensor<2>,
    scale: f32,
    residual_weight: f32,
}

/// Pictures of one training step (or a part of it) on a device, with their noise.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Clean patches [B, N, P].
    pub clean: Tensor<3>,
    /// Latent noise [B, N, K].
    pub noise: Tensor<3>,
    /// Time step of each picture.
    pub t: Vec<u32>,
}

impl LatentNoise {
    /// First `rank` directions of `pca`; `residual_weight` is w_i beyond them (0.1 in the papers).
    pub fn new(pca: &PatchPca, rank: usize, residual_weight: f32, device: &Device) -> Self {
        let p = pca.mean.len();
        LatentNoise {
            mean: Tensor::from_data(TensorData::new(pca.mean.clone(), [1, p]), device),
            kept: Tensor::from_data(TensorData::new(pca.basis[..rank * p].to_vec(), [rank, p]), device),
            scale: pca.scale,
            residual_weight,
        }
    }

    /// x_t [B, N, P] of a batch.
    pub fn noisy(&self, batch: &Batch) -> Tensor<3> {
        let [b, n, p] = batch.clean.dims();
        let k = self.kept.dims()[0];
        let amplitude: Vec<f32> = batch.t.iter().map(|&t| self.scale * schedule::sigma(t)).collect();
        let amplitude = Tensor::<3>::from_data(TensorData::new(amplitude, [b, 1, 1]), &batch.clean.device());
        let noise = (batch.noise.clone() * amplitude).reshape([b * n, k]);
        let centred = batch.clean.clone().reshape([b * n, p]) - self.mean.clone();
        let latents = centred.matmul(self.kept.clone().transpose()) + noise;
        (latents.matmul(self.kept.clone()) + self.mean.clone()).reshape([b, n, p])
    }

    /// Loss of each picture, `[B]`.
    pub fn losses(&self, net: &Net, batch: &Batch) -> Tensor<1> {
        let [b, n, p] = batch.clean.dims();
        let device = batch.clean.device();
        let predicted = net.forward(self.noisy(batch), Net::time_table(&batch.t, &device));
        let residual = (batch.clean.clone() - predicted).reshape([b * n, p]);
        let kept = residual.clone().matmul(self.kept.clone().transpose());
        let k = self.kept.dims()[0];
        let all = residual.square().reshape([b, n * p]).sum_dim(1).mul_scalar(self.residual_weight);
        let kept = kept.square().reshape([b, n * k]).sum_dim(1).mul_scalar(1.0 - self.residual_weight);
        let weight: Vec<f32> =
            batch.t.iter().map(|&t| schedule::loss_weight(schedule::sigma(t)) / (n * p) as f32).collect();
        let weight = Tensor::<1>::from_data(TensorData::new(weight, [b]), &device);
        (all + kept).reshape([b]) * weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::init::busy_parameters;
    use crate::model::net::Frame;
    use crate::model::reference::{self, noise_pictures, tiny_spec};
    use crate::model::{Weights, pca};
    use ldae_shared::noise::{Purpose, Stream};
    use ldae_shared::patch::{PatchGrid, pixel_value};

    type Rows = Vec<Vec<f64>>;

    struct Case {
        weights: Weights,
        pca: PatchPca,
        net: Net,
        batch: Batch,
        clean: Vec<Rows>,
        noise: Vec<Rows>,
    }

    fn rows(values: &[f32], length: usize) -> Rows {
        values.chunks_exact(length).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
    }

    fn case() -> Case {
        let spec = tiny_spec();
        let (n, p, k, b) = (4, 48, 12, 3);
        let grid = PatchGrid::of(&spec.encoder).unwrap();
        let pictures = noise_pictures(8, 3, 10, 3);
        let pca = pca::fit(grid, k, 10, |i| &pictures[i], 1000, 1).unwrap();
        let parameters = busy_parameters(&spec, 5);
        let device = Device::flex();
        let tensors: Vec<Tensor<1>> =
            parameters.iter().map(|v| Tensor::from_data(TensorData::new(v.clone(), [v.len()]), &device)).collect();
        let weights = Weights::new(spec, parameters, &pca).unwrap();
        let mut clean = vec![0f32; b * n * p];
        for (target, picture) in clean.chunks_exact_mut(n * p).zip(&pictures) {
            let values: Vec<f32> = picture.iter().map(|&v| pixel_value(v)).collect();
            grid.patchify(&values, target);
        }
        let mut noise = vec![0f32; b * n * k];
        Stream::new(8, Purpose::Latent, 0, 0).fill_gaussian(&mut noise);
        Case {
            weights,
            pca,
            net: Frame::new(spec, &device).build(&tensors),
            clean: clean.chunks_exact(n * p).map(|v| rows(v, p)).collect(),
            noise: noise.chunks_exact(n * k).map(|v| rows(v, k)).collect(),
            batch: Batch {
                clean: Tensor::from_data(TensorData::new(clean, [b, n, p]), &device),
                noise: Tensor::from_data(TensorData::new(noise, [b, n, k]), &device),
                t: vec![1, 400, 1000],
            },
        }
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec::<f32>().unwrap()
    }

    #[test]
    fn loss_is_the_equation() {
        let case = case();
        let noise = LatentNoise::new(&case.pca, 12, 0.1, &Device::flex());
        let losses = values(noise.losses(&case.net, &case.batch));
        for (i, loss) in losses.iter().enumerate() {
            let expected = reference::loss(&case.weights, &case.clean[i], &case.noise[i], case.batch.t[i]);
            assert!((f64::from(*loss) / expected - 1.0).abs() < 1e-4, "picture {i}: {loss} against {expected}");
        }
        assert!(losses[0] != losses[2]);
    }

    #[test]
    fn encoder_and_blocks_are_the_equations() {
        let case = case();
        let t = vec![10; 3];
        let device = Device::flex();
        let condition = case.net.condition(Net::time_table(&t, &device));
        let tokens = values(case.net.encode(case.batch.clean.clone(), condition));
        for (i, picture) in tokens.chunks_exact(4 * 24).enumerate() {
            let expected = reference::encode(&case.weights, &case.clean[i], 10);
            for (ours, theirs) in picture.iter().zip(expected.iter().flatten()) {
                assert!((f64::from(*ours) - theirs).abs() < 2e-4, "{ours} against {theirs}");
            }
        }
    }

    #[test]
    fn noise_stays_in_the_kept_subspace() {
        let case = case();
        let noise = LatentNoise::new(&case.pca, 12, 0.1, &Device::flex());
        let noisy = values(noise.noisy(&case.batch));
        for patch in noisy.chunks_exact(48) {
            let centred: Vec<f32> = patch.iter().zip(&case.pca.mean).map(|(x, m)| x - m).collect();
            let (kept, outside) = case.pca.view().residual_split(&centred, 12);
            assert!(outside < 1e-4 * kept.max(1e-3), "{outside} outside, {kept} inside");
        }
    }
}
