//! Sampling from a denoiser: latents [B, N, K] drawn from noise, step by step from t = T down to 0.
//!
//! A schedule mixes z_t = gamma_t·z0 + sigma_t·eps (`gamma² + sigma² = 1`, or gamma = 1: METHOD.md section 2). The network answers ([`Answer`])
//! for z_t with its estimate of eps or of z0; from either follows the other. One step goes from t to s < t:
//!
//! ```text
//! DDIM        z_s = gamma_s·z0^ + sigma_s·eps^
//! ancestral   z_s ~ q(z_s | z_t, z0 = z0^)
//!           = N(a·sigma_s²/sigma_t²·z_t + gamma_s·v/sigma_t²·z0^, sigma_s²·v/sigma_t²)
//!             a = gamma_t/gamma_s, v = sigma_t² − a²·sigma_s²
//! ```
//!
//! DDIM: Song, Meng, Ermon, "Denoising diffusion implicit models", 2021, equation 12 with eta = 0; ancestral: Ho, Jain,
//! Abbeel, "Denoising diffusion probabilistic models", 2020, equations 6 and 7, written for any gamma and sigma as in Kingma et
//! al., "Variational diffusion models", 2021, appendix A.2. Nothing is clipped: latents have no range.
//!
//! The first z_T is Gaussian with the variance that latents of unit scale have there, gamma² + sigma²; where gamma is 1 the
//! latents are not drowned in noise at T, and starting from a Gaussian is an approximation (reading).
//!
//! [`Generator`] does this with a trained run and decodes what comes out.
//!
//! Noise is counter-based: that of picture i is a function of the seed, i and the step, whatever the batches.

mod generator;
mod sampler;
mod time;

pub use generator::{Generator, Request};
pub use sampler::{Answer, Sampler, Settings, sample};
pub use time::time_steps;
