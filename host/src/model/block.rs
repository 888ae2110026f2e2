//! One DiT block and its parts, in Burn (METHOD.md section 1; Peebles, Xie, "Scalable diffusion models with
//! transformers", 2023, for adaLN-Zero).
//!
//! Activations are [B, N, W] f32; linear layers run as one [B·N, W] product. Everything is generic over the device and
//! takes gradients when its tensors do.

use super::{NORM_EPSILON, Precision, fused, is_cpu};
use burn::tensor::{Device, FloatDType, Tensor, TensorData, activation, module};

/// Weight `[in, out]` and bias `[out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// [in, out].
    pub weight: Tensor<2>,
    /// `[out]`.
    pub bias: Tensor<1>,
    /// Of the product.
    pub precision: Precision,
}

/// Rounds the factors of a product as `precision` says.
fn rounded<const D: usize>(x: Tensor<D>, precision: Precision) -> Tensor<D> {
    match precision {
        Precision::F32 => x,
        Precision::Bf16 => x.cast(FloatDType::BF16),
    }
}

/// A product back in f32.
fn widened<const D: usize>(x: Tensor<D>, precision: Precision) -> Tensor<D> {
    match precision {
        Precision::F32 => x,
        Precision::Bf16 => x.cast(FloatDType::F32),
    }
}

impl Linear {
    /// x [R, in] → [R, out].
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self.precision {
            Precision::F32 => module::linear(x, self.weight.clone(), Some(self.bias.clone())),
            half => {
                let product = module::linear(rounded(x, half), rounded(self.weight.clone(), half), None);
                let output = self.bias.dims()[0];
                widened(product, half) + self.bias.clone().reshape([1, output])
            }
        }
    }

    /// x [B, N, in] → [B, N, out].
    pub fn forward_tokens(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, n, input] = x.dims();
        let y = self.forward(x.reshape([b * n, input]));
        let output = self.bias.dims()[0];
        y.reshape([b, n, output])
    }

    /// Columns `start..start + count` as a layer of their own (gradients flow back into the whole).
    fn columns(&self, start: usize, count: usize) -> Linear {
        let bias = self.bias.clone().narrow(0, start, count);
        Linear { weight: self.weight.clone().narrow(1, start, count), bias, precision: self.precision }
    }
}

/// LayerNorm over the last axis without affine, biased variance.
pub fn layer_norm(x: Tensor<3>) -> Tensor<3> {
    let centred = x.clone() - x.mean_dim(2);
    let deviation = centred.clone().square().mean_dim(2).add_scalar(NORM_EPSILON).sqrt();
    centred / deviation
}

/// LN(x)·(1 + scale) + shift with one shift and scale [B, 1, W] per picture.
pub fn modulate(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>) -> Tensor<3> {
    layer_norm(x) * scale.add_scalar(1.0) + shift
}

/// Tanh-approximated GELU: 0.5·x·(1 + tanh(u)) = x·sigmoid(2u), u = sqrt(2/pi)·(x + 0.044715·x³). Sigmoid has a
/// fused backward in Burn, tanh and powers do not.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    const TWO_SQRT_2_OVER_PI: f64 = 1.595_769_121_605_730_7;
    let inner = x.clone().square().mul_scalar(0.044_715 * TWO_SQRT_2_OVER_PI).add_scalar(TWO_SQRT_2_OVER_PI);
    activation::sigmoid(inner * x.clone()) * x
}

/// SiLU: x·sigmoid(x).
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::sigmoid(x.clone()) * x
}

/// Rows of length 1; the constant only guards the division.
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).add_scalar(1e-12).sqrt();
    x / length
}

/// One in the named column of each row, [B, columns].
pub fn one_hot(columns: usize, ones: impl ExactSizeIterator<Item = usize>, device: &Device) -> Tensor<2> {
    let b = ones.len();
    let mut rows = vec![0f32; b * columns];
    ones.enumerate().for_each(|(i, column)| rows[i * columns + column] = 1.0);
    Tensor::from_data(TensorData::new(rows, [b, columns]), device)
}

