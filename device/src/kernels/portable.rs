//! Safe Rust: the definition of the bits (NUMERICS.md), and the loops that the x86 kernels compile for wider vectors.

use super::Kernel;
use ldae_shared::fixed::Factor;
use ldae_shared::format::{Channel, Linear};

/// The portable kernel.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Kernel for Portable {
    fn linear_i8(x: &[i8], layer: &Linear<'_>, out: &mut [i8]) {
        linear_i8(x, layer, out);
    }

    fn linear_i16(x: &[i8], layer: &Linear<'_>, out: &mut [i16]) {
        linear_i16(x, layer, out);
    }

    fn logits(query: &[i8], keys: &[i8], factor: Factor, out: &mut [i8]) {
        logits(query, keys, factor, out);
    }

    fn weighted_values(probabilities: &[u16], values: &[i8], factor: Factor, acc: &mut [i32], out: &mut [i8]) {
        weighted_values(probabilities, values, factor, acc, out);
    }
}

/// Σ x·w in i32. Exact: the loader proved 127·Σ|w| < 2^23 for weights, head width ≤ 512 for activations.
#[inline(always)]
fn dot(x: &[i8], w: &[u8]) -> i32 {
    x.iter().zip(w).map(|(&x, &w)| i32::from(x) * i32::from(w as i8)).sum()
}

/// See [`Kernel::linear_i8`].
#[inline(always)]
pub(super) fn linear_i8(x: &[i8], layer: &Linear<'_>, out: &mut [i8]) {
    linear(x, layer, out, Channel::to_i8);
}

/// See [`Kernel::linear_i16`].
#[inline(always)]
pub(super) fn linear_i16(x: &[i8], layer: &Linear<'_>, out: &mut [i16]) {
    linear(x, layer, out, Channel::to_i16);
}

/// Rows [rows, inputs] times a layer: each weight row is read once for all rows of the chunk.
#[inline(always)]
fn linear<T>(x: &[i8], layer: &Linear<'_>, out: &mut [T], requantise: impl Fn(Channel, i32) -> T) {
    let outputs = layer.outputs().max(1);
    for (j, (channel, weights)) in layer.rows().enumerate() {
        let rows = x.chunks_exact(layer.inputs.max(1));
        for (x, out) in rows.zip(out.chunks_exact_mut(outputs)) {
            if let Some(o) = out.get_mut(j) {
                *o = requantise(channel, channel.bias + dot(x, weights));
            }
        }
    }
}

/// See [`Kernel::logits`].
#[inline(always)]
pub(super) fn logits(query: &[i8], keys: &[i8], factor: Factor, out: &mut [i8]) {
    for (o, key) in out.iter_mut().zip(keys.chunks_exact(query.len().max(1))) {
        *o = factor.to_i8(dot(query, bytemuck::cast_slice(key)));
    }
}

/// See [`Kernel::weighted_values`].
#[inline(always)]
pub(super) fn weighted_values(probabilities: &[u16], values: &[i8], factor: Factor, acc: &mut [i32], out: &mut [i8]) {
    acc.fill(0);
    for (&p, row) in probabilities.iter().zip(values.chunks_exact(acc.len().max(1))) {
        // Exact: Σp ≤ 2^15 (rule 6), |value| ≤ 127, so |acc| < 2^22.
        for (a, &v) in acc.iter_mut().zip(row) {
            *a += i32::from(p) * i32::from(v);
        }
    }
    for (o, &a) in out.iter_mut().zip(acc.iter()) {
        *o = factor.to_i8(a);
    }
}
