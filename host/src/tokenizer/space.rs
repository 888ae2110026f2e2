//! A tokenizer on a device: patches [B, N, P] to latents [B, N, K] and back. Latents here are s·z, not yet of unit scale: what
//! leaves a projection as it is. Convolutional tokenizers scale theirs themselves; their s is 1.

use super::{ConvTokenizer, LinearTokenizer};
use burn::tensor::{Device, Tensor, TensorData};

/// A tokenizer's tensors.
#[derive(Clone, Debug)]
pub enum LatentSpace {
    /// An affine map of each patch.
    Linear(Box<Affine>),
    /// A convolutional autoencoder.
    Conv(Box<ConvTokenizer>),
}

/// An affine map and its way back.
#[derive(Clone, Debug)]
pub struct Affine {
    /// [1, P].
    mean: Tensor<2>,
    /// [K, P].
    encode: Tensor<2>,
    /// [K, P].
    decode: Tensor<2>,
    scale: f32,
}

impl LatentSpace {
    /// Uploads a tokenizer of patches.
    pub fn linear(tokenizer: &LinearTokenizer, device: &Device) -> Self {
        let p = tokenizer.mean.len();
        let k = tokenizer.encode.len() / p;
        let upload =
            |values: &[f32], rows: usize| Tensor::from_data(TensorData::new(values.to_vec(), [rows, p]), device);
        LatentSpace::Linear(Box::new(Affine {
            mean: upload(&tokenizer.mean, 1),
            encode: upload(&tokenizer.encode, k),
            decode: upload(&tokenizer.decode, k),
            scale: tokenizer.scale,
        }))
    }

    /// s: z times this is what [`LatentSpace::encode`] gives.
    pub fn scale(&self) -> f32 {
        match self {
            LatentSpace::Linear(affine) => affine.scale,
            LatentSpace::Conv(_) => 1.0,
        }
    }

    /// s·z0 [B, N, K] of patches [B, N, P].
    pub fn encode(&self, patches: Tensor<3>) -> Tensor<3> {
        match self {
            LatentSpace::Linear(affine) => {
                let [b, n, p] = patches.dims();
                let centred = patches.reshape([b * n, p]) - affine.mean.clone();
                let k = affine.encode.dims()[0];
                centred.matmul(affine.encode.clone().transpose()).reshape([b, n, k])
            }
            LatentSpace::Conv(conv) => conv.encode(patches),
        }
    }

    /// Patches [B, N, P] of s·z [B, N, K].
    pub fn decode(&self, latents: Tensor<3>) -> Tensor<3> {
        match self {
            LatentSpace::Linear(affine) => {
                let [b, n, k] = latents.dims();
                let p = affine.mean.dims()[1];
                (latents.reshape([b * n, k]).matmul(affine.decode.clone()) + affine.mean.clone()).reshape([b, n, p])
            }
            LatentSpace::Conv(conv) => conv.decode(latents),
        }
    }

    /// The K rows of the map, [K, P]: orthonormal for PCA. None of a convolutional tokenizer.
    pub fn directions(&self) -> Option<Tensor<2>> {
        match self {
            LatentSpace::Linear(affine) => Some(affine.encode.clone()),
            LatentSpace::Conv(_) => None,
        }
    }
}
