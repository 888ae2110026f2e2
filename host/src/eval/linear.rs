//! Softmax regression by Adam on blocks of rows: the classifier of the linear probe.
//!
//! Several variants that differ only in their learning rate train side by side on the same batches: their weights are
//! the columns of one matrix [dim, variants·classes], so the features are read once for all of them.

use super::Features;
use super::activation::softmax;
use super::probe::{INITIAL, shuffled};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ldae_shared::noise::{Purpose, Stream};
use rayon::prelude::*;

/// Rows of one product and one partial sum: a fixed number, so that results do not depend on the number of threads.
const ROWS: usize = 128;
/// Adam's constants (Kingma and Ba, arXiv 1412.6980).
const BETAS: (f32, f32) = (0.9, 0.999);
const EPS: f32 = 1e-8;
/// Deviation of the initial weights (linear probes of MAE and paper A's code base).
const INITIAL_DEVIATION: f32 = 0.01;

/// What to learn, and from which rows.
pub(super) struct Task<'a> {
    pub features: &'a Features,
    /// One per row of `features`.
    pub labels: &'a [u16],
    pub classes: usize,
    /// Rows that take part.
    pub rows: &'a [u32],
    pub epochs: u32,
    pub batch: usize,
    /// Called after each epoch.
    pub done: &'a (dyn Fn() + Sync),
}

/// Weights [dim, variants·classes] and bias [variants·classes]; column v·classes + c belongs to class c of variant v.
pub(super) struct Linear {
    classes: usize,
    columns: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// x [r, dim] -> logits [r, columns].
    fn logits(&self, x: &[f32], dim: usize, logits: &mut [f32]) {
        let rows = x.len() / dim;
        for row in logits.chunks_exact_mut(self.columns) {
            row.copy_from_slice(&self.bias);
        }
        matmul(
            MatMut::from_row_major_slice_mut(logits, rows, self.columns),
            Accum::Add,
            MatRef::from_row_major_slice(x, rows, dim),
            MatRef::from_row_major_slice(&self.weights, dim, self.columns),
            1.0,
            Par::Seq,
        );
    }

    /// Right answers per variant. Equal logits go to the smaller class.
    pub(super) fn count_right(&self, features: &Features, labels: &[u16], rows: &[u32]) -> Vec<usize> {
        let variants = self.columns / self.classes;
        rows.par_chunks(ROWS)
            .map(|rows| {
                let x = gather(features, rows);
                let mut logits = vec![0.0; rows.len() * self.columns];
                self.logits(&x, features.dim(), &mut logits);
                let mut right = vec![0; variants];
                for (row, &r) in logits.chunks_exact(self.columns).zip(rows) {
                    for (v, logits) in row.chunks_exact(self.classes).enumerate() {
                        let mut best = 0;
                        for c in 1..logits.len() {
                            if logits[c] > logits[best] {
                                best = c;
                            }
                        }
                        right[v] += usize::from(best == usize::from(labels[r as usize]));
                    }
                }
                right
            })
            .reduce(|| vec![0; variants], |a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect())
    }

    /// Sum over `rows` of the cross-entropy's gradient: [dim·columns] of the weights, then [columns] of the bias.
    fn gradient(&self, task: &Task<'_>, rows: &[u32]) -> Vec<f32> {
        let dim = task.features.dim();
        let x = gather(task.features, rows);
        let mut g = vec![0.0; rows.len() * self.columns];
        self.logits(&x, dim, &mut g);
        for (row, &r) in g.chunks_exact_mut(self.columns).zip(rows) {
            for variant in row.chunks_exact_mut(self.classes) {
                softmax(variant);
                variant[usize::from(task.labels[r as usize])] -= 1.0;
            }
        }
        let mut gradient = vec![0.0; (dim + 1) * self.columns];
        let (weights, bias) = gradient.split_at_mut(dim * self.columns);
        // xᵀ [dim, r] · g [r, columns] -> [dim, columns]
        matmul(
            MatMut::from_row_major_slice_mut(weights, dim, self.columns),
            Accum::Replace,
            MatRef::from_row_major_slice(&x, rows.len(), dim).transpose(),
            MatRef::from_row_major_slice(&g, rows.len(), self.columns),
            1.0,
            Par::Seq,
        );
        for row in g.chunks_exact(self.columns) {
            bias.iter_mut().zip(row).for_each(|(b, g)| *b += g);
        }
        gradient
    }
}

/// Trains one variant per learning rate, with half-cycle cosine over all steps and no weight decay.
pub(super) fn train(task: &Task<'_>, learning_rates: &[f64], seed: u64) -> Linear {
    let dim = task.features.dim();
    let columns = task.classes * learning_rates.len();
    let mut model = Linear {
        classes: task.classes,
        columns,
        weights: initial(seed, dim, task.classes, learning_rates.len()),
        bias: vec![0.0; columns],
    };
    let mut adam = Adam::new((dim + 1) * columns);
    let steps = task.epochs as usize * task.rows.len().div_ceil(task.batch);
    let mut step = 0;
    for epoch in 0..task.epochs {
        let order: Vec<u32> =
            shuffled(seed, epoch, task.rows.len()).into_iter().map(|i| task.rows[i as usize]).collect();
        for batch in order.chunks(task.batch) {
            let parts: Vec<Vec<f32>> = batch.par_chunks(ROWS).map(|rows| model.gradient(task, rows)).collect();
            let cosine = 0.5 * (1.0 + libm::cos(std::f64::consts::PI * step as f64 / steps as f64));
            let rates: Vec<f32> = learning_rates.iter().map(|lr| (lr * cosine) as f32).collect();
            step += 1;
            adam.step(&mut model, &parts, 1.0 / batch.len() as f32, &rates, step);
        }
        (task.done)();
    }
    model
}

