//! What a convolutional tokenizer is and how it is trained; refuses what cannot be built.

use super::layers::GROUPS;
use crate::data::Augment;
use crate::{Error, Result};
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::EncoderSpec;
use serde::{Deserialize, Serialize};

/// Which terms the loss has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Squared error, KL, perceptual and adversarial terms.
    Vqgan,
    /// Without the perceptual term.
    VqganNoPerceptual,
    /// Squared error and KL only: a plain convolutional VAE.
    ConvVae,
}

impl Kind {
    /// All kinds, in the order of METHOD.md section 2.
    pub const ALL: [Kind; 3] = [Kind::Vqgan, Kind::VqganNoPerceptual, Kind::ConvVae];

    /// The name in recipes and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Vqgan => "vqgan",
            Kind::VqganNoPerceptual => "vqgan-no-perceptual",
            Kind::ConvVae => "conv-vae",
        }
    }

    /// True with a perceptual term.
    pub const fn perceptual(self) -> bool {
        matches!(self, Kind::Vqgan)
    }

    /// True with an adversarial term.
    pub const fn adversarial(self) -> bool {
        matches!(self, Kind::Vqgan | Kind::VqganNoPerceptual)
    }
}

/// Shape of a tokenizer and the settings of its training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Terms of the loss.
    pub kind: Kind,
    /// Side of the pictures in pixels.
    pub image: usize,
    /// Side p of a cell in pixels; a power of two.
    pub patch: usize,
    /// Channels C of the pictures.
    pub channels: usize,
    /// Channels K of a latent vector.
    pub rank: usize,
    /// Channels of the first stage; later stages have up to four times as many, full resolution has half.
    #[serde(default = "default_width")]
    pub width: usize,
    /// How it is trained.
    #[serde(default)]
    pub training: Training,
}

const fn default_width() -> usize {
    Settings::WIDTH
}

/// Settings of the training. All numbers are readings: the papers state none at this size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Training {
    /// Steps of the autoencoder; the network for the perceptual term takes as many before.
    pub steps: u64,
    /// Pictures of a step.
    pub batch: usize,
    /// Parts that a batch is cut into on a CPU; results depend on it, not on the number of cores.
    pub shards: usize,
    /// Peak learning rate of AdamW (no weight decay), with a warm-up of a twentieth and a cosine to zero.
    pub learning_rate: f64,
    /// Of the KL divergence, per latent value, against the squared error per pixel value, both summed over a picture
    /// (LDM's 1e-6).
    pub kl_weight: f64,
    /// Of the perceptual distance, against the mean squared error.
    pub perceptual_weight: f64,
    /// Of the generator's hinge term, against the mean squared error (VQGAN balances it by gradient norms instead).
    pub adversarial_weight: f64,
    /// Share of the steps before the adversarial term begins (VQGAN: "after an initial warm-up").
    pub adversarial_start: f64,
    /// Augmentation of the training pictures.
    pub augment: Augment,
    /// Random seed.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Training {
            // At equal work on CIFAR-10 (patch 4, K = 16), 400 steps of 16 pictures reach 22.7 dB, 100 of 64 reach 19.7.
            steps: 1200,
            batch: 16,
            shards: 8,
            learning_rate: 2e-3,
            kl_weight: 1e-6,
            perceptual_weight: 0.05,
            adversarial_weight: 1e-3,
            adversarial_start: 0.5,
            augment: Augment::Flip,
            seed: 0,
        }
    }
}

impl Settings {
    /// Channels of the first stage unless set otherwise: a quarter of VQGAN's 128, for CPUs.
    pub const WIDTH: usize = 32;

    /// A tokenizer of `kind` for the pictures, patches and rank of `spec`, everything else at its default.
    pub fn new(kind: Kind, spec: &EncoderSpec) -> Self {
        Settings {
            kind,
            image: spec.image.into(),
            patch: spec.patch.into(),
            channels: spec.channels.into(),
            rank: spec.rank.into(),
            width: Self::WIDTH,
            training: Training::default(),
        }
    }

    /// The grid of cells.
    ///
    /// # Errors
    /// The patch side is no power of two or does not divide the image side, or a size is zero.
    pub fn grid(&self) -> Result<PatchGrid> {
        if !self.patch.is_power_of_two() {
            return Err(Error::new(format!(
                "a convolutional tokenizer halves the picture, so patch side {} must be a power of two",
                self.patch
            ))
            .hint("choose --patch 2, 4, 8 or 16, or a tokenizer that works per patch"));
        }
        PatchGrid::new(self.image, self.patch, self.channels).ok_or_else(|| {
            Error::new(format!("patch side {} does not divide image side {}", self.patch, self.image))
                .hint("choose another --patch or --image")
        })
    }

    /// Refuses what cannot be built or trained.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<()> {
        self.grid()?;
        let t = &self.training;
        if self.rank == 0 || t.steps == 0 || t.batch == 0 {
            return Err(Error::new("a tokenizer needs a rank, steps and a batch of at least 1"));
        }
        const UNIT: usize = 2 * GROUPS;
        if self.width == 0 || !self.width.is_multiple_of(UNIT) {
            return Err(Error::new(format!("tokenizer width {} is no multiple of {UNIT}", self.width))
                .hint(format!("choose {}: every norm has {GROUPS} groups", self.width.div_ceil(UNIT).max(1) * UNIT)));
        }
        if !(0.0..=1.0).contains(&t.adversarial_start) {
            return Err(Error::new(format!(
                "adversarial-start {} is not a share between 0 and 1",
                t.adversarial_start
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::spec;

    #[test]
    fn shapes_that_cannot_be_built_are_refused() {
        let spec = spec::preset("xs").unwrap().spec;
        let good = Settings::new(Kind::ConvVae, &spec);
        good.check().unwrap();
        let bad = |change: fn(&mut Settings)| {
            let mut settings = good;
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert!(bad(|s| (s.image, s.patch) = (9, 3)).contains("power of two"));
        assert!(bad(|s| s.patch = 64).contains("does not divide"));
        assert!(bad(|s| s.width = 20).contains("multiple of 16"));
        assert!(bad(|s| s.rank = 0).contains("rank"));
        assert!(bad(|s| s.training.adversarial_start = 1.5).contains("share"));
    }

    #[test]
    fn settings_survive_toml() {
        let mut settings = Settings::new(Kind::VqganNoPerceptual, &spec::preset("xs").unwrap().spec);
        settings.training.kl_weight = 1e-3;
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
        assert!(text.contains("vqgan-no-perceptual"));
        assert_eq!(Kind::ALL.map(Kind::name), ["vqgan", "vqgan-no-perceptual", "conv-vae"]);
    }
}
