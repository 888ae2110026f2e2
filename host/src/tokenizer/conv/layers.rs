//! Layers of the convolutional networks over flat parameter tensors: what they hold is their place in the list.
//!
//! Pictures and feature maps are [B, C, H, W] f32. A [`Builder`] hands out the places and collects names and shapes, so that a
//! network is described once: layout, initialisation and forward pass follow from it.

use crate::model::block::silu;
use crate::model::layout::{Group, Parameter};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData, module};
use ldae_shared::noise::{Purpose, Stream};

/// Groups of every GroupNorm: LDM's 32 are for 128 channels and more (reading).
pub const GROUPS: usize = 8;
/// Epsilon of GroupNorm (LDM).
const EPSILON: f64 = 1e-6;
/// Side of the convolution kernels.
const KERNEL: usize = 3;

/// Collects the parameters of a network in order.
#[derive(Debug, Default)]
pub struct Builder {
    /// Names and shapes so far.
    pub parameters: Vec<Parameter>,
}

impl Builder {
    fn add(&mut self, name: String, shape: Vec<usize>, group: Group) -> usize {
        self.parameters.push(Parameter { name, shape, group });
        self.parameters.len() - 1
    }

    /// A 3×3 convolution with padding 1 whose weights start as He's uniform ones.
    pub fn conv(&mut self, name: &str, input: usize, output: usize, stride: usize) -> Conv {
        self.any_conv(name, input, output, stride, Group::Weight)
    }

    /// A 3×3 convolution that starts at zero.
    fn zero_conv(&mut self, name: &str, input: usize, output: usize) -> Conv {
        self.any_conv(name, input, output, 1, Group::ZeroWeight)
    }

    fn any_conv(&mut self, name: &str, input: usize, output: usize, stride: usize, group: Group) -> Conv {
        let weight = self.add(format!("{name}.weight"), vec![output, input, KERNEL, KERNEL], group);
        self.add(format!("{name}.bias"), vec![output], Group::Bias);
        Conv { weight, input, output, stride }
    }

    /// A GroupNorm over `channels`.
    pub fn norm(&mut self, name: &str, channels: usize) -> Norm {
        let scale = self.add(format!("{name}.scale"), vec![channels], Group::Bias);
        self.add(format!("{name}.shift"), vec![channels], Group::Bias);
        Norm { scale, channels }
    }

    /// A residual block that keeps `channels`.
    pub fn residual(&mut self, name: &str, channels: usize) -> Residual {
        Residual {
            norm1: self.norm(&format!("{name}.norm1"), channels),
            conv1: self.conv(&format!("{name}.conv1"), channels, channels, 1),
            norm2: self.norm(&format!("{name}.norm2"), channels),
            conv2: self.zero_conv(&format!("{name}.conv2"), channels, channels),
        }
    }
}

/// Initial values: weights uniform on ±sqrt(6 / fan-in) (He et al., "Delving deep into rectifiers", 2015), everything else 0.
/// Tensor i draws from `Stream(seed, Init, network, i)`.
pub fn init(parameters: &[Parameter], seed: u64, network: u32, device: &Device) -> Vec<Tensor<1>> {
    let one = |(i, parameter): (usize, &Parameter)| {
        let count = parameter.len();
        let mut values = vec![0f32; count];
        if parameter.group == Group::Weight {
            let bound = (6.0 / (count / parameter.shape[0]) as f32).sqrt();
            let mut stream = Stream::new(seed, Purpose::Init, network, i as u32);
            values.iter_mut().for_each(|v| *v = (2.0 * stream.uniform() - 1.0) * bound);
        }
        Tensor::from_data(TensorData::new(values, [count]), device)
    };
    parameters.iter().enumerate().map(one).collect()
}

/// A 3×3 convolution: weight [out, in, 3, 3] at its place, bias `[out]` after it.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    weight: usize,
    input: usize,
    output: usize,
    stride: usize,
}

impl Conv {
    /// [B, in, H, W] → [B, out, ⌈H/stride⌉, ⌈W/stride⌉].
    pub fn forward(self, parameters: &[Tensor<1>], x: Tensor<4>) -> Tensor<4> {
        let weight = parameters[self.weight].clone().reshape([self.output, self.input, KERNEL, KERNEL]);
        let bias = parameters[self.weight + 1].clone();
        module::conv2d(x, weight, Some(bias), ConvOptions::new([self.stride; 2], [KERNEL / 2; 2], [1; 2], 1))
    }
}

/// GroupNorm (Wu, He, "Group normalization", 2018): factor 1 + scale and shift per channel, both starting at 0.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    scale: usize,
    channels: usize,
}

impl Norm {
    /// [B, C, H, W] → the same shape.
    pub fn forward(self, parameters: &[Tensor<1>], x: Tensor<4>) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        let x = x.reshape([b, GROUPS, c / GROUPS * h * w]); // a group's values in one row
        let centred = x.clone() - x.mean_dim(2);
        let deviation = centred.clone().square().mean_dim(2).add_scalar(EPSILON).sqrt();
        let normed = (centred / deviation).reshape([b, c, h, w]);
        let channel = |i: usize| parameters[i].clone().reshape([1, self.channels, 1, 1]);
        normed * channel(self.scale).add_scalar(1.0) + channel(self.scale + 1)
    }

    /// SiLU of the norm: what stands before a convolution.
    pub fn forward_silu(self, parameters: &[Tensor<1>], x: Tensor<4>) -> Tensor<4> {
        silu(self.forward(parameters, x))
    }
}

/// x + conv2(silu(norm2(conv1(silu(norm1(x)))))), LDM's block without time conditioning; conv2 starts at zero.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    norm1: Norm,
    conv1: Conv,
    norm2: Norm,
    conv2: Conv,
}

impl Residual {
    /// [B, C, H, W] → the same shape.
    pub fn forward(self, parameters: &[Tensor<1>], x: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv1.forward(parameters, self.norm1.forward_silu(parameters, x.clone()));
        x + self.conv2.forward(parameters, self.norm2.forward_silu(parameters, hidden))
    }
}

/// Every pixel twice in both directions: [B, C, H, W] → [B, C, 2H, 2W].
pub fn upsample(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    module::interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]))
}
