//! Forward and backward pass of a DiT block on slices: what [`crate::model::block::Block::forward`] composes of Burn operations,
//! with intermediate results written once, biases, gates and activations applied while rows are in the cache, and the MLP
//! computed in groups of rows so that its hidden layer need not leave the cache.

use super::product::{add_product, matrix, product};
use super::rows;
use super::{Shape, attention};

/// Rows of the MLP that are computed together: their hidden layer (768 wide in preset m: 0.8 MB) stays in a second-level cache.
const MLP_ROWS: usize = 256;
/// Parts of the modulation, in order: shift, scale and gate of the attention, then of the MLP.
const PARTS: usize = 6;

/// Weight [in, out] and bias `[out]` of a linear layer.
#[derive(Clone, Copy)]
pub(super) struct Linear<'a> {
    pub weight: &'a [f32],
    pub bias: &'a [f32],
}

/// The linear layers of a block.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a> {
    pub qkv: Linear<'a>,
    pub proj: Linear<'a>,
    pub fc1: Linear<'a>,
    pub fc2: Linear<'a>,
}

/// What the backward pass needs of the forward pass. R = B·N rows.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// [R, W] after the first LayerNorm, before modulation, and 1/deviation `[R]`; the same of the second.
    normalised: [Vec<f32>; 2],
    inverse: [Vec<f32>; 2],
    /// [R, 3W].
    qkv: Vec<f32>,
    /// [B, H, N, N].
    probabilities: Vec<f32>,
    /// [R, W], mixed values and the two branches before their gates.
    mixed: Vec<f32>,
    branch: [Vec<f32>; 2],
    /// [R, rW], input of GELU.
    hidden: Vec<f32>,
}

/// Gradients of a block's inputs.
#[derive(Debug)]
pub(super) struct Gradients {
    /// [R, W].
    pub x: Vec<f32>,
    /// [B, 6W].
    pub modulation: Vec<f32>,
    /// Weights and biases of qkv, proj, fc1, fc2.
    pub weights: [Vec<f32>; 4],
    pub biases: [Vec<f32>; 4],
}

/// Part `i` of a picture's modulation.
fn part(modulation: &[f32], w: usize, i: usize) -> &[f32] {
    &modulation[i * w..(i + 1) * w]
}

/// Output [R, W] of the block for `x` [R, W] and `modulation` [B, 6W].
pub(super) fn forward(s: &Shape, x: &[f32], modulation: &[f32], layers: &Layers<'_>) -> (Vec<f32>, Saved) {
    let (w, hidden, n) = (s.width, s.hidden, s.tokens);
    let (rows, picture) = (s.rows(), n * w);
    let zeros = |values: usize| vec![0f32; values];
    let mut saved = Saved {
        normalised: [zeros(rows * w), zeros(rows * w)],
        inverse: [zeros(rows), zeros(rows)],
        qkv: zeros(rows * 3 * w),
        probabilities: zeros(s.pictures * s.heads * n * n),
        mixed: zeros(rows * w),
        branch: [zeros(rows * w), zeros(rows * w)],
        hidden: zeros(rows * hidden),
    };
    let mut modulated = zeros(rows * w);
    let mut y = zeros(rows * w);

    let norm = |x: &[f32], which: usize, saved: &mut Saved, out: &mut [f32]| {
        for (b, m) in modulation.chunks_exact(PARTS * w).enumerate() {
            let values = b * picture..(b + 1) * picture;
            rows::norm_modulate(
                &x[values.clone()],
                part(m, w, 3 * which),
                part(m, w, 3 * which + 1),
                &mut saved.normalised[which][values.clone()],
                &mut saved.inverse[which][b * n..(b + 1) * n],
                &mut out[values],
            );
        }
    };
    let residual = |x: &[f32], which: usize, bias: &[f32], saved: &mut Saved, out: &mut [f32]| {
        for (b, m) in modulation.chunks_exact(PARTS * w).enumerate() {
            let values = b * picture..(b + 1) * picture;
            let branch = &mut saved.branch[which][values.clone()];
            rows::gated_residual(&x[values.clone()], branch, bias, part(m, w, 3 * which + 2), &mut out[values]);
        }
    };

    norm(x, 0, &mut saved, &mut modulated);
    rows::fill_rows(&mut saved.qkv, layers.qkv.bias);
    add_product(&mut saved.qkv, matrix(&modulated, rows, w), matrix(layers.qkv.weight, w, 3 * w));
    let heads = s.heads * n * n;
    for b in 0..s.pictures {
        attention::forward(
            s,
            &saved.qkv[b * 3 * picture..(b + 1) * 3 * picture],
            &mut saved.probabilities[b * heads..(b + 1) * heads],
            &mut saved.mixed[b * picture..(b + 1) * picture],
        );
    }
    product(&mut saved.branch[0], matrix(&saved.mixed, rows, w), matrix(layers.proj.weight, w, w));
    residual(x, 0, layers.proj.bias, &mut saved, &mut y);

    norm(&y, 1, &mut saved, &mut modulated);
    let mut activated = zeros(MLP_ROWS.min(rows) * hidden);
    let groups = saved.hidden.chunks_mut(MLP_ROWS * hidden).zip(saved.branch[1].chunks_mut(MLP_ROWS * w));
    for ((pre, out), input) in groups.zip(modulated.chunks(MLP_ROWS * w)) {
        let r = input.len() / w;
        let activated = &mut activated[..r * hidden];
        product(pre, matrix(input, r, w), matrix(layers.fc1.weight, w, hidden));
        rows::bias_gelu(pre, layers.fc1.bias, activated);
        product(out, matrix(activated, r, hidden), matrix(layers.fc2.weight, hidden, w));
    }
    // In place: the second residual reads what the first one wrote.
    let first = std::mem::take(&mut y);
    let mut y = modulated;
    residual(&first, 1, layers.fc2.bias, &mut saved, &mut y);
    (y, saved)
}

