//! A linear layer in float: weights [outputs, inputs], bias [outputs].

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// `y = W·x + b`, applied to rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Length of a row of input.
    pub inputs: usize,
    /// Length of a row of output.
    pub outputs: usize,
    /// Row-major [outputs, inputs].
    pub weights: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

impl Dense {
    /// From a checkpoint's [inputs, outputs] matrix.
    ///
    /// # Panics
    /// When the lengths do not belong together (checkpoints are checked when read).
    pub fn from_in_out(weights: &[f32], bias: &[f32]) -> Self {
        let outputs = bias.len();
        let inputs = weights.len() / outputs;
        assert_eq!(weights.len(), inputs * outputs, "a matrix of whole rows");
        let mut transposed = vec![0.0; weights.len()];
        for (i, row) in weights.chunks_exact(outputs).enumerate() {
            for (o, &w) in row.iter().enumerate() {
                transposed[o * inputs + i] = w;
            }
        }
        Dense { inputs, outputs, weights: transposed, bias: bias.to_vec() }
    }

    /// Products of `x` [rows, inputs], [rows, outputs]. One thread: pictures are the unit of parallelism.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let mut out: Vec<f32> = Vec::with_capacity(rows * self.outputs);
        for _ in 0..rows {
            out.extend_from_slice(&self.bias);
        }
        let x = MatRef::from_row_major_slice(x, rows, self.inputs);
        let w = MatRef::from_row_major_slice(&self.weights, self.outputs, self.inputs);
        let y = MatMut::from_row_major_slice_mut(&mut out, rows, self.outputs);
        matmul(y, Accum::Add, x, w.transpose(), 1.0, Par::Seq);
        out
    }

    /// Folds an affine map of the input, `x → scale·x + shift`, into the layer.
    #[must_use]
    pub fn after_affine(mut self, scale: &[f32], shift: &[f32]) -> Self {
        for (row, bias) in self.weights.chunks_exact_mut(self.inputs).zip(&mut self.bias) {
            let moved: f64 = row.iter().zip(shift).map(|(&w, &s)| f64::from(w) * f64::from(s)).sum();
            *bias = (f64::from(*bias) + moved) as f32;
            row.iter_mut().zip(scale).for_each(|(w, s)| *w *= s);
        }
        self
    }

    /// Folds a gate per output, `y → gate·y`, into the layer.
    #[must_use]
    pub fn gated(mut self, gate: &[f32]) -> Self {
        for ((row, bias), g) in self.weights.chunks_exact_mut(self.inputs).zip(&mut self.bias).zip(gate) {
            row.iter_mut().for_each(|w| *w *= g);
            *bias *= g;
        }
        self
    }
}
