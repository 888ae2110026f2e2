//! The terms of the loss, one value per picture, and the loss they make:
//!
//! ```text
//! squared error   1/D · ‖x − x̂‖²                               D pixel values of a picture
//! KL              1/D · ½ Σ (μ² + σ² − 1 − ln σ²)                to N(0, I), over all latent values
//! generator       −1/M · Σ D(x̂)                                 M logits of a picture
//! discriminator   1/M · ½ Σ (max(0, 1 − D(x)) + max(0, 1 + D(x̂)))
//! ```
//!
//! The first two are LDM's sums divided by D, so that their ratio is LDM's; the last two are VQGAN's hinge losses.

use super::adversarial::Discriminator;
use super::autoencoder::{Autoencoder, Posterior};
use super::perceptual::Perceptual;
use super::settings::Training;
use burn::tensor::{Tensor, activation};

/// Mean over all values of each picture, `[B]`.
pub fn mean_of_each<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let shape = x.dims();
    let b = shape[0];
    x.reshape([b, shape.iter().skip(1).product()]).mean_dim(1).reshape([b])
}

/// Squared error per pixel value, `[B]`.
pub fn squared_error(x: Tensor<4>, y: Tensor<4>) -> Tensor<1> {
    mean_of_each((x - y).square())
}

/// KL divergence to the standard normal, summed over a picture's latents and divided by its pixel values, `[B]`.
pub fn kl(posterior: &Posterior, pixels: usize) -> Tensor<1> {
    let [_, k, h, w] = posterior.mean.dims();
    let log = posterior.log_variance.clone();
    let terms = posterior.mean.clone().square() + log.clone().exp() - log.add_scalar(1.0);
    mean_of_each(terms).mul_scalar(0.5 * (k * h * w) as f64 / pixels as f64)
}

/// A sample of the posterior: μ + σ·noise (Kingma, Welling, 2014).
pub fn sample(posterior: Posterior, noise: Tensor<4>) -> Tensor<4> {
    posterior.mean + posterior.log_variance.mul_scalar(0.5).exp() * noise
}

/// Hinge loss of the discriminator from its logits of real and decoded pictures [B, 1, h, w], `[B]`.
pub fn discriminator(real: Tensor<4>, decoded: Tensor<4>) -> Tensor<1> {
    let real = activation::relu(real.neg().add_scalar(1.0));
    let decoded = activation::relu(decoded.add_scalar(1.0));
    mean_of_each(real + decoded).mul_scalar(0.5)
}

/// The generator's hinge loss from the discriminator's logits of decoded pictures, `[B]`.
pub fn generator(decoded: Tensor<4>) -> Tensor<1> {
    mean_of_each(decoded).neg()
}

/// The autoencoder's loss of a kind: the terms that are there, weighted.
#[derive(Debug)]
pub struct Objective<'a> {
    /// The network.
    pub autoencoder: &'a Autoencoder,
    /// Weights of the terms.
    pub training: &'a Training,
    /// The perceptual distance, where there is one.
    pub perceptual: Option<&'a Perceptual>,
    /// The discriminator with its present parameters, once it has begun.
    pub adversary: Option<(&'a Discriminator, &'a [Tensor<1>])>,
}

impl Objective<'_> {
    /// Loss of each picture, `[B]`; `pictures` [B, C, H, W], `noise` of the latents' shape [B, K, H/p, W/p].
    pub fn losses(&self, parameters: &[Tensor<1>], pictures: Tensor<4>, noise: Tensor<4>) -> Tensor<1> {
        let pixels: usize = pictures.dims()[1..].iter().product();
        let posterior = self.autoencoder.encode(parameters, pictures.clone());
        let divergence = kl(&posterior, pixels);
        let decoded = self.autoencoder.decode(parameters, sample(posterior, noise));
        let mut loss =
            squared_error(pictures.clone(), decoded.clone()) + divergence.mul_scalar(self.training.kl_weight);
        if let Some(perceptual) = self.perceptual {
            let distance = perceptual.distance(pictures, decoded.clone());
            loss = loss + distance.mul_scalar(self.training.perceptual_weight);
        }
        if let Some((network, adversary)) = self.adversary {
            let term = generator(network.logits(adversary, decoded));
            loss = loss + term.mul_scalar(self.training.adversarial_weight);
        }
        loss
    }
}
