//! A trained convolutional tokenizer: patches [B, N, P] to latents [B, N, K] of unit scale and back.

use super::autoencoder::Autoencoder;
use super::pictures::{from_patches, from_tokens, to_patches, to_tokens};
use super::settings::Settings;
use super::train::train;
use crate::cli::Output;
use crate::data::Split;
use crate::model::NamedTensor;
use crate::train::batch::patches;
use crate::train::workers::Workers;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

/// Pictures that the scale of the latents is measured on (reading): 4096 pictures of 64 cells and 16 channels give its square to
/// a few thousandths.
const SCALE_PICTURES: usize = 4096;
/// Pictures of one forward pass.
const PART: usize = 64;
/// Names of the tensors begin with this.
const PREFIX: &str = "tokenizer.";

/// An autoencoder with the shift and scale of its latents.
#[derive(Clone, Debug)]
pub struct ConvTokenizer {
    settings: Settings,
    autoencoder: Autoencoder,
    /// In the order of the autoencoder's layout, without autodiff.
    parameters: Vec<Tensor<1>>,
    /// Mean of each channel, `[K]`.
    shift: Vec<f32>,
    /// Root mean square of the shifted latents.
    scale: f32,
    device: Device,
}

/// How the training ended: means over the last tenth of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The autoencoder's loss, all terms.
    pub loss: f64,
    /// Cross-entropy of the feature network (guessing: 1.386), where there is a perceptual term.
    pub rotation_loss: Option<f64>,
    /// Hinge loss of the discriminator (it tells nothing: 1), where there is an adversarial term.
    pub discriminator_loss: Option<f64>,
}

impl ConvTokenizer {
    /// Trains on the pictures of `split`, which have the side and channels of `settings`.
    ///
    /// # Errors
    /// The settings cannot be built or do not fit the pictures, or a loss is no longer finite.
    pub fn train(
        settings: &Settings,
        split: &Split,
        workers: &Workers,
        device: &Device,
        out: &Output,
    ) -> Result<(Self, Report)> {
        settings.check()?;
        if (split.side(), split.channels()) != (settings.image, settings.channels) || split.is_empty() {
            return Err(Error::new(format!(
                "a tokenizer for pictures of {0}x{0}x{1} cannot be trained on {2} of {3}x{3}x{4}",
                settings.image,
                settings.channels,
                split.len(),
                split.side(),
                split.channels()
            ))
            .hint("load the pictures at the tokenizer's side and channels"));
        }
        let autoencoder = Autoencoder::new(settings);
        let trained = train(settings, &autoencoder, split, workers, device, out)?;
        let report = Report {
            loss: trained.loss,
            rotation_loss: trained.rotation_loss,
            discriminator_loss: trained.discriminator_loss,
        };
        let mut tokenizer = ConvTokenizer {
            settings: *settings,
            autoencoder,
            parameters: trained.parameters,
            shift: vec![0.0; settings.rank],
            scale: 1.0,
            device: device.clone(),
        };
        tokenizer.normalise(split, workers)?;
        Ok((tokenizer, report))
    }