/// Cross-entropy of each row of logits [B, classes] with its target distribution, `[B]`.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let b = logits.dims()[0];
    (activation::log_softmax(logits, 1) * targets).sum_dim(1).reshape([b]).neg()
}

/// One block: attention and MLP, each modulated and gated by the conditioning.
#[derive(Clone, Debug)]
pub struct Block {
    /// [Wc, 6W]: shift1, scale1, gate1, shift2, scale2, gate2.
    pub modulation: Linear,
    /// [W, 3W]: q, k, v; heads contiguous inside each.
    pub qkv: Linear,
    /// [W, W].
    pub proj: Linear,
    /// [W, rW].
    pub fc1: Linear,
    /// [rW, W].
    pub fc2: Linear,
    /// Heads H.
    pub heads: usize,
}

impl Block {
    /// x [B, N, W]; `condition` is silu(c) [B, Wc].
    pub fn forward(&self, x: Tensor<3>, condition: Tensor<2>) -> Tensor<3> {
        self.modulated(x, self.modulation.forward(condition))
    }

    /// [`Block::forward`] with the outputs of attention and MLP multiplied by a factor for each picture, [B, 2]: stochastic depth
    /// drops branches with it.
    pub fn forward_scaled(&self, x: Tensor<3>, condition: Tensor<2>, factors: Tensor<2>) -> Tensor<3> {
        let [b, _, w] = x.dims();
        let branch = |i: usize| factors.clone().narrow(1, i, 1).reshape([b, 1, 1]).expand([b, 1, w]);
        let one = Tensor::<3>::ones([b, 2, w], &x.device());
        // shift, scale and gate of attention, then of the MLP: a gate is a factor of its branch.
        let factors = Tensor::cat(vec![one.clone(), branch(0), one, branch(1)], 1).reshape([b, 6 * w]);
        self.modulated(x, self.modulation.forward(condition) * factors)
    }

    /// Modulation [B, 6W].
    fn modulated(&self, x: Tensor<3>, modulation: Tensor<2>) -> Tensor<3> {
        if is_cpu(&x.device()) && self.qkv.precision == Precision::F32 {
            fused::dit_block(x, modulation, self)
        } else {
            self.composed(x, modulation)
        }
    }

    /// The definition, in Burn operations; modulation [B, 6W].
    pub(super) fn composed(&self, x: Tensor<3>, modulation: Tensor<2>) -> Tensor<3> {
        let [b, _, w] = x.dims();
        let modulation = modulation.reshape([b, 6, w]);
        let part = |i: usize| modulation.clone().narrow(1, i, 1);
        let attended = self.attention(modulate(x.clone(), part(0), part(1)));
        let x = x + attended * part(2);
        let hidden = gelu_tanh(self.fc1.forward_tokens(modulate(x.clone(), part(3), part(4))));
        x + self.fc2.forward_tokens(hidden) * part(5)
    }

    /// Multi-head attention with its output projection.
    fn attention(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, n, w] = x.dims();
        let head = w / self.heads;
        let x = x.reshape([b * n, w]);
        // Three products with column slices: slicing the small weight is far cheaper, forward and backward, than slicing
        // the [B·N, 3W] activations. [B·N, W] → [B, N, H, W/H] → [B, H, N, W/H] as a view.
        let heads =
            |i: usize| self.qkv.columns(i * w, w).forward(x.clone()).reshape([b, n, self.heads, head]).swap_dims(1, 2);
        let query = heads(0).mul_scalar(1.0 / (head as f64).sqrt());
        let product = |a: Tensor<4>, b: Tensor<4>| {
            let precision = self.qkv.precision;
            widened(rounded(a, precision).matmul(rounded(b, precision)), precision)
        };
        let scores = activation::softmax(product(query, heads(1).swap_dims(2, 3)), 3);
        let mixed = product(scores, heads(2)).swap_dims(1, 2).reshape([b * n, w]);
        self.proj.forward(mixed).reshape([b, n, w])
    }
}
