//! What the graph is made of: the layers of an encoder, with float weights or with the artifact's integers and a scale
//! for each output, borrowed from [`FloatEncoder`] or [`WeightOnly`].

use crate::quantise::{Dense, FloatEncoder, Int8Dense, WeightOnly};
use ldae_shared::spec::EncoderSpec;
use std::ops::Range;

/// A linear layer on [1, N, inputs]: some rows of a stored layer, times constants.
#[derive(Clone, Debug)]
pub(super) struct Linear<'a> {
    pub(super) inputs: usize,
    pub(super) weights: Values<'a>,
    bias: &'a [f32],
    weight_factor: f32,
    bias_factor: f32,
}

/// Weights, row-major [outputs, inputs].
#[derive(Clone, Debug)]
pub(super) enum Values<'a> {
    Float(&'a [f32]),
    Int8 { codes: &'a [i8], scales: &'a [f32] },
}

impl<'a> Linear<'a> {
    fn new(inputs: usize, weights: Values<'a>, bias: &'a [f32]) -> Self {
        Linear { inputs, weights, bias, weight_factor: 1.0, bias_factor: 1.0 }
    }

    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Some of the outputs.
    pub(super) fn columns(&self, range: Range<usize>) -> Self {
        let values = range.start * self.inputs..range.end * self.inputs;
        let weights = match self.weights {
            Values::Float(w) => Values::Float(&w[values]),
            Values::Int8 { codes, scales } => Values::Int8 { codes: &codes[values], scales: &scales[range.clone()] },
        };
        Linear { weights, bias: &self.bias[range], ..*self }
    }

    /// With inputs that are `1/factor` times as large.
    pub(super) fn for_inputs_divided_by(self, divisor: f32) -> Self {
        Linear { weight_factor: self.weight_factor / divisor, ..self }
    }

    /// Outputs times `factor`.
    pub(super) fn scaled(self, factor: f32) -> Self {
        Linear { weight_factor: self.weight_factor * factor, bias_factor: self.bias_factor * factor, ..self }
    }

    /// Float weights as [inputs, outputs]; empty for a layer of integers.
    pub(super) fn transposed_floats(&self) -> impl Iterator<Item = f32> + '_ {
        let weights = if let Values::Float(w) = self.weights { w } else { &[] };
        transposed(weights, self.inputs).map(|w| w * self.weight_factor)
    }

    /// Integer weights as [inputs, outputs]; empty for a layer of floats.
    pub(super) fn transposed_codes(&self) -> impl Iterator<Item = i8> + '_ {
        let codes = if let Values::Int8 { codes, .. } = self.weights { codes } else { &[] };
        transposed(codes, self.inputs)
    }

    /// Value of one integer weight, by output; empty for a layer of floats.
    pub(super) fn scales(&self) -> impl Iterator<Item = f32> + '_ {
        let scales = if let Values::Int8 { scales, .. } = self.weights { scales } else { &[] };
        scales.iter().map(|s| s * self.weight_factor)
    }

    pub(super) fn biases(&self) -> impl Iterator<Item = f32> + '_ {
        self.bias.iter().map(|b| b * self.bias_factor)
    }
}

/// Column by column.
fn transposed<T: Copy>(rows: &[T], columns: usize) -> impl Iterator<Item = T> + '_ {
    (0..columns).flat_map(move |c| rows.iter().skip(c).step_by(columns).copied())
}

impl<'a> From<&'a Dense> for Linear<'a> {
    fn from(d: &'a Dense) -> Self {
        Linear::new(d.inputs, Values::Float(&d.weights), &d.bias)
    }
}

impl<'a> From<&'a Int8Dense> for Linear<'a> {
    fn from(d: &'a Int8Dense) -> Self {
        Linear::new(d.inputs, Values::Int8 { codes: &d.codes, scales: &d.scales }, &d.bias)
    }
}

/// A block's layers.
pub(super) struct Block<'a> {
    pub(super) qkv: Linear<'a>,
    pub(super) proj: Linear<'a>,
    pub(super) fc1: Linear<'a>,
    pub(super) fc2: Linear<'a>,
}

/// An encoder's layers.
pub(super) struct Network<'a> {
    pub(super) spec: EncoderSpec,
    /// Pixel values in [−1, 1] to latents.
    pub(super) project: Linear<'a>,
    pub(super) embed: Linear<'a>,
    /// [N, W].
    pub(super) positions: &'a [f32],
    pub(super) blocks: Vec<Block<'a>>,
}

impl<'a> Network<'a> {
    /// From layers of one kind: projection and embedding, then qkv, proj, fc1 and fc2 of every block.
    fn of<L>(
        spec: EncoderSpec,
        [project, embed]: [&'a L; 2],
        positions: &'a [f32],
        blocks: impl Iterator<Item = [&'a L; 4]>,
    ) -> Self
    where
        Linear<'a>: From<&'a L>,
    {
        let block = |[qkv, proj, fc1, fc2]: [&'a L; 4]| Block {
            qkv: qkv.into(),
            proj: proj.into(),
            fc1: fc1.into(),
            fc2: fc2.into(),
        };
        Network { spec, project: project.into(), embed: embed.into(), positions, blocks: blocks.map(block).collect() }
    }
}

impl<'a> From<&'a FloatEncoder> for Network<'a> {
    fn from(e: &'a FloatEncoder) -> Self {
        let blocks = e.blocks.iter().map(|b| [&b.qkv, &b.proj, &b.fc1, &b.fc2]);
        Network::of(e.spec, [&e.project, &e.embed], &e.positions, blocks)
    }
}

impl<'a> From<&'a WeightOnly> for Network<'a> {
    fn from(e: &'a WeightOnly) -> Self {
        let blocks = e.blocks.iter().map(|b| [&b.qkv, &b.proj, &b.fc1, &b.fc2]);
        Network::of(e.spec, [&e.project, &e.embed], &e.positions, blocks)
    }
}
