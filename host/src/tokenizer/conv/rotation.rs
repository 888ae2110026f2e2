//! A small convolutional network that tells by how many quarter turns a picture was turned, and so learns features
//! without labels (Gidaris, Singh, Komodakis, 2018): what the perceptual term measures distances in.
//!
//! Three stages of stride 2, each convolution, GroupNorm, SiLU; their outputs are the features. The mean over positions of the last
//! and a linear layer give four logits. Every picture is seen in all four turns in a step, as in the paper.

use super::layers::{Builder, Conv, Norm};
use super::settings::Settings;
use crate::model::block::silu;
use crate::model::layout::{Group, Parameter};
use burn::tensor::{Tensor, TensorData, activation, module};

/// Turns by 0, 90, 180 and 270 degrees.
const TURNS: usize = 4;
/// Stages.
const STAGES: usize = 3;

/// The layers and the names of their parameters.
#[derive(Clone, Debug)]
pub struct RotationNet {
    layout: Vec<Parameter>,
    stages: Vec<(Conv, Norm)>,
    features: usize,
}

impl RotationNet {
    /// For the pictures of `settings`.
    pub fn new(settings: &Settings) -> Self {
        let w = settings.width;
        let mut b = Builder::default();
        let mut input = settings.channels;
        let mut stages = Vec::new();
        for stage in 0..STAGES {
            let output = w << stage.min(1);
            let conv = b.conv(&format!("stage.{stage}.conv"), input, output, 2);
            stages.push((conv, b.norm(&format!("stage.{stage}.norm"), output)));
            input = output;
        }
        let mut layout = b.parameters;
        // [out, in] as `init` reads fan-in; zero, so that the first loss is ln 4.
        layout.push(Parameter { name: "head.weight".into(), shape: vec![input, TURNS], group: Group::ZeroWeight });
        layout.push(Parameter { name: "head.bias".into(), shape: vec![TURNS], group: Group::Bias });
        RotationNet { layout, stages, features: input }
    }

    /// Names and shapes of the parameters in order.
    pub fn layout(&self) -> &[Parameter] {
        &self.layout
    }

    /// Outputs of the stages for pictures [B, C, H, W]: [B, w, H/2, W/2], [B, 2w, H/4, W/4], [B, 2w, H/8, W/8].
    pub fn features(&self, parameters: &[Tensor<1>], pictures: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = pictures;
        let mut all = Vec::with_capacity(STAGES);
        for (conv, norm) in &self.stages {
            x = silu(norm.forward(parameters, conv.forward(parameters, x)));
            all.push(x.clone());
        }
        all
    }

    /// Cross-entropy of the four turns of each picture, their mean, `[B]`. Pictures are square.
    pub fn losses(&self, parameters: &[Tensor<1>], pictures: Tensor<4>) -> Tensor<1> {
        let (b, device) = (pictures.dims()[0], pictures.device());
        let last = self.features(parameters, turned(pictures)).pop().expect("there are stages");
        let [_, c, h, w] = last.dims();
        let pooled = last.reshape([TURNS * b, c, h * w]).mean_dim(2).reshape([TURNS * b, c]);
        let [weight, bias] = &parameters[parameters.len() - 2..] else { unreachable!("the head is last") };
        let weight = weight.clone().reshape([self.features, TURNS]);
        let logits = module::linear(pooled, weight, Some(bias.clone()));
        let log = activation::log_softmax(logits, 1).reshape([TURNS, b, TURNS]);
        let right: Vec<f32> = (0..TURNS * TURNS).map(|i| f32::from(u8::from(i / TURNS == i % TURNS))).collect();
        let right = Tensor::<3>::from_data(TensorData::new(right, [TURNS, 1, TURNS]), &device);
        // [4 turns, B, 4 logits] → the right logit's logarithm of each turn, averaged.
        (log * right).sum_dim(2).sum_dim(0).reshape([b]).div_scalar(-(TURNS as f64))
    }
}

/// The pictures in all four turns, [4B, C, H, W], turn by turn.
fn turned(pictures: Tensor<4>) -> Tensor<4> {
    let quarter = |x: Tensor<4>| x.swap_dims(2, 3).flip([3]);
    let one = quarter(pictures.clone());
    let two = quarter(one.clone());
    let three = quarter(two.clone());
    Tensor::cat(vec![pictures, one, two, three], 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn quarter_turns() {
        let picture = Tensor::<4>::from_data(TensorData::new(vec![1f32, 2.0, 3.0, 4.0], [1, 1, 2, 2]), &Device::flex());
        let all = turned(picture).into_data().try_to_vec::<f32>().unwrap();
        // Clockwise: the left column, read upwards, becomes the first row.
        assert_eq!(all, [1.0, 2.0, 3.0, 4.0, 3.0, 1.0, 4.0, 2.0, 4.0, 3.0, 2.0, 1.0, 2.0, 4.0, 1.0, 3.0]);
    }
}
