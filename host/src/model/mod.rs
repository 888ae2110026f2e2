//! The networks (METHOD.md sections 1 to 3): a ViT encoder of DiT blocks, conditioned on the noise level, and what is trained
//! behind it; for the l-DAE a decoder of the same kind.
//!
//! One description ([`ModelSpec`]) gives the list of parameters ([`layout`]); weights are plain named arrays
//! ([`Weights`]) that are initialised ([`init`]), saved and evaluated without Burn; [`net`] builds the differentiable
//! network from them. The patch PCA is fitted in [`pca`].

pub mod block;
pub mod canonical;
pub mod eigen;
mod fused;
pub mod init;
pub mod layout;
pub mod net;
pub mod pca;
pub mod positions;
#[cfg(test)]
pub mod reference;
mod weights;

pub use init::{init_weights, randomise_gates};
pub use weights::{NamedTensor, Weights};

use crate::{Error, Result};
use burn::tensor::Device;
use ldae_shared::spec::EncoderSpec;
use serde::{Deserialize, Serialize};

/// Frequencies of the time embedding, cosines and sines together (DiT's `frequency_embedding_size`).
pub const TIME_FEATURES: usize = 256;
/// Narrowest conditioning vector: a quarter of a very small width would carry too little of t.
pub const MIN_CONDITION: usize = 16;
/// Epsilon of every LayerNorm (DiT).
pub const NORM_EPSILON: f64 = 1e-6;

/// True for Burn's CPU backend: its work is cut into parts for the cores, and blocks run as one operation (`fused`).
pub fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// Numbers that the products of the blocks are made of. Weights, gradients, LayerNorm, softmax, loss and optimiser are f32 in any
/// case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of 32: twice as fast and more on GPUs that have it.
    Bf16,
}

/// What a token is, before the network or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// K latents.
    Latent,
    /// P values of a patch.
    Image,
}

/// How the encoder's output reaches the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feed {
    /// Token by token: one network in two halves.
    Tokens,
    /// The same, and the mean token joins the condition of the decoder's blocks (self-conditioning, DDAE++).
    TokensAndVector,
    /// As one vector that joins the condition; the decoder reads the sample itself (paper B).
    Vector,
}

/// What is trained behind the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing: an encoder as it is evaluated and exported.
    None,
    /// DiT blocks that predict a value of `output` for each token.
    Decoder {
        /// What they predict.
        output: Space,
        /// What they read.
        feed: Feed,
    },
    /// DiT blocks that predict the patches which the encoder did not see (MAE).
    Masked,
    /// Projector and predictor (MoCo v3).
    Contrastive,
    /// A linear classifier on the mean token.
    Classifier {
        /// Classes.
        classes: usize,
    },
}

impl Head {
    /// True when there are decoder blocks.
    pub fn decodes(self) -> bool {
        matches!(self, Head::Decoder { .. } | Head::Masked)
    }
}

/// Encoder and what is trained with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// The encoder: what is exported.
    pub encoder: EncoderSpec,
    /// Decoder blocks; as many as the encoder has unless set otherwise.
    pub decoder_depth: usize,
    /// Decoder width Wd.
    pub decoder_width: usize,
    /// Decoder heads; divides the width.
    pub decoder_heads: usize,
    /// What the encoder reads.
    pub input: Space,
    /// Classes that condition the network beside t; 0: none.
    pub classes: usize,
    /// What is behind the encoder.
    pub head: Head,
}

impl ModelSpec {
    /// The l-DAE: patches in, patches out, a decoder as deep and wide as the encoder (METHOD.md section 1).
    pub fn symmetric(encoder: EncoderSpec) -> Self {
        ModelSpec {
            encoder,
            decoder_depth: encoder.depth.into(),
            decoder_width: encoder.width.into(),
            decoder_heads: encoder.heads.into(),
            input: Space::Image,
            classes: 0,
            head: Head::Decoder { output: Space::Image, feed: Feed::Tokens },
        }
    }

    /// The encoder alone, as it is evaluated and exported: patches in, tokens out.
    #[must_use]
    pub fn encoder_only(self) -> Self {
        ModelSpec { input: Space::Image, classes: 0, head: Head::None, ..self }
    }

    /// Values of a token of `space`.
    pub fn values(&self, space: Space) -> usize {
        match space {
            Space::Latent => self.encoder.rank.into(),
            Space::Image => self.encoder.patch_values() as usize,
        }
    }

    /// Hidden width and output of projector and predictor: 4·W and 2·W (reading: MoCo v3's 4096 and 256 belong to ViT-B).
    pub fn projection(&self) -> (usize, usize) {
        let w = usize::from(self.encoder.width);
        (4 * w, 2 * w)
    }

    /// Refuses shapes that cannot be built.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<()> {
        self.encoder.check().map_err(|e| {
            Error::new("this model shape is not possible")
                .caused_by(e)
                .hint("change --image, --patch, --rank, --width or --heads; `ldae train --dry-run` shows the shape")
        })?;
        let width_ok = (1..=usize::from(ldae_shared::spec::MAX_WIDTH)).contains(&self.decoder_width);
        let depth_ok = self.decoder_depth <= usize::from(ldae_shared::spec::MAX_DEPTH);
        if !width_ok || !depth_ok || self.decoder_heads == 0 || !self.decoder_width.is_multiple_of(self.decoder_heads) {
            return Err(Error::new(format!(
                "a decoder of depth {}, width {} and {} heads is not possible",
                self.decoder_depth, self.decoder_width, self.decoder_heads
            ))
            .hint("--decoder-heads must divide --decoder-width"));
        }
        if !self.encoder.width.is_multiple_of(2) || !self.decoder_width.is_multiple_of(2) {
            return Err(Error::new("an odd width has no sin-cos positions").hint("choose an even --width"));
        }
        Ok(())
    }

    /// Width Wc of the conditioning vector: max(W/4, 16).
    pub fn condition_width(&self) -> usize {
        (usize::from(self.encoder.width) / 4).max(MIN_CONDITION)
    }

    /// Multiply-accumulates of one training sample's forward pass, tokenizer and labels aside. Two views are two samples.
    pub fn training_macs(&self) -> u64 {
        let e = &self.encoder;
        let (n, w, wd) = (u64::from(e.tokens()), u64::from(e.width), self.decoder_width as u64);
        let ratio = u64::from(e.mlp_ratio);
        let block = |w: u64| n * w * w * (4 + 2 * ratio) + 2 * n * n * w;
        let encoder = n * self.values(self.input) as u64 * w + u64::from(e.depth) * block(w);
        let decoder =
            |output: Space| n * (w * wd + wd * self.values(output) as u64) + self.decoder_depth as u64 * block(wd);
        encoder
            + match self.head {
                Head::Decoder { output, .. } => decoder(output),
                Head::Masked => decoder(Space::Image),
                Head::Contrastive => {
                    let (hidden, out) = (self.projection().0 as u64, self.projection().1 as u64);
                    hidden * (w + hidden + out) + 2 * hidden * out
                }
                Head::Classifier { classes } => w * classes as u64,
                Head::None => 0,
            }
    }
}
