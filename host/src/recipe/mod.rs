//! Recipes: what is trained, as a composition of independent parts (METHOD.md sections 2 and 3).
//!
//! tokenizer × schedule × input space × target × conditioning × path for everything that denoises, and three yardsticks that do
//! not: `mae`, `moco-v3`, `supervised`. A named recipe ([`named`]) is one choice of parts; a TOML file ([`from_file`]) starts from
//! a named one and replaces some. [`Recipe::check`] refuses parts that contradict each other.

mod file;
mod named;
mod schedule;

pub use file::from_file;
pub use named::{NAMES, named};
pub use schedule::{SINGLE_SIGMA, Schedule};

use crate::model::{Feed, Head, ModelSpec, Space};
use crate::{Error, Result};
use ldae_shared::spec::EncoderSpec;
use serde::{Deserialize, Serialize};

/// A named choice of parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// Its name, one of [`NAMES`] or the stem of a user's file.
    pub name: String,
    /// What is trained.
    pub method: Method,
}

/// What is minimised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "objective", rename_all = "kebab-case")]
pub enum Method {
    /// Predict what the noise hides (papers A and B).
    Denoise(Denoise),
    /// Masked autoencoder: He et al., arXiv 2111.06377.
    Masked(Masked),
    /// MoCo v3: Chen, Xie, He, arXiv 2104.02057.
    Contrastive(Contrastive),
    /// Cross-entropy of the labels.
    Labels(Labels),
}

/// The parts of a recipe that denoises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Denoise {
    /// From pictures to latents.
    pub tokenizer: TokenizerKind,
    /// How much noise at which t.
    pub schedule: Schedule,
    /// What the network sees.
    pub input: Space,
    /// What the network predicts.
    pub target: Target,
    /// Whether t is accompanied by the class of the picture (a tenth of the pictures goes without: DiT).
    pub labels: bool,
    /// How the encoder's output reaches the decoder.
    pub feed: Feed,
    /// Whether the vector of `feed` is normalised to length 1 ("directional", paper B).
    pub directional: bool,
    /// Whether the encoder sees the noisy sample or the clean one; clean is possible with `feed = "vector"` only.
    pub encoder_sees: Sees,
    /// Share of the pictures whose vector is replaced by zero.
    pub condition_dropout: f64,
}

/// Parts of `mae`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Masked {
    /// Share of the tokens that the encoder does not see (0.75 in the paper).
    pub mask_ratio: f64,
}

/// Parts of `moco-v3`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Contrastive {
    /// tau of InfoNCE (0.2 in the paper).
    pub temperature: f64,
}

/// Parts of `supervised`: there are none to choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {}

/// What turns a patch, or a picture, into latents of K values a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// First K principal components of the patches.
    PatchPca,
    /// All P values of a patch: noise on pixels (K = P; the basis does not matter to isotropic noise).
    Pixel,
    /// Linear autoencoder of a patch.
    PatchAe,
    /// The same with a Gaussian posterior and its divergence in the loss.
    PatchVae,
    /// Convolutional variational autoencoder.
    ConvVae,
    /// The same with a perceptual and an adversarial loss.
    Vqgan,
    /// The same with the adversarial loss only.
    VqganNoPerceptual,
}

impl TokenizerKind {
    /// True when a patch's latents depend on that patch alone, by an affine map: what the device's front end can do.
    pub fn is_linear(self) -> bool {
        matches!(self, Self::PatchPca | Self::Pixel | Self::PatchAe | Self::PatchVae)
    }

    /// True when the latents are orthonormal coordinates.
    pub fn is_orthonormal(self) -> bool {
        matches!(self, Self::PatchPca | Self::Pixel)
    }
}

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// eps, K values a token.
    Noise,
    /// z0, K values a token.
    CleanLatent,
    /// V_KᵀV_K x0, P values a token.
    ProjectedImage,
    /// x0, P values a token, directions beyond the first K with the residual weight.
    Image,
}

/// What the encoder of a two-network recipe sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sees {
    /// x_t.
    Noisy,
    /// x0.
    Clean,
}

impl Recipe {
    /// The parts of a recipe that denoises.
    pub fn denoise(&self) -> Option<&Denoise> {
        match &self.method {
            Method::Denoise(denoise) => Some(denoise),
            _ => None,
        }
    }

    /// Mutable [`Recipe::denoise`], with the error of a switch that only such recipes have.
    ///
    /// # Errors
    /// The recipe does not denoise.
    pub fn denoise_mut(&mut self, switch: &str) -> Result<&mut Denoise> {
        match &mut self.method {
            Method::Denoise(denoise) => Ok(denoise),
            _ => Err(Error::new(format!("{switch} means nothing to recipe `{}`, which does not denoise", self.name))
                .hint(format!("leave {switch} out, or choose a recipe that denoises, such as l-dae"))),
        }
    }

