//! Encoder and decoder of the tokenizer (LDM appendix E.1, without attention): pictures [B, C, H, W] to mean and log-variance
//! [B, K, H/p, W/p] and back.

use super::layers::{Builder, Conv, Norm, Residual, upsample};
use super::settings::Settings;
use crate::model::layout::Parameter;
use burn::tensor::Tensor;

/// Range of the log-variance (LDM).
const LOG_VARIANCE: (f64, f64) = (-30.0, 20.0);
/// What the log-variance is when the network says 0: noise of a twentieth of the latents' scale, so that training starts with an
/// autoencoder and not with noise (reading).
const FIRST_LOG_VARIANCE: f64 = -6.0;
/// Largest multiple of the base width in a stage (VQGAN: channel multipliers up to 4).
const MOST: usize = 4;

/// The layers and the names of their parameters.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    layout: Vec<Parameter>,
    stem: Conv,
    /// Stride 2 and a residual block, from the full picture to the cells.
    down: Vec<(Conv, Residual)>,
    encoder_end: (Norm, Conv),
    start: Conv,
    /// A residual block, upsampling and a convolution, from the cells to the full picture.
    up: Vec<(Residual, Conv)>,
    decoder_end: (Norm, Conv),
}

/// Mean and log-variance of the latents, both [B, K, H/p, W/p].
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Means.
    pub mean: Tensor<4>,
    /// Logarithms of the variances.
    pub log_variance: Tensor<4>,
}

impl Autoencoder {
    /// The network of checked settings.
    pub fn new(settings: &Settings) -> Self {
        let stages = settings.patch.ilog2() as usize;
        // Channels at depth s: width/2, width, 2·width, 4·width, 4·width ...: full resolution is where the work is.
        let channels = |s: usize| (settings.width << s).min(2 * MOST * settings.width) / 2;
        let mut b = Builder::default();
        let stem = b.conv("encoder.stem", settings.channels, channels(0), 1);
        let down = (1..=stages)
            .map(|s| {
                let conv = b.conv(&format!("encoder.down.{s}"), channels(s - 1), channels(s), 2);
                (conv, b.residual(&format!("encoder.block.{s}"), channels(s)))
            })
            .collect();
        let encoder_end = (
            b.norm("encoder.norm", channels(stages)),
            b.conv("encoder.moments", channels(stages), 2 * settings.rank, 1),
        );
        let start = b.conv("decoder.start", settings.rank, channels(stages), 1);
        let up = (1..=stages)
            .rev()
            .map(|s| {
                let block = b.residual(&format!("decoder.block.{s}"), channels(s));
                (block, b.conv(&format!("decoder.up.{s}"), channels(s), channels(s - 1), 1))
            })
            .collect();
        let decoder_end =
            (b.norm("decoder.norm", channels(0)), b.conv("decoder.output", channels(0), settings.channels, 1));
        Autoencoder { layout: b.parameters, stem, down, encoder_end, start, up, decoder_end }
    }

    /// Names and shapes of the parameters in order.
    pub fn layout(&self) -> &[Parameter] {
        &self.layout
    }

    /// Pictures [B, C, H, W] → mean and log-variance.
    pub fn encode(&self, parameters: &[Tensor<1>], pictures: Tensor<4>) -> Posterior {
        let mut x = self.stem.forward(parameters, pictures);
        for (conv, block) in &self.down {
            x = block.forward(parameters, conv.forward(parameters, x));
        }
        let (norm, conv) = self.encoder_end;
        let moments = conv.forward(parameters, norm.forward_silu(parameters, x)); // [B, 2K, H/p, W/p]
        let rank = moments.dims()[1] / 2;
        Posterior {
            mean: moments.clone().narrow(1, 0, rank),
            log_variance: moments
                .narrow(1, rank, rank)
                .add_scalar(FIRST_LOG_VARIANCE)
                .clamp(LOG_VARIANCE.0, LOG_VARIANCE.1),
        }
    }

    /// Latents [B, K, H/p, W/p] → pictures [B, C, H, W].
    pub fn decode(&self, parameters: &[Tensor<1>], latents: Tensor<4>) -> Tensor<4> {
        let mut x = self.start.forward(parameters, latents);
        for (block, conv) in &self.up {
            x = conv.forward(parameters, upsample(block.forward(parameters, x)));
        }
        let (norm, conv) = self.decoder_end;
        conv.forward(parameters, norm.forward_silu(parameters, x))
    }
}
