//! Tokenizers: from pictures to latents of K values a token, and back (METHOD.md section 2).
//!
//! A tokenizer is trained before the network and does not change while that trains. Per patch it is an affine map
//! ([`linear`]): PCA, pixels (PCA of full rank), a linear autoencoder or variational autoencoder.

pub mod linear;
mod space;

pub use linear::LinearTokenizer;
pub use space::LatentSpace;

use crate::cli::Output;
use crate::data::Split;
use crate::model::NamedTensor;
use crate::model::pca::PatchPca;
use crate::recipe::TokenizerKind;
use crate::train::workers::Workers;
use crate::{Error, Result};
use burn::tensor::Device;
use ldae_shared::patch::PatchGrid;

/// The tokenizer of a run.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// The run's PCA: nothing beside it is kept.
    Pca(LinearTokenizer),
    /// Another affine map of a patch.
    Linear(LinearTokenizer),
}

/// Fits or trains a tokenizer on the training pictures; `pca` is that of the same patches at the same rank.
///
/// # Errors
/// The device does not hand over its values.
pub fn fit(
    kind: TokenizerKind,
    grid: PatchGrid,
    rank: usize,
    split: &Split,
    pca: &PatchPca,
    seed: u64,
    (workers, out): (&Workers, &Output),
) -> Result<Tokenizer> {
    let linear = |variational| LinearTokenizer::train(variational, grid, rank, split, pca, seed, (workers, out));
    match kind {
        TokenizerKind::PatchPca | TokenizerKind::Pixel => Ok(Tokenizer::Pca(LinearTokenizer::of_pca(pca, rank))),
        TokenizerKind::PatchAe => Ok(Tokenizer::Linear(linear(false)?)),
        TokenizerKind::PatchVae => Ok(Tokenizer::Linear(linear(true)?)),
        TokenizerKind::ConvVae | TokenizerKind::Vqgan | TokenizerKind::VqganNoPerceptual => {
            Err(Error::new("convolutional tokenizers are not wired yet"))
        }
    }
}

impl Tokenizer {
    /// Uploads it.
    pub fn on(&self, device: &Device) -> LatentSpace {
        match self {
            Tokenizer::Pca(linear) | Tokenizer::Linear(linear) => LatentSpace::linear(linear, device),
        }
    }

    /// The affine map of a patch that it is.
    ///
    /// # Errors
    /// It is none.
    pub fn linear(&self) -> Result<&LinearTokenizer> {
        match self {
            Tokenizer::Pca(linear) | Tokenizer::Linear(linear) => Ok(linear),
        }
    }

    /// What a checkpoint keeps of it beside the PCA.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        match self {
            Tokenizer::Pca(_) => Vec::new(),
            Tokenizer::Linear(linear) => linear.tensors(),
        }
    }

    /// Names and shapes of [`Tokenizer::tensors`].
    pub fn shapes(kind: TokenizerKind, rank: usize, p: usize) -> Vec<(String, Vec<usize>)> {
        match kind {
            TokenizerKind::PatchAe | TokenizerKind::PatchVae => {
                linear::TENSORS.into_iter().map(str::to_owned).zip(LinearTokenizer::shapes(rank, p)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The tokenizer of a checkpoint; `tensor` gives the values of each of [`Tokenizer::shapes`].
    pub fn from_tensors(kind: TokenizerKind, rank: usize, pca: &PatchPca, tensor: &dyn Fn(&str) -> Vec<f32>) -> Self {
        match kind {
            TokenizerKind::PatchAe | TokenizerKind::PatchVae => {
                let [encode, decode, scale] = linear::TENSORS.map(tensor);
                Tokenizer::Linear(LinearTokenizer { mean: pca.mean.clone(), encode, decode, scale: scale[0] })
            }
            _ => Tokenizer::Pca(LinearTokenizer::of_pca(pca, rank)),
        }
    }
}
