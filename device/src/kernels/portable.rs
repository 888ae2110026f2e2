//! Safe Rust: the definition of the bits (NUMERICS.md), and the loops that the x86 kernels compile for wider vectors.
//!
//! It reads packed layouts too, weight by weight: slow, but a second opinion on what a packed artifact means.

use super::{Family, HeadRows, HeadShape, Input, Kernel};
use ldae_shared::fixed::Factor;
use ldae_shared::format::{Channel, Linear};

/// The portable kernel.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Kernel for Portable {
    const FAMILY: Family = Family::Portable;

    fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
        linear_i8(x, layer, out);
    }

    fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
        linear_i16(x, layer, out);
    }

    fn logits(q: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, _work: &mut [u8], out: &mut [i8]) {
        logits(q, head, keys, factor, out);
    }

    fn weighted_values(
        probabilities: &[u16],
        head: HeadShape,
        values: &[u8],
        factor: Factor,
        work: &mut [u8],
        out: &mut HeadRows<'_>,
    ) {
        weighted_values(probabilities, head, values, factor, work, out);
    }
}

/// Σ x·w in i32. Exact: the loader proved 127·Σ|w| < 2^23 for weights, head width ≤ 512 for activations.
#[inline(always)]
pub(super) fn dot(x: &[i8], w: &[u8]) -> i32 {
    x.iter().zip(w).map(|(&x, &w)| i32::from(x) * i32::from(w as i8)).sum()
}

/// See [`Kernel::linear_i8`].
#[inline(always)]
pub(super) fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
    linear(x, layer, out, Channel::to_i8);
}

/// See [`Kernel::linear_i16`].
#[inline(always)]
pub(super) fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
    linear(x, layer, out, Channel::to_i16);
}

/// Rows [count, inputs] times a layer: each weight row is read once for all rows of the chunk.
#[inline(always)]
fn linear<T>(x: Input<'_>, layer: &Linear<'_>, out: &mut [T], requantise: impl Fn(Channel, i32) -> T) {
    let outputs = layer.outputs().max(1);
    let rows = || x.rows.chunks_exact(layer.inputs.max(1)).take(x.count);
    for (j, (channel, weights)) in layer.rows().enumerate() {
        for (x, out) in rows().zip(out.chunks_exact_mut(outputs)) {
            if let Some(o) = out.get_mut(j) {
                *o = requantise(channel, channel.bias + dot(x, weights));
            }
        }
    }
    if !layer.layout.is_canonical() {
        channels(x, layer, 0..outputs, out, requantise);
    }
}

/// Some channels of a packed layer, weight by weight.
#[inline(never)]
pub(super) fn channels<T>(
    x: Input<'_>,
    layer: &Linear<'_>,
    range: core::ops::Range<usize>,
    out: &mut [T],
    requantise: impl Fn(Channel, i32) -> T,
) {
    let rows = || x.rows.chunks_exact(layer.inputs.max(1)).take(x.count);
    for j in range {
        let channel = layer.channel(j);
        for (x, out) in rows().zip(out.chunks_exact_mut(layer.outputs().max(1))) {
            let products = x.iter().enumerate().map(|(k, &x)| i32::from(x) * i32::from(layer.weight(j, k)));
            let acc = channel.bias + products.sum::<i32>();
            if let Some(o) = out.get_mut(j) {
                *o = requantise(channel, acc);
            }
        }
    }
}

/// Keys or values as they are, [N, W/H].
pub(super) fn store_rows(rows: &[i8], first: usize, head: HeadShape, store: &mut [u8]) {
    let at = first * head.width;
    if let Some(store) = store.get_mut(at..at + rows.len()) {
        store.copy_from_slice(bytemuck::cast_slice(rows));
    }
}

/// See [`Kernel::logits`].
#[inline(always)]
pub(super) fn logits(q: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, out: &mut [i8]) {
    for (query, out) in q.iter_mut(head.width).zip(out.chunks_exact_mut(head.tokens.max(1))) {
        for (o, key) in out.iter_mut().zip(keys.chunks_exact(head.width.max(1))) {
            *o = factor.to_i8(dot(query, key));
        }
    }
}

/// See [`Kernel::weighted_values`].
#[inline(always)]
pub(super) fn weighted_values(
    probabilities: &[u16],
    head: HeadShape,
    values: &[u8],
    factor: Factor,
    work: &mut [u8],
    out: &mut HeadRows<'_>,
) {
    let Ok(acc) = bytemuck::try_cast_slice_mut::<u8, i32>(work) else { return };
    let Some(acc) = acc.get_mut(..head.width) else { return };
    for (row, out) in probabilities.chunks_exact(head.tokens.max(1)).zip(out.iter_mut(head.width)) {
        acc.fill(0);
        for (&p, value) in row.iter().zip(values.chunks_exact(head.width.max(1))) {
            // Exact: Σp ≤ 2^15 (rule 6), |value| ≤ 127, so |acc| < 2^22.
            for (a, &v) in acc.iter_mut().zip(value) {
                *a += i32::from(p) * i32::from(v as i8);
            }
        }
        for (o, &a) in out.iter_mut().zip(acc.iter()) {
            *o = factor.to_i8(a);
        }
    }
}
