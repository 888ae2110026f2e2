//! Row kernels of the fused block: LayerNorm with modulation, GELU, softmax, gates, and their gradients. Slices of f32 in row
//! order; every function is compiled for AVX-512, for AVX2 and for the plain target, and the processor chooses. Sums run in
//! sixteen lanes whatever the instruction set, so that all of them give the same bits.

use crate::exp::exp;
use crate::model::NORM_EPSILON;
use multiversion::multiversion;

const LANES: usize = 16;
/// 2·sqrt(2/π): GELU in the tanh form is x·sigmoid(2u), u = sqrt(2/π)·(x + 0.044715·x³) ([`super::super::block::gelu_tanh`]).
const GELU_LINEAR: f32 = 1.595_769;
const GELU_CUBIC: f32 = 0.044_715 * GELU_LINEAR;

/// Sum of `f(i)` over 0..n in lanes.
#[inline(always)]
fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let whole = n / LANES * LANES;
    let mut i = 0;
    while i < whole {
        for (lane, l) in lanes.iter_mut().enumerate() {
            *l += f(i + lane);
        }
        i += LANES;
    }
    for (lane, i) in (whole..n).enumerate() {
        lanes[lane] += f(i);
    }
    lanes.iter().sum()
}

/// Rows `x` [R, W]: `normalised` = (x − mean)/deviation, `inverse` = 1/deviation of each row, and
/// `out` = normalised·(1 + scale) + shift.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn norm_modulate(
    x: &[f32],
    shift: &[f32],
    scale: &[f32],
    normalised: &mut [f32],
    inverse: &mut [f32],
    out: &mut [f32],
) {
    let w = shift.len();
    let scale = &scale[..w];
    let rows = x.chunks_exact(w).zip(normalised.chunks_exact_mut(w)).zip(out.chunks_exact_mut(w)).zip(inverse);
    for (((x, n), out), inverse) in rows {
        let mean = sum(w, |i| x[i]) / w as f32;
        let variance = sum(w, |i| (x[i] - mean) * (x[i] - mean)) / w as f32;
        *inverse = 1.0 / (variance + NORM_EPSILON as f32).sqrt();
        for i in 0..w {
            n[i] = (x[i] - mean) * *inverse;
            out[i] = n[i] * (1.0 + scale[i]) + shift[i];
        }
    }
}

/// `out` = normalised·(1 + scale) + shift again, for the backward pass.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn modulate(normalised: &[f32], shift: &[f32], scale: &[f32], out: &mut [f32]) {
    let w = shift.len();
    let scale = &scale[..w];
    for (n, out) in normalised.chunks_exact(w).zip(out.chunks_exact_mut(w)) {
        for i in 0..w {
            out[i] = n[i] * (1.0 + scale[i]) + shift[i];
        }
    }
}

/// Gradient of [`norm_modulate`]: adds to `d_shift`, `d_scale` [W] and to `d_x` [R, W].
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn norm_modulate_gradient(
    d_out: &[f32],
    normalised: &[f32],
    inverse: &[f32],
    scale: &[f32],
    d_shift: &mut [f32],
    d_scale: &mut [f32],
    d_x: &mut [f32],
) {
    let w = scale.len();
    let (d_shift, d_scale) = (&mut d_shift[..w], &mut d_scale[..w]);
    let rows = d_out.chunks_exact(w).zip(normalised.chunks_exact(w)).zip(inverse).zip(d_x.chunks_exact_mut(w));
    for (((d, n), inverse), d_x) in rows {
        for i in 0..w {
            d_shift[i] += d[i];
            d_scale[i] += d[i] * n[i];
        }
        let mean = sum(w, |i| d[i] * (1.0 + scale[i])) / w as f32;
        let along = sum(w, |i| d[i] * (1.0 + scale[i]) * n[i]) / w as f32;
        for i in 0..w {
            d_x[i] += inverse * (d[i] * (1.0 + scale[i]) - mean - n[i] * along);
        }
    }
}