/// Gradients from the one at the output, [R, W].
pub(super) fn backward(s: &Shape, d_y: &[f32], modulation: &[f32], layers: &Layers<'_>, saved: &Saved) -> Gradients {
    let (w, hidden, n) = (s.width, s.hidden, s.tokens);
    let (rows, picture) = (s.rows(), n * w);
    let zeros = |values: usize| vec![0f32; values];
    let mut g = Gradients {
        x: d_y.to_vec(),
        modulation: zeros(s.pictures * PARTS * w),
        weights: [zeros(w * 3 * w), zeros(w * w), zeros(w * hidden), zeros(hidden * w)],
        biases: [zeros(3 * w), zeros(w), zeros(hidden), zeros(w)],
    };
    let mut d_branch = zeros(rows * w);
    let mut modulated = zeros(rows * w);
    let mut d_modulated = zeros(rows * w);

    // Gate and bias of a branch; then, behind its layers, the modulated LayerNorm.
    let gate = |which: usize, g: &mut Gradients, d_branch: &mut [f32]| {
        for b in 0..s.pictures {
            let values = b * picture..(b + 1) * picture;
            let at = (b * PARTS + 3 * which + 2) * w;
            rows::gate_gradient(
                &g.x[values.clone()],
                &saved.branch[which][values.clone()],
                &modulation[at..at + w],
                &mut g.modulation[at..at + w],
                &mut g.biases[1 + 2 * which],
                &mut d_branch[values],
            );
        }
    };
    let input = |which: usize, out: &mut [f32]| {
        for (b, m) in modulation.chunks_exact(PARTS * w).enumerate() {
            let values = b * picture..(b + 1) * picture;
            let (shift, scale) = (part(m, w, 3 * which), part(m, w, 3 * which + 1));
            rows::modulate(&saved.normalised[which][values.clone()], shift, scale, &mut out[values]);
        }
    };
    let norm = |which: usize, d: &[f32], g: &mut Gradients| {
        for b in 0..s.pictures {
            let values = b * picture..(b + 1) * picture;
            let at = (b * PARTS + 3 * which) * w;
            let (d_shift, d_scale) = g.modulation[at..at + 2 * w].split_at_mut(w);
            rows::norm_modulate_gradient(
                &d[values.clone()],
                &saved.normalised[which][values.clone()],
                &saved.inverse[which][b * n..(b + 1) * n],
                &modulation[at + w..at + 2 * w],
                d_shift,
                d_scale,
                &mut g.x[values],
            );
        }
    };

    gate(1, &mut g, &mut d_branch);
    input(1, &mut modulated);
    let group = MLP_ROWS.min(rows);
    let (mut activated, mut d_hidden) = (zeros(group * hidden), zeros(group * hidden));
    let groups = saved.hidden.chunks(MLP_ROWS * hidden).zip(d_branch.chunks(MLP_ROWS * w));
    let inputs = modulated.chunks(MLP_ROWS * w).zip(d_modulated.chunks_mut(MLP_ROWS * w));
    for ((pre, d_out), (input, d_input)) in groups.zip(inputs) {
        let r = input.len() / w;
        let (activated, d_hidden) = (&mut activated[..r * hidden], &mut d_hidden[..r * hidden]);
        product(d_hidden, matrix(d_out, r, w), matrix(layers.fc2.weight, hidden, w).transpose());
        rows::gelu_gradient(pre, d_hidden, &mut g.biases[2], activated);
        add_product(&mut g.weights[3], matrix(activated, r, hidden).transpose(), matrix(d_out, r, w));
        add_product(&mut g.weights[2], matrix(input, r, w).transpose(), matrix(d_hidden, r, hidden));
        product(d_input, matrix(d_hidden, r, hidden), matrix(layers.fc1.weight, w, hidden).transpose());
    }
    norm(1, &d_modulated, &mut g);

    gate(0, &mut g, &mut d_branch);
    product(&mut g.weights[1], matrix(&saved.mixed, rows, w).transpose(), matrix(&d_branch, rows, w));
    let d_mixed = &mut d_modulated;
    product(d_mixed, matrix(&d_branch, rows, w), matrix(layers.proj.weight, w, w).transpose());
    let (mut d_qkv, mut scores) = (zeros(rows * 3 * w), zeros(n * n));
    let heads = s.heads * n * n;
    for b in 0..s.pictures {
        let values = b * 3 * picture..(b + 1) * 3 * picture;
        attention::backward(
            s,
            &saved.qkv[values.clone()],
            &saved.probabilities[b * heads..(b + 1) * heads],
            &d_mixed[b * picture..(b + 1) * picture],
            &mut scores,
            &mut d_qkv[values],
        );
    }
    rows::sum_rows(&d_qkv, &mut g.biases[0]);
    input(0, &mut modulated);
    product(&mut g.weights[0], matrix(&modulated, rows, w).transpose(), matrix(&d_qkv, rows, 3 * w));
    product(&mut d_modulated, matrix(&d_qkv, rows, 3 * w), matrix(layers.qkv.weight, w, 3 * w).transpose());
    norm(0, &d_modulated, &mut g);
    g
}