    /// Measures shift and scale on the first pictures of `split`.
    fn normalise(&mut self, split: &Split, workers: &Workers) -> Result<()> {
        let (grid, rank) = (self.settings.grid()?, self.settings.rank);
        let count = split.len().min(SCALE_PICTURES);
        let (mut sum, mut squares) = (vec![0f64; rank], 0f64);
        let part = |i: usize| {
            let pictures: Vec<&[u8]> = (i * PART..count.min((i + 1) * PART)).map(|i| split.image(i)).collect();
            self.encode(patches(grid, &pictures, &self.device)).into_data().iter::<f32>().collect::<Vec<_>>()
        };
        workers.for_each_in_order(count.div_ceil(PART), part, |_, latents| {
            for vector in latents.chunks_exact(rank) {
                sum.iter_mut().zip(vector).for_each(|(sum, &v)| *sum += f64::from(v));
                squares += vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
            }
        });
        let vectors = (count * grid.tokens()) as f64;
        // Σ (z − mean)² = Σ z² − n·mean², in f64.
        let means: Vec<f64> = sum.iter().map(|s| s / vectors).collect();
        let variance = squares / vectors - means.iter().map(|m| m * m).sum::<f64>();
        let scale = (variance / rank as f64).sqrt();
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::new("the tokenizer's latents are the same for all pictures")
                .hint("train it longer, or with a smaller kl-weight; check the pictures with `ldae data`"));
        }
        self.shift = means.iter().map(|&m| m as f32).collect();
        self.scale = scale as f32;
        Ok(())
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn shift(&self, device: &Device) -> Tensor<3> {
        Tensor::from_data(TensorData::new(self.shift.clone(), [1, 1, self.shift.len()]), device)
    }

    /// Patches [B, N, P] → latents [B, N, K]: means, shifted and scaled.
    pub fn encode(&self, patches: Tensor<3>) -> Tensor<3> {
        let device = patches.device();
        let mean = self.autoencoder.encode(&self.parameters, from_patches(&self.settings, patches)).mean;
        (to_tokens(mean) - self.shift(&device)).div_scalar(self.scale)
    }

    /// Latents [B, N, K] → patches [B, N, P].
    pub fn decode(&self, latents: Tensor<3>) -> Tensor<3> {
        let device = latents.device();
        let latents = latents.mul_scalar(self.scale) + self.shift(&device);
        let pictures = self.autoencoder.decode(&self.parameters, from_tokens(&self.settings, latents));
        to_patches(&self.settings, pictures)
    }

    /// Names and shapes of [`ConvTokenizer::tensors`].
    pub fn shapes(settings: &Settings) -> Vec<(String, Vec<usize>)> {
        let autoencoder = Autoencoder::new(settings);
        let parameters = autoencoder.layout().iter().map(|p| (p.name.clone(), p.shape.clone()));
        let constants = [("shift".to_owned(), vec![settings.rank]), ("scale".to_owned(), vec![1])];
        parameters.chain(constants).map(|(name, shape)| (format!("{PREFIX}{name}"), shape)).collect()
    }

    /// Everything that [`ConvTokenizer::from_tensors`] needs beside the settings: `tokenizer.encoder.*`, `tokenizer.decoder.*`,
    /// `tokenizer.shift`, `tokenizer.scale`.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let tensor = |name: &str, shape: Vec<usize>, values: Vec<f32>| NamedTensor {
            name: format!("{PREFIX}{name}"),
            shape,
            values,
        };
        let mut all: Vec<NamedTensor> = self
            .autoencoder
            .layout()
            .iter()
            .zip(&self.parameters)
            .map(|(p, values)| tensor(&p.name, p.shape.clone(), values.clone().into_data().iter::<f32>().collect()))
            .collect();
        all.push(tensor("shift", vec![self.shift.len()], self.shift.clone()));
        all.push(tensor("scale", vec![1], vec![self.scale]));
        all
    }

    /// A tokenizer from its settings and tensors (others beside them are left alone).
    ///
    /// # Errors
    /// The settings cannot be built, or a tensor is missing or has another shape.
    pub fn from_tensors(settings: &Settings, tensors: &[NamedTensor], device: &Device) -> Result<Self> {
        settings.check()?;
        let values = |name: &str, shape: &[usize]| {
            let name = format!("{PREFIX}{name}");
            let found = tensors.iter().find(|t| t.name == name).ok_or_else(|| {
                Error::new(format!("the checkpoint has no tensor {name}"))
                    .hint("it was written with another tokenizer than the run's settings name")
            })?;
            match found.shape == shape && found.values.len() == shape.iter().product::<usize>() {
                true => Ok(found.values.clone()),
                false => Err(Error::new(format!("tensor {name} has shape {:?}, not {shape:?}", found.shape))
                    .hint("the settings of the tokenizer were changed after its training")),
            }
        };
        let autoencoder = Autoencoder::new(settings);
        let mut parameters = Vec::with_capacity(autoencoder.layout().len());
        for parameter in autoencoder.layout() {
            let data = TensorData::new(values(&parameter.name, &parameter.shape)?, [parameter.len()]);
            parameters.push(Tensor::from_data(data, device));
        }
        let (shift, scale) = (values("shift", &[settings.rank])?, values("scale", &[1])?[0]);
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::new(format!("tensor {PREFIX}scale is {scale}")).hint("the checkpoint is damaged"));
        }
        Ok(ConvTokenizer { settings: *settings, autoencoder, parameters, shift, scale, device: device.clone() })
    }

    /// The same on another device.
    #[must_use]
    pub fn to_device(&self, device: &Device) -> Self {
        let parameters = self.parameters.iter().map(|p| p.clone().to_device(device)).collect();
        ConvTokenizer { parameters, device: device.clone(), ..self.clone() }
    }
}