/// Adds `bias` to the rows of `x`, which stay, and writes their GELU to `out`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn bias_gelu(x: &mut [f32], bias: &[f32], out: &mut [f32]) {
    let w = bias.len();
    for (x, out) in x.chunks_exact_mut(w).zip(out.chunks_exact_mut(w)) {
        for i in 0..w {
            x[i] += bias[i];
            out[i] = x[i] / (1.0 + exp(-x[i] * (GELU_LINEAR + GELU_CUBIC * x[i] * x[i])));
        }
    }
}

/// From GELU's input `x` and the gradient `d` at its output: `d` becomes the gradient at the input, summed over rows into
/// `d_bias`; `out` is the GELU again.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn gelu_gradient(x: &[f32], d: &mut [f32], d_bias: &mut [f32], out: &mut [f32]) {
    let w = d_bias.len();
    for ((x, d), out) in x.chunks_exact(w).zip(d.chunks_exact_mut(w)).zip(out.chunks_exact_mut(w)) {
        for i in 0..w {
            let square = x[i] * x[i];
            let s = 1.0 / (1.0 + exp(-x[i] * (GELU_LINEAR + GELU_CUBIC * square)));
            out[i] = x[i] * s;
            d[i] *= s + out[i] * (1.0 - s) * (GELU_LINEAR + 3.0 * GELU_CUBIC * square);
            d_bias[i] += d[i];
        }
    }
}

/// Adds `bias` to the rows of `branch`, which stay, and writes `x` + gate·branch to `out`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn gated_residual(x: &[f32], branch: &mut [f32], bias: &[f32], gate: &[f32], out: &mut [f32]) {
    let w = gate.len();
    let bias = &bias[..w];
    for ((x, b), out) in x.chunks_exact(w).zip(branch.chunks_exact_mut(w)).zip(out.chunks_exact_mut(w)) {
        for i in 0..w {
            b[i] += bias[i];
            out[i] = x[i] + gate[i] * b[i];
        }
    }
}

/// Gradient of [`gated_residual`] towards the branch, `d_branch` = gate·d; adds to `d_gate` and `d_bias` [W].
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn gate_gradient(
    d: &[f32],
    branch: &[f32],
    gate: &[f32],
    d_gate: &mut [f32],
    d_bias: &mut [f32],
    d_branch: &mut [f32],
) {
    let w = gate.len();
    let (d_gate, d_bias) = (&mut d_gate[..w], &mut d_bias[..w]);
    for ((d, b), d_branch) in d.chunks_exact(w).zip(branch.chunks_exact(w)).zip(d_branch.chunks_exact_mut(w)) {
        for i in 0..w {
            d_gate[i] += d[i] * b[i];
            d_branch[i] = gate[i] * d[i];
            d_bias[i] += d_branch[i];
        }
    }
}

/// Softmax of the rows [R, n] of `factor`·scores, in place.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn softmax(scores: &mut [f32], n: usize, factor: f32) {
    for row in scores.chunks_exact_mut(n) {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in row.chunks(LANES) {
            for (l, &v) in lanes.iter_mut().zip(chunk) {
                *l = if v > *l { v } else { *l };
            }
        }
        let max = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for v in row.iter_mut() {
            *v = exp((*v - max) * factor);
        }
        let total = sum(n, |i| row[i]);
        let inverse = 1.0 / total;
        for v in row.iter_mut() {
            *v *= inverse;
        }
    }
}

/// Gradient of [`softmax`]: `d` [R, n] at the probabilities becomes the gradient at the scores.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn softmax_gradient(probabilities: &[f32], d: &mut [f32], n: usize, factor: f32) {
    for (p, d) in probabilities.chunks_exact(n).zip(d.chunks_exact_mut(n)) {
        let along = sum(n, |i| p[i] * d[i]);
        for i in 0..n {
            d[i] = factor * p[i] * (d[i] - along);
        }
    }
}

/// Every row of `out` becomes `row`.
pub(super) fn fill_rows(out: &mut [f32], row: &[f32]) {
    out.chunks_exact_mut(row.len()).for_each(|out| out.copy_from_slice(row));
}

/// Adds the rows of `d` to `total`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn sum_rows(d: &[f32], total: &mut [f32]) {
    let w = total.len();
    for row in d.chunks_exact(w) {
        for i in 0..w {
            total[i] += row[i];
        }
    }
}
