//! The convolutional tokenizer: a KL-regularised autoencoder with one latent vector of K channels per cell of p×p pixels.
//!
//! Patches [B, N, P] f32 as the trainer has them (pixels in [-1, 1]) are put together to pictures [B, C, H, W], encoded by
//! log2(p) stages of stride 2 to mean and log-variance [B, K, H/p, W/p], and decoded by as many stages of nearest
//! upsampling. After training the latents are the means, shifted and divided by one scalar so that they have mean 0 in
//! every channel and unit root mean square over the training pictures.
//!
//! Three kinds, the rungs of METHOD.md section 2:
//!
//! | kind | loss |
//! |---|---|
//! | `vqgan` | squared error + KL + perceptual + adversarial |
//! | `vqgan-no-perceptual` | squared error + KL + adversarial |
//! | `conv-vae` | squared error + KL |
//!
//! As in paper A, "VQGAN" means the tokenizer of latent diffusion, which is VQGAN's training with KL regularisation in place of
//! the codebook: Esser, Rombach, Ommer, "Taming transformers for high-resolution image synthesis", 2021; Rombach et al.,
//! "High-resolution image synthesis with latent diffusion models", 2022 (LDM), appendix G. What differs here:
//!
//! * **Perceptual features come from a network that is trained here, without labels**, because no weights can be
//!   downloaded: a small convolutional network that predicts by which of four angles a picture was turned (`rotation`;
//!   Gidaris, Singh, Komodakis, "Unsupervised representation learning by predicting image rotations", 2018). The distance of
//!   features is LPIPS's with unit weights (`perceptual`).
//! * The networks are small (base width 32), and the weights of the terms are fixed numbers (reading); VQGAN balances
//!   the adversarial term by gradient norms.
//!
//! Refused: a patch side that is no power of two, a width that is no multiple of the norm's groups, a tensor list that does
//! not fit the settings, and a loss that is no longer finite.

mod adversarial;
mod autoencoder;
mod layers;
mod loss;
mod perceptual;
mod pictures;
mod rotation;
mod settings;
#[cfg(test)]
mod tests;
mod tokenizer;
mod train;

pub use settings::{Kind, Settings, Training};
pub use tokenizer::{ConvTokenizer, Report};
