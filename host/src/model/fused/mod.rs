//! A DiT block as one operation of Burn's CPU backend, with its own gradient. [`crate::model::block`] is the definition; on flex
//! its composition of some sixty operations spends more than half of a step moving intermediate tensors through memory, and its products do
//! not use AVX-512 (docs/RESULTS.md, "Training speed"). GPUs take the composition.
//!
//! x [B, N, W], modulation [B, 6W] (shift, scale, gate of the attention, then of the MLP), weights [in, out]; all f32.

mod attention;
mod block;
mod product;
mod rows;
#[cfg(test)]
mod tests;

use super::block::Block;
use block::{Gradients, Layers, Linear, Saved};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients as Graph;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};
use std::sync::Arc;

/// Tensors of the operation, in order: x, modulation, then weight and bias of qkv, proj, fc1, fc2.
const INPUTS: usize = 10;

/// Shape of one call.
#[derive(Clone, Copy, Debug)]
struct Shape {
    pictures: usize,
    tokens: usize,
    width: usize,
    hidden: usize,
    heads: usize,
}

impl Shape {
    fn rows(&self) -> usize {
        self.pictures * self.tokens
    }

    /// Width of a head.
    fn head(&self) -> usize {
        self.width / self.heads
    }

    /// Scores are divided by the root of the head's width.
    fn score_factor(&self) -> f32 {
        1.0 / (self.head() as f32).sqrt()
    }
}

/// Tensors of the operation on a backend.
#[derive(ExtensionType)]
struct Tensors<B: Backend> {
    x: FloatTensor<B>,
    modulation: FloatTensor<B>,
    qkv_weight: FloatTensor<B>,
    qkv_bias: FloatTensor<B>,
    proj_weight: FloatTensor<B>,
    proj_bias: FloatTensor<B>,
    fc1_weight: FloatTensor<B>,
    fc1_bias: FloatTensor<B>,
    fc2_weight: FloatTensor<B>,
    fc2_bias: FloatTensor<B>,
}

impl<B: Backend> Tensors<B> {
    fn in_order(self) -> [FloatTensor<B>; INPUTS] {
        [
            self.x,
            self.modulation,
            self.qkv_weight,
            self.qkv_bias,
            self.proj_weight,
            self.proj_bias,
            self.fc1_weight,
            self.fc1_bias,
            self.fc2_weight,
            self.fc2_bias,
        ]
    }
}

/// The operation that Burn learns.
#[backend_extension(Flex, Autodiff)]
trait BlockBackend: Backend {
    /// Output [B, N, W] of a block.
    fn dit_block(#[extension_type] tensors: Tensors<Self>, heads: usize) -> FloatTensor<Self>;
}

/// Output [B, N, W] of `block` for x [B, N, W] and modulation [B, 6W]. All tensors lie on the CPU.
pub(super) fn dit_block(x: Tensor<3>, modulation: Tensor<2>, block: &Block) -> Tensor<3> {
    let weight = |layer: &super::block::Linear| layer.weight.clone().into_dispatch();
    let bias = |layer: &super::block::Linear| layer.bias.clone().into_dispatch();
    let tensors = Tensors {
        x: x.into_dispatch(),
        modulation: modulation.into_dispatch(),
        qkv_weight: weight(&block.qkv),
        qkv_bias: bias(&block.qkv),
        proj_weight: weight(&block.proj),
        proj_bias: bias(&block.proj),
        fc1_weight: weight(&block.fc1),
        fc1_bias: bias(&block.fc1),
        fc2_weight: weight(&block.fc2),
        fc2_bias: bias(&block.fc2),
    };
    Tensor::from_dispatch(<Dispatch as BlockBackend>::dit_block(tensors, block.heads))
}

/// The inputs in memory order.
#[derive(Clone, Debug)]
struct Inputs([FlexTensor; INPUTS]);

impl Inputs {
    fn new(tensors: [FlexTensor; INPUTS]) -> Self {
        Inputs(tensors.map(|t| t.to_contiguous()))
    }

    fn values(&self, i: usize) -> &[f32] {
        self.0[i].storage()
    }

    fn shape(&self, heads: usize) -> Shape {
        let [x, hidden] = [0, 7].map(|i| self.0[i].layout().shape());
        Shape { pictures: x[0], tokens: x[1], width: x[2], hidden: hidden[0], heads }
    }

    fn layers(&self) -> Layers<'_> {
        let layer = |i| Linear { weight: self.values(i), bias: self.values(i + 1) };
        Layers { qkv: layer(2), proj: layer(4), fc1: layer(6), fc2: layer(8) }
    }

    fn forward(&self, shape: &Shape) -> (FlexTensor, Saved) {
        let (y, saved) = block::forward(shape, self.values(0), self.values(1), &self.layers());
        (tensor(y, vec![shape.pictures, shape.tokens, shape.width]), saved)
    }
}

fn tensor(values: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

impl BlockBackend for Flex {
    fn dit_block(tensors: Tensors<Self>, heads: usize) -> FloatTensor<Self> {
        let inputs = Inputs::new(tensors.in_order());
        inputs.forward(&inputs.shape(heads)).0
    }
}

/// Gradient of the operation.
#[derive(Debug)]
struct BlockGradient;

/// Inputs and intermediate results of a recorded call.
#[derive(Debug)]
struct Recorded {
    inputs: Inputs,
    saved: Saved,
    shape: Shape,
}

impl Backward<Flex, INPUTS> for BlockGradient {
    type State = Arc<Recorded>;

    fn backward(self, ops: Ops<Self::State, INPUTS>, grads: &mut Graph, _checkpointer: &mut Checkpointer) {
        let d_y = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Recorded { inputs, saved, shape } = &*ops.state;
        let Gradients { x, modulation, weights, biases } =
            block::backward(shape, d_y.storage(), inputs.values(1), &inputs.layers(), saved);
        let layers = weights.into_iter().zip(biases).flat_map(|(weight, bias)| [weight, bias]);
        let all = [x, modulation].into_iter().chain(layers);
        for ((values, parent), input) in all.zip(ops.parents).zip(&inputs.0) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, tensor(values, input.layout().shape().to_vec()));
            }
        }
    }
}

impl<C: CheckpointStrategy> BlockBackend for Autodiff<Flex, C> {
    fn dit_block(tensors: Tensors<Self>, heads: usize) -> FloatTensor<Self> {
        let tensors = tensors.in_order();
        let nodes = tensors.each_ref().map(|t| t.node());
        let inputs = Inputs::new(tensors.map(|t| t.into_primitive()));
        let shape = inputs.shape(heads);
        let (y, saved) = inputs.forward(&shape);
        match BlockGradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Arc::new(Recorded { inputs, saved, shape }), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
