//! A tokenizer on a device: patches [B, N, P] to latents [B, N, K] and back. Latents here are s·z, not yet of unit scale: what
//! leaves the projection as it is.

use super::LinearTokenizer;
use burn::tensor::{Device, Tensor, TensorData};

/// A tokenizer's tensors.
#[derive(Clone, Debug)]
pub struct LatentSpace {
    /// [1, P].
    mean: Tensor<2>,
    /// [K, P].
    encode: Tensor<2>,
    /// [K, P].
    decode: Tensor<2>,
    scale: f32,
}

impl LatentSpace {
    /// Uploads a tokenizer.
    pub fn linear(tokenizer: &LinearTokenizer, device: &Device) -> Self {
        let p = tokenizer.mean.len();
        let k = tokenizer.encode.len() / p;
        let upload =
            |values: &[f32], rows: usize| Tensor::from_data(TensorData::new(values.to_vec(), [rows, p]), device);
        LatentSpace {
            mean: upload(&tokenizer.mean, 1),
            encode: upload(&tokenizer.encode, k),
            decode: upload(&tokenizer.decode, k),
            scale: tokenizer.scale,
        }
    }

    /// s: z times this is what [`LatentSpace::encode`] gives.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// s·z0 [B, N, K] of patches [B, N, P].
    pub fn encode(&self, patches: Tensor<3>) -> Tensor<3> {
        let [b, n, p] = patches.dims();
        let centred = patches.reshape([b * n, p]) - self.mean.clone();
        let k = self.encode.dims()[0];
        centred.matmul(self.encode.clone().transpose()).reshape([b, n, k])
    }

    /// Patches [B, N, P] of s·z [B, N, K].
    pub fn decode(&self, latents: Tensor<3>) -> Tensor<3> {
        let [b, n, k] = latents.dims();
        let p = self.mean.dims()[1];
        (latents.reshape([b * n, k]).matmul(self.decode.clone()) + self.mean.clone()).reshape([b, n, p])
    }

    /// The K rows of the encoder, [K, P]: orthonormal for PCA.
    pub fn directions(&self) -> Tensor<2> {
        self.encode.clone()
    }
}
