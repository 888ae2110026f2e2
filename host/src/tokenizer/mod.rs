//! Tokenizers: patches [B, N, P] to latents [B, N, K] of unit scale and back (METHOD.md section 2).
//!
//! [`conv`]: a convolutional autoencoder over whole pictures, with and without perceptual and adversarial terms.
//! [`psnr`] says how well one gives pictures back.

pub mod conv;
mod fidelity;

pub use fidelity::psnr;
