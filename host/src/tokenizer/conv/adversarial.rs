//! The patch discriminator (Isola et al., "Image-to-image translation with conditional adversarial networks", 2017; VQGAN): one
//! logit for each overlapping patch of a picture, positive for real ones.
//!
//! Two stages of stride 2 instead of VQGAN's three of a 256² picture, 3×3 kernels, GroupNorm in place of batch norm, which would
//! make a loss depend on how a batch is cut (readings).

use super::layers::{Builder, Conv, Norm};
use super::settings::Settings;
use crate::model::layout::Parameter;
use burn::tensor::{Tensor, activation};

/// Slope of the leaky ReLU below zero (Isola et al.).
const SLOPE: f64 = 0.2;

/// The layers and the names of their parameters.
#[derive(Clone, Debug)]
pub struct Discriminator {
    layout: Vec<Parameter>,
    first: Conv,
    middle: [(Conv, Norm); 2],
    output: Conv,
}

impl Discriminator {
    /// For the pictures of `settings`.
    pub fn new(settings: &Settings) -> Self {
        let w = settings.width;
        let mut b = Builder::default();
        let first = b.conv("first", settings.channels, w, 2);
        let mut stage = |name: &str, input, stride| {
            let conv = b.conv(&format!("{name}.conv"), input, 2 * w, stride);
            (conv, b.norm(&format!("{name}.norm"), 2 * w))
        };
        let middle = [stage("middle.1", w, 2), stage("middle.2", 2 * w, 1)];
        let output = b.conv("output", 2 * w, 1, 1);
        Discriminator { layout: b.parameters, first, middle, output }
    }

    /// Names and shapes of the parameters in order.
    pub fn layout(&self) -> &[Parameter] {
        &self.layout
    }

    /// Logits [B, 1, ⌈H/4⌉, ⌈W/4⌉] of pictures [B, C, H, W].
    pub fn logits(&self, parameters: &[Tensor<1>], pictures: Tensor<4>) -> Tensor<4> {
        let mut x = activation::leaky_relu(self.first.forward(parameters, pictures), SLOPE);
        for (conv, norm) in self.middle {
            x = activation::leaky_relu(norm.forward(parameters, conv.forward(parameters, x)), SLOPE);
        }
        self.output.forward(parameters, x)
    }
}