    /// True when training reads labels.
    pub fn needs_labels(&self) -> bool {
        match &self.method {
            Method::Denoise(denoise) => denoise.labels,
            Method::Labels(_) => true,
            Method::Masked(_) | Method::Contrastive(_) => false,
        }
    }

    /// True when samples can be drawn from what it trains: there is noise at several levels up to (nearly) nothing but noise.
    pub fn generates(&self) -> bool {
        self.denoise().is_some_and(|d| {
            d.schedule.only_step().is_none() && d.encoder_sees == Sees::Noisy && d.target != Target::Image
        })
    }

    /// The tokenizer; recipes that do not denoise read the same patches through the same PCA front end as the l-DAE.
    pub fn tokenizer(&self) -> TokenizerKind {
        self.denoise().map_or(TokenizerKind::PatchPca, |d| d.tokenizer)
    }

    /// The time step at which the encoder embeds unless set otherwise: 10 (METHOD.md section 1), or the only one it knows.
    pub fn embedding_step(&self) -> u32 {
        self.denoise().and_then(|d| d.schedule.only_step()).unwrap_or(10)
    }

    /// The model: an encoder of this shape with what the recipe trains around it. `decoder` is depth, width, heads.
    pub fn model(&self, encoder: EncoderSpec, decoder: (usize, usize, usize), classes: usize) -> ModelSpec {
        let (decoder_depth, decoder_width, decoder_heads) = decoder;
        let (input, head) = match &self.method {
            Method::Denoise(d) => {
                let output = match d.target {
                    Target::Noise | Target::CleanLatent => Space::Latent,
                    Target::ProjectedImage | Target::Image => Space::Image,
                };
                (d.input, Head::Decoder { output, feed: d.feed })
            }
            Method::Masked(_) => (Space::Image, Head::Masked),
            Method::Contrastive(_) => (Space::Image, Head::Contrastive),
            Method::Labels(_) => (Space::Image, Head::Classifier { classes }),
        };
        let conditional = self.denoise().is_some_and(|d| d.labels);
        let classes = if conditional { classes } else { 0 };
        ModelSpec { encoder, decoder_depth, decoder_width, decoder_heads, input, classes, head }
    }

    /// Refuses parts that contradict each other.
    ///
    /// # Errors
    /// Names the parts and the way out.
    pub fn check(&self) -> Result<()> {
        let refuse = |what: String, hint: &str| Err(Error::new(format!("recipe `{}`: {what}", self.name)).hint(hint));
        match &self.method {
            Method::Denoise(d) => {
                if d.target == Target::Image && !d.tokenizer.is_orthonormal() {
                    return refuse(
                        "target `image` weighs the directions of a patch PCA, and the tokenizer is another".into(),
                        "use tokenizer `patch-pca` or `pixel`, or target `clean-latent`",
                    );
                }
                if !d.tokenizer.is_linear() && (d.input == Space::Image || d.target == Target::ProjectedImage) {
                    return refuse(
                        "a convolutional tokenizer would have to decode every training step".into(),
                        "use input `latent` and target `noise` or `clean-latent`, or a tokenizer per patch",
                    );
                }
                if d.encoder_sees == Sees::Clean && d.feed != Feed::Vector {
                    return refuse(
                        "an encoder that sees the clean picture and passes all tokens on gives the answer away".into(),
                        "use feed `vector`, or encoder-sees `noisy`",
                    );
                }
                if d.directional && d.feed == Feed::Tokens {
                    return refuse(
                        "there is no vector to normalise when only tokens reach the decoder".into(),
                        "use feed `vector` or `tokens-and-vector`, or directional = false",
                    );
                }
                if !(0.0..1.0).contains(&d.condition_dropout) {
                    return refuse(format!("condition-dropout is {}", d.condition_dropout), "use 0 or more, below 1");
                }
                if d.condition_dropout > 0.0 && d.feed == Feed::Tokens {
                    return refuse("condition-dropout needs a vector that can be dropped".into(), "use feed `vector`");
                }
                if let Schedule::Single(sigma) = d.schedule
                    && !(sigma > 0.0 && sigma <= std::f64::consts::SQRT_2)
                {
                    return refuse(format!("sigma is {sigma}"), "use a noise level above 0, at most sqrt(2)");
                }
                Ok(())
            }
            Method::Masked(m) if !(m.mask_ratio > 0.0 && m.mask_ratio < 1.0) => {
                refuse(format!("mask-ratio is {}", m.mask_ratio), "use a share between 0 and 1, such as 0.75")
            }
            Method::Contrastive(c) if !(c.temperature > 0.0 && c.temperature.is_finite()) => {
                refuse(format!("temperature is {}", c.temperature), "use a number above 0, such as 0.2")
            }
            _ => Ok(()),
        }
    }
}
