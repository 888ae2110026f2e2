//! The differentiable network: noisy patches and t in, clean patches out (METHOD.md section 1).
//!
//! A [`Net`] is a view of flat parameter tensors in layout order. Built from leaves that require gradients it trains;
//! built from plain tensors it only computes. Building costs reshapes, no copies.

use super::ModelSpec;
use super::block::{Block, Linear, layer_norm, modulate, silu};
use super::layout::{Parameter, layout};
use super::positions::{positions, time_features};
use crate::model::TIME_FEATURES;
use burn::tensor::{Device, Tensor, TensorData};

/// What does not change during training: shapes and the fixed tables on the device.
#[derive(Clone, Debug)]
pub struct Frame {
    spec: ModelSpec,
    layout: Vec<Parameter>,
    encoder_positions: Tensor<3>,
    decoder_positions: Tensor<3>,
}

impl Frame {
    /// Tables on `device` (without autodiff).
    pub fn new(spec: ModelSpec, device: &Device) -> Self {
        let (grid, n) = (spec.encoder.grid() as usize, spec.encoder.tokens() as usize);
        let table =
            |width: usize| Tensor::<3>::from_data(TensorData::new(positions(grid, width), [1, n, width]), device);
        Frame {
            layout: layout(&spec),
            encoder_positions: table(spec.encoder.width.into()),
            decoder_positions: table(spec.decoder_width),
            spec,
        }
    }

    /// Shape of the model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Parameters in order.
    pub fn layout(&self) -> &[Parameter] {
        &self.layout
    }

    /// The network over `parameters`, flat tensors in layout order.
    ///
    /// # Panics
    /// When there are more or fewer tensors than the layout has.
    pub fn build(&self, parameters: &[Tensor<1>]) -> Net {
        assert_eq!(parameters.len(), self.layout.len());
        let mut rest = self.layout.iter().zip(parameters);
        let mut linear = || {
            let (parameter, weight) = rest.next().expect("the layout has a weight");
            let (_, bias) = rest.next().expect("the layout has a bias");
            let weight = weight.clone().reshape([parameter.shape[0], parameter.shape[1]]);
            Linear { weight, bias: bias.clone() }
        };
        let block = |linear: &mut dyn FnMut() -> Linear, heads: usize| Block {
            modulation: linear(),
            qkv: linear(),
            proj: linear(),
            fc1: linear(),
            fc2: linear(),
            heads,
        };
        // The order of `layout`.
        let embed = linear();
        let time = (linear(), linear());
        let encoder: Vec<Block> =
            (0..self.spec.encoder.depth).map(|_| block(&mut linear, self.spec.encoder.heads.into())).collect();
        let input = linear();
        let decoder: Vec<Block> =
            (0..self.spec.decoder_depth).map(|_| block(&mut linear, self.spec.decoder_heads)).collect();
        Net { embed, time, encoder, input, decoder, final_modulation: linear(), output: linear(), frame: self.clone() }
    }
}

/// Encoder and decoder over one set of parameters.
#[derive(Clone, Debug)]
pub struct Net {
    frame: Frame,
    embed: Linear,
    time: (Linear, Linear),
    encoder: Vec<Block>,
    input: Linear,
    decoder: Vec<Block>,
    final_modulation: Linear,
    output: Linear,
}

impl Net {
    /// Features of noise levels t, [B, 256], as the input of [`Net::condition`].
    pub fn time_table(t: &[u32], device: &Device) -> Tensor<2> {
        let values: Vec<f32> = t.iter().flat_map(|&t| time_features(t as f32)).collect();
        Tensor::from_data(TensorData::new(values, [t.len(), TIME_FEATURES]), device)
    }

    /// silu(c) [B, Wc] from the time features, c = fc2(silu(fc1(features))).
    pub fn condition(&self, features: Tensor<2>) -> Tensor<2> {
        silu(self.time.1.forward(silu(self.time.0.forward(features))))
    }

    /// Encoder: patches [B, N, P] → final LayerNorm of the tokens [B, N, W].
    pub fn encode(&self, patches: Tensor<3>, condition: Tensor<2>) -> Tensor<3> {
        let mut x = self.embed.forward_tokens(patches) + self.frame.encoder_positions.clone();
        for block in &self.encoder {
            x = block.forward(x, condition.clone());
        }
        layer_norm(x)
    }

    /// Decoder: encoder output [B, N, W] → predicted clean patches [B, N, P].
    pub fn decode(&self, tokens: Tensor<3>, condition: Tensor<2>) -> Tensor<3> {
        let b = tokens.dims()[0];
        let mut x = self.input.forward_tokens(tokens) + self.frame.decoder_positions.clone();
        for block in &self.decoder {
            x = block.forward(x, condition.clone());
        }
        let wd = self.frame.spec.decoder_width;
        let modulation = self.final_modulation.forward(condition).reshape([b, 2, wd]);
        let x = modulate(x, modulation.clone().narrow(1, 0, 1), modulation.narrow(1, 1, 1));
        self.output.forward_tokens(x)
    }

    /// net(x_t, t): noisy patches [B, N, P] and time features [B, 256] → clean patches [B, N, P].
    pub fn forward(&self, patches: Tensor<3>, features: Tensor<2>) -> Tensor<3> {
        let condition = self.condition(features);
        self.decode(self.encode(patches, condition.clone()), condition)
    }
}
