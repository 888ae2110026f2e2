//! Tokenizers: from pictures to latents of K values a token, and back (METHOD.md section 2).
//!
//! A tokenizer is trained before the network and does not change while that trains. Per patch it is an affine map
//! ([`linear`]): PCA, pixels (PCA of full rank), a linear autoencoder or variational autoencoder. [`conv`] is a convolutional
//! autoencoder over whole pictures, with and without perceptual and adversarial terms. [`psnr`] says how well one gives pictures
//! back.

pub mod conv;
mod fidelity;
mod kept;
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

/// The kind of a convolutional tokenizer.
fn conv_kind(kind: TokenizerKind) -> Option<conv::Kind> {
    match kind {
        TokenizerKind::ConvVae => Some(conv::Kind::ConvVae),
        TokenizerKind::Vqgan => Some(conv::Kind::Vqgan),
        TokenizerKind::VqganNoPerceptual => Some(conv::Kind::VqganNoPerceptual),
        TokenizerKind::PatchPca | TokenizerKind::Pixel | TokenizerKind::PatchAe | TokenizerKind::PatchVae => None,
    }
}

/// Which tokenizer a run has; `conv` states the shape and training of a convolutional one.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Kind.
    pub kind: TokenizerKind,
    /// Settings of a convolutional one, `None` for the others.
    pub conv: Option<&'a conv::Settings>,
    /// Shape of the encoder behind it.
    pub spec: &'a EncoderSpec,
}

/// Settings of a convolutional tokenizer of this kind; `None` for the others. Their seed is not the run's: as in paper A, one
/// tokenizer is trained beforehand and serves all runs on the same pictures.
pub fn conv_settings(kind: TokenizerKind, spec: &EncoderSpec) -> Option<conv::Settings> {
    Some(conv::Settings::new(conv_kind(kind)?, spec))
}

/// The pictures that a tokenizer is fitted to.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// Training pictures.
    pub split: &'a Split,
    /// Their data set's fingerprint.
    pub fingerprint: &'a str,
    /// PCA of their patches.
    pub pca: &'a PatchPca,
}

/// Fits or trains a tokenizer on the training pictures; convolutional ones are kept for the next run.
///
/// # Errors
/// The tokenizer cannot be built for these patches, its training diverged, or the device does not hand over its values.
pub fn fit(
    choice: &Choice<'_>,
    material: &Material<'_>,
    seed: u64,
    (workers, device, out): (&Workers, &Device, &Output),
) -> Result<Tokenizer> {
    let &Material { split, fingerprint, pca } = material;
    let &Choice { kind, conv, spec } = choice;
    let rank = spec.rank.into();
    if let Some(settings) = conv {
        let train = || Ok(ConvTokenizer::train(settings, split, workers, device, out)?.0);
        let tokenizer = kept::take_or(settings, fingerprint, device, train)?;
        return Ok(Tokenizer::Conv(Box::new(tokenizer)));
    }
    if matches!(kind, TokenizerKind::PatchPca | TokenizerKind::Pixel) {
        return Ok(Tokenizer::Pca(LinearTokenizer::of_pca(pca, rank)));
    }
    let grid = PatchGrid::of(spec).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
    let variational = kind == TokenizerKind::PatchVae;
    LinearTokenizer::train(variational, grid, rank, split, pca, seed, (workers, out)).map(Tokenizer::Linear)
}

impl Tokenizer {
    /// Uploads it.
    pub fn on(&self, device: &Device) -> LatentSpace {
        match self {
            Tokenizer::Pca(linear) | Tokenizer::Linear(linear) => LatentSpace::linear(linear, device),
            Tokenizer::Conv(conv) => LatentSpace::Conv(Box::new(conv.to_device(device))),
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
    pub fn shapes(choice: &Choice<'_>) -> Vec<(String, Vec<usize>)> {
        let &Choice { kind, conv, spec } = choice;
        if let Some(settings) = conv {
            return ConvTokenizer::shapes(settings);
        }
        match kind {
            TokenizerKind::PatchAe | TokenizerKind::PatchVae => linear::TENSORS
                .into_iter()
                .map(str::to_owned)
                .zip(LinearTokenizer::shapes(spec.rank.into(), spec.patch_values() as usize))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The tokenizer of a checkpoint, from the tensors of [`Tokenizer::shapes`] in their order.
    ///
    /// # Errors
    /// They are not those of this kind.
    pub fn from_tensors(choice: &Choice<'_>, pca: &PatchPca, tensors: Vec<NamedTensor>) -> Result<Self> {
        if let Some(settings) = choice.conv {
            let conv = ConvTokenizer::from_tensors(settings, &tensors, &Device::flex())?;
            return Ok(Tokenizer::Conv(Box::new(conv)));
        }
        match <[NamedTensor; 3]>::try_from(tensors) {
            Ok([encode, decode, scale]) if !scale.values.is_empty() => Ok(Tokenizer::Linear(LinearTokenizer {
                mean: pca.mean.clone(),
                encode: encode.values,
                decode: decode.values,
                scale: scale.values[0],
            })),
            Err(none) if none.is_empty() => Ok(Tokenizer::Pca(LinearTokenizer::of_pca(pca, choice.spec.rank.into()))),
            _ => Err(Error::new("the checkpoint's tokenizer is not the one that its recipe names")),
        }
    }
}
