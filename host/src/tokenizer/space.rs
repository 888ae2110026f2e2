//! A tokenizer on a device: patches [B, N, P] to latents [B, N, K] and back. Latents here are s·z, not yet of unit scale: what
//! leaves the projection as it is.

use super::{ConvTokenizer, LinearTokenizer};
use burn::tensor::{Device, Tensor, TensorData};

/// A tokenizer's tensors.
#[derive(Clone, Debug)]
pub struct LatentSpace {
    map: Map,
    scale: f32,
}

#[derive(Clone, Debug)]
enum Map {
    /// Per patch: mean [1, P], encode and decode [K, P].
    Linear { mean: Tensor<2>, encode: Tensor<2>, decode: Tensor<2> },
    /// Over whole pictures; its latents have unit scale.
    Conv(Box<ConvTokenizer>),
}

impl LatentSpace {
    /// Uploads a tokenizer per patch.
    pub fn linear(tokenizer: &LinearTokenizer, device: &Device) -> Self {
        let p = tokenizer.mean.len();
        let k = tokenizer.encode.len() / p;
        let upload =
            |values: &[f32], rows: usize| Tensor::from_data(TensorData::new(values.to_vec(), [rows, p]), device);
        let map = Map::Linear {
            mean: upload(&tokenizer.mean, 1),
            encode: upload(&tokenizer.encode, k),
            decode: upload(&tokenizer.decode, k),
        };
        LatentSpace { map, scale: tokenizer.scale }
    }

    /// Uploads a convolutional tokenizer; s is 1.
    pub fn conv(tokenizer: &ConvTokenizer, device: &Device) -> Self {
        LatentSpace { map: Map::Conv(Box::new(tokenizer.to_device(device))), scale: 1.0 }
    }

    /// s: z times this is what [`LatentSpace::encode`] gives.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// s·z0 [B, N, K] of patches [B, N, P].
    pub fn encode(&self, patches: Tensor<3>) -> Tensor<3> {
        match &self.map {
            Map::Linear { mean, encode, .. } => {
                let ([b, n, p], k) = (patches.dims(), encode.dims()[0]);
                let centred = patches.reshape([b * n, p]) - mean.clone();
                centred.matmul(encode.clone().transpose()).reshape([b, n, k])
            }
            Map::Conv(conv) => conv.encode(patches),
        }
    }

    /// Patches [B, N, P] of s·z [B, N, K].
    pub fn decode(&self, latents: Tensor<3>) -> Tensor<3> {
        match &self.map {
            Map::Linear { mean, decode, .. } => {
                let ([b, n, k], p) = (latents.dims(), mean.dims()[1]);
                (latents.reshape([b * n, k]).matmul(decode.clone()) + mean.clone()).reshape([b, n, p])
            }
            Map::Conv(conv) => conv.decode(latents),
        }
    }

    /// The K rows of the encoder, [K, P]: orthonormal for PCA.
    ///
    /// # Panics
    /// For a convolutional tokenizer, which has none ([`Recipe::check`](crate::recipe::Recipe::check) refuses the target that asks).
    pub fn directions(&self) -> Tensor<2> {
        match &self.map {
            Map::Linear { encode, .. } => encode.clone(),
            Map::Conv(_) => panic!("a convolutional tokenizer has no directions"),
        }
    }
}
