//! Tokenizers: from pictures to latents of K values a token, and back (METHOD.md section 2).
//!
//! A tokenizer is trained before the network and does not change while that trains. Per patch it is an affine map
//! ([`linear`]): PCA, pixels (PCA of full rank), a linear autoencoder or variational autoencoder. [`conv`] is a convolutional
//! autoencoder over whole pictures, with and without perceptual and adversarial terms. [`psnr`] says how well one gives pictures
//! back.

pub mod conv;
mod fidelity;
pub mod linear;
mod space;

pub use conv::ConvTokenizer;
pub use fidelity::psnr;
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
use ldae_shared::spec::EncoderSpec;

/// The tokenizer of a run.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// The run's PCA: nothing beside it is kept.
    Pca(LinearTokenizer),
    /// Another affine map of a patch.
    Linear(LinearTokenizer),
    /// A convolutional autoencoder.
    Conv(Box<ConvTokenizer>),
}

/// Fits or trains a tokenizer of K = `spec.rank` on the training pictures; `pca` is that of the same patches at the same rank.
///
/// Trained on the CPU whatever device the run uses: the result is then the same for every process of a run.
///
/// # Errors
/// The patch side does not suit the pictures or the tokenizer, or its loss is no longer finite.
pub fn fit(
    kind: TokenizerKind,
    spec: &EncoderSpec,
    split: &Split,
    pca: &PatchPca,
    seed: u64,
    (workers, out): (&Workers, &Output),
) -> Result<Tokenizer> {
    let rank = usize::from(spec.rank);
    if let Some(mut settings) = conv_settings(kind, spec) {
        settings.training.seed = seed;
        let (tokenizer, report) = ConvTokenizer::train(&settings, split, workers, &Device::flex(), out)?;
        out.line(format_args!("tokenizer {}: {report}", settings.kind.name()));
        return Ok(Tokenizer::Conv(Box::new(tokenizer)));
    }
    let grid = PatchGrid::of(spec).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
    let linear = |variational| LinearTokenizer::train(variational, grid, rank, split, pca, seed, (workers, out));
    Ok(match kind {
        TokenizerKind::PatchAe => Tokenizer::Linear(linear(false)?),
        TokenizerKind::PatchVae => Tokenizer::Linear(linear(true)?),
        _ => Tokenizer::Pca(LinearTokenizer::of_pca(pca, rank)),
    })
}

/// Settings of a convolutional tokenizer, if it is one.
fn conv_settings(kind: TokenizerKind, spec: &EncoderSpec) -> Option<conv::Settings> {
    let kind = match kind {
        TokenizerKind::ConvVae => conv::Kind::ConvVae,
        TokenizerKind::Vqgan => conv::Kind::Vqgan,
        TokenizerKind::VqganNoPerceptual => conv::Kind::VqganNoPerceptual,
        TokenizerKind::PatchPca | TokenizerKind::Pixel | TokenizerKind::PatchAe | TokenizerKind::PatchVae => {
            return None;
        }
    };
    Some(conv::Settings::new(kind, spec))
}

impl Tokenizer {
    /// Uploads it.
    pub fn on(&self, device: &Device) -> LatentSpace {
        match self {
            Tokenizer::Pca(linear) | Tokenizer::Linear(linear) => LatentSpace::linear(linear, device),
            Tokenizer::Conv(conv) => LatentSpace::conv(conv, device),
        }
    }

    /// The affine map of a patch that it is.
    ///
    /// # Errors
    /// It is none.
    pub fn linear(&self) -> Result<&LinearTokenizer> {
        match self {
            Tokenizer::Pca(linear) | Tokenizer::Linear(linear) => Ok(linear),
            Tokenizer::Conv(conv) => Err(Error::new(format!(
                "tokenizer {} sees whole pictures: an encoder behind it has no patch embedding of its own",
                conv.settings().kind.name()
            ))
            .hint("choose a recipe with a tokenizer per patch, such as tok-patch-pca or l-dae")),
        }
    }

    /// What a checkpoint keeps of it beside the PCA.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        match self {
            Tokenizer::Pca(_) => Vec::new(),
            Tokenizer::Linear(linear) => linear.tensors(),
            Tokenizer::Conv(conv) => conv.tensors(),
        }
    }

    /// Names and shapes of [`Tokenizer::tensors`].
    pub fn shapes(kind: TokenizerKind, spec: &EncoderSpec) -> Vec<(String, Vec<usize>)> {
        if let Some(settings) = conv_settings(kind, spec) {
            return ConvTokenizer::shapes(&settings);
        }
        let (rank, p) = (usize::from(spec.rank), spec.patch_values() as usize);
        match kind {
            TokenizerKind::PatchAe | TokenizerKind::PatchVae => {
                linear::TENSORS.into_iter().map(str::to_owned).zip(LinearTokenizer::shapes(rank, p)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The tokenizer of a checkpoint; `tensor` gives the values of each of [`Tokenizer::shapes`].
    pub fn from_tensors(
        kind: TokenizerKind,
        spec: &EncoderSpec,
        pca: &PatchPca,
        tensor: &dyn Fn(&str) -> Vec<f32>,
    ) -> Self {
        if let Some(settings) = conv_settings(kind, spec) {
            return Tokenizer::Conv(Box::new(ConvTokenizer::from_values(&settings, tensor, &Device::flex())));
        }
        match kind {
            TokenizerKind::PatchAe | TokenizerKind::PatchVae => {
                let [encode, decode, scale] = linear::TENSORS.map(tensor);
                Tokenizer::Linear(LinearTokenizer { mean: pca.mean.clone(), encode, decode, scale: scale[0] })
            }
            _ => Tokenizer::Pca(LinearTokenizer::of_pca(pca, spec.rank.into())),
        }
    }
}