/// First and second moments, weights before bias.
struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    fn new(parameters: usize) -> Self {
        Adam { first: vec![0.0; parameters], second: vec![0.0; parameters] }
    }

    /// One update with the gradient `scale`·Σ parts, added in the order of the parts.
    fn step(&mut self, model: &mut Linear, parts: &[Vec<f32>], scale: f32, rates: &[f32], step: usize) {
        let (columns, classes) = (model.columns, model.classes);
        let correct_first = 1.0 / (1.0 - BETAS.0.powi(step as i32));
        let correct_second = 1.0 / (1.0 - BETAS.1.powi(step as i32));
        let rows = model.weights.par_chunks_mut(columns).chain(model.bias.par_chunks_mut(columns));
        let moments = self.first.par_chunks_mut(columns).zip(self.second.par_chunks_mut(columns));
        rows.zip(moments).enumerate().for_each(|(r, (row, (first, second)))| {
            for c in 0..columns {
                let g = parts.iter().map(|p| p[r * columns + c]).sum::<f32>() * scale;
                first[c] = BETAS.0 * first[c] + (1.0 - BETAS.0) * g;
                second[c] = BETAS.1 * second[c] + (1.0 - BETAS.1) * g * g;
                let move_by = first[c] * correct_first / ((second[c] * correct_second).sqrt() + EPS);
                row[c] -= rates[c / classes] * move_by;
            }
        });
    }
}

/// Every variant starts from the same weights [dim, classes], repeated along the columns.
fn initial(seed: u64, dim: usize, classes: usize, variants: usize) -> Vec<f32> {
    let mut one = vec![0.0; dim * classes];
    Stream::new(seed, Purpose::Probe, INITIAL, 0).fill_gaussian(&mut one);
    one.chunks_exact(classes).flat_map(|row| row.repeat(variants)).map(|w| w * INITIAL_DEVIATION).collect()
}

/// The given rows, one after the other.
fn gather(features: &Features, rows: &[u32]) -> Vec<f32> {
    let mut x = Vec::with_capacity(rows.len() * features.dim());
    for &r in rows {
        x.extend_from_slice(features.row(r as usize));
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::clusters;

    #[test]
    fn the_gradient_is_that_of_the_cross_entropy() {
        let (features, labels) = clusters(5, 2 * ROWS + 3, 6, 3, 1.0);
        let rows: Vec<u32> = (0..features.rows() as u32).collect();
        let task =
            Task { features: &features, labels: &labels, classes: 3, rows: &rows, epochs: 1, batch: 64, done: &|| () };
        let weights: Vec<f32> = initial(9, 6, 3, 2).iter().map(|w| w * 30.0).collect();
        let model = |weights: &[f32], bias: &[f32]| Linear {
            classes: 3,
            columns: 6,
            weights: weights.to_vec(),
            bias: bias.to_vec(),
        };
        // Cross-entropy of both variants by definition, in f64.
        let loss = |weights: &[f32], bias: &[f32]| -> f64 {
            let mut total = 0.0;
            for (&r, label) in rows.iter().zip(&labels) {
                for v in 0..2 {
                    let z: Vec<f64> = (0..3)
                        .map(|c| {
                            let dot = features.row(r as usize).iter().enumerate();
                            let dot = dot.map(|(i, x)| f64::from(*x) * f64::from(weights[i * 6 + v * 3 + c]));
                            dot.sum::<f64>() + f64::from(bias[v * 3 + c])
                        })
                        .collect();
                    total += z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[usize::from(*label)];
                }
            }
            total
        };
        let bias = [0.1f32, -0.2, 0.3, 0.0, 0.2, -0.1];
        let gradient = model(&weights, &bias).gradient(&task, &rows);
        let h = 1e-3f32;
        for i in [0, 7, 20, 35] {
            let (mut up, mut down) = (weights.clone(), weights.clone());
            up[i] += h;
            down[i] -= h;
            let want = (loss(&up, &bias) - loss(&down, &bias)) / f64::from(up[i] - down[i]);
            assert!((f64::from(gradient[i]) - want).abs() < 1e-2, "{i}: {} {want}", gradient[i]);
        }
        for i in 0..6 {
            let (mut up, mut down) = (bias, bias);
            up[i] += h;
            down[i] -= h;
            let want = (loss(&weights, &up) - loss(&weights, &down)) / f64::from(up[i] - down[i]);
            assert!((f64::from(gradient[36 + i]) - want).abs() < 1e-2, "bias {i}");
        }
    }

    #[test]
    fn variants_side_by_side_equal_the_same_variants_alone() {
        let (features, labels) = clusters(6, 300, 7, 3, 1.0);
        let rows: Vec<u32> = (0..300).collect();
        let task =
            Task { features: &features, labels: &labels, classes: 3, rows: &rows, epochs: 5, batch: 64, done: &|| () };
        let both = train(&task, &[1e-3, 1e-2], 4);
        for (v, lr) in [1e-3, 1e-2].into_iter().enumerate() {
            let alone = train(&task, &[lr], 4);
            for (row, alone) in both.weights.chunks_exact(6).zip(alone.weights.chunks_exact(3)) {
                for (a, b) in row[v * 3..v * 3 + 3].iter().zip(alone) {
                    assert!((a - b).abs() < 1e-4, "{a} {b}");
                }
            }
        }
    }
}
