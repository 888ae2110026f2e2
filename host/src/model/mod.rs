//! The l-DAE (METHOD.md section 1): a ViT encoder and decoder of DiT blocks, conditioned on the noise level.
//!
//! One description ([`ModelSpec`]) gives the list of parameters ([`layout`]); weights are plain named arrays
//! ([`Weights`]) that are initialised ([`init`]), saved and evaluated without Burn; [`net`] builds the differentiable
//! network from them. The patch PCA is fitted in [`pca`].

pub mod block;
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

/// Encoder and decoder together.
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
}

impl ModelSpec {
    /// A decoder as deep and wide as the encoder (METHOD.md section 1).
    pub fn symmetric(encoder: EncoderSpec) -> Self {
        ModelSpec {
            encoder,
            decoder_depth: encoder.depth.into(),
            decoder_width: encoder.width.into(),
            decoder_heads: encoder.heads.into(),
        }
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

    /// Multiply-accumulates of one training sample's forward pass, encoder and decoder with the full P-wide front end.
    pub fn training_macs(&self) -> u64 {
        let e = &self.encoder;
        let (n, p, w, wd) =
            (u64::from(e.tokens()), u64::from(e.patch_values()), u64::from(e.width), self.decoder_width as u64);
        let ratio = u64::from(e.mlp_ratio);
        let block = |w: u64| n * w * w * (4 + 2 * ratio) + 2 * n * n * w;
        n * (p * w + w * wd + wd * p) + u64::from(e.depth) * block(w) + self.decoder_depth as u64 * block(wd)
    }
}
