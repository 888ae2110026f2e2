//! Dot-product kernels over [`ldae_shared::format::Layout::Dot`], written once and generic over the instructions.
//!
//! Everything here is `inline(always)` and becomes part of functions that enable the processor features
//! ([`dot_kernel`]); the instructions of one processor are an [`Isa`]. A product is a sequence of register tiles
//! ([`tile`]): some rows times some panels of sixteen channels, all sums in registers, requantised and narrowed before
//! they are stored. Queries × keys and probabilities × values ([`attention`]) are the same tiles over panels that are
//! made of activations.

pub(super) mod attention;
pub(super) mod tile;

use super::portable::Portable;
use super::{Input, Kernel};
use ldae_shared::fixed::NormToken;
use ldae_shared::format::{Block, Layout, Linear};
use tile::{Out, Panels, Rows, Source};

/// The instructions of one processor, on sixteen 32-bit lanes: the channels of a panel.
///
/// # Safety
/// Every function may be called only where the processor has the features that the implementation names; pointers must
/// be valid for the stated number of elements, of any alignment.
pub(super) trait Isa {
    /// Sixteen i32.
    type Acc: Copy;
    /// The same four bytes of one row, for every channel.
    type Input: Copy;
    /// Four bytes of each channel.
    type Weights: Copy;
    /// Rule 3 of sixteen channels.
    type Factors: Copy;

    /// What inputs of [`Isa::dot`] are offset by: 128 where the instruction takes unsigned bytes, else 0.
    const OFFSET: i32;
    /// Panels of a register tile, 1 or 3.
    const PANELS: usize;

    /// All lanes equal.
    unsafe fn splat(value: i32) -> Self::Acc;
    /// 16 words.
    unsafe fn load(from: *const u8) -> Self::Acc;
    /// 4 bytes.
    unsafe fn input(from: *const u8) -> Self::Input;
    /// 64 bytes.
    unsafe fn weights(from: *const u8) -> Self::Weights;
    /// Adds the products of four inputs (offset) and four i8 weights.
    unsafe fn dot(sum: Self::Acc, x: Self::Input, w: Self::Weights) -> Self::Acc;
    /// Adds the products of two i16 and two i16.
    unsafe fn dot_wide(sum: Self::Acc, x: Self::Input, w: Self::Weights) -> Self::Acc;
    /// `a − OFFSET·b`.
    unsafe fn without_offset(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    /// Multipliers and shifts of sixteen channels.
    unsafe fn factors(m: Self::Acc, t: Self::Acc) -> Self::Factors;
    /// Rule 3 before the clamp.
    unsafe fn scale(v: Self::Acc, f: Self::Factors) -> Self::Acc;
    /// Clamps to −127..=127 and stores the first `count` ≤ 16 lanes.
    unsafe fn store_i8(v: Self::Acc, out: *mut i8, count: usize);
    /// Saturates and stores the first `count` ≤ 16 lanes.
    unsafe fn store_i16(v: Self::Acc, out: *mut i16, count: usize);
    /// 128 times each of `count` ≤ 16 values, minus `mean128`.
    unsafe fn centred(from: *const i16, count: usize, mean128: Self::Acc) -> Self::Acc;

    /// See [`Kernel::softmax`].
    #[inline(always)]
    unsafe fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
        Portable::softmax(block, logits, probabilities);
    }

    /// See [`Kernel::sums`].
    #[inline(always)]
    unsafe fn sums(row: &[i16]) -> (i32, u64) {
        Portable::sums(row)
    }

    /// See [`Kernel::gelu`].
    #[inline(always)]
    unsafe fn gelu(block: &Block<'_>, codes: &mut [i8]) {
        Portable::gelu(block, codes);
    }

    /// See [`Kernel::add`].
    #[inline(always)]
    unsafe fn add(stream: &mut [i16], branch: &[i16]) {
        Portable::add(stream, branch);
    }
}

/// Channels of a panel.
pub(super) const CHANNELS: usize = Layout::Dot.channels();
/// Bytes of four inputs, or two tokens, of one panel.
pub(super) const GROUP: usize = 4 * CHANNELS;

/// See [`Kernel::prepare`]: the rows with their offset, each padded to a multiple of four.
#[inline(always)]
pub(super) fn prepare(rows: &[i8], width: usize, form: &mut [u8], offset: i32) {
    let padded = Layout::Dot.padded(width);
    if padded == width {
        copy(rows, form, offset);
        return;
    }
    for (row, form) in rows.chunks_exact(width.max(1)).zip(form.chunks_exact_mut(padded)) {
        copy(row, form, offset);
        if let Some(padding) = form.get_mut(width..) {
            padding.fill(0);
        }
    }
}

/// i8 plus `offset` (0 or 128), as bytes.
#[inline(always)]
pub(super) fn copy(from: &[i8], to: &mut [u8], offset: i32) {
    for (to, &x) in to.iter_mut().zip(from) {
        *to = x as u8 ^ offset as u8;
    }
}

/// Panels of a layer: its header gives start values and factors.
struct Weights;

impl<S: Isa> Source<S> for Weights {
    const BODY: usize = Layout::Dot.header();

    #[inline(always)]
    unsafe fn start(&self, panel: *const u8) -> S::Acc {
        unsafe { S::without_offset(S::load(panel), S::load(panel.add(GROUP))) }
    }

    #[inline(always)]
    unsafe fn factors(&self, panel: *const u8) -> S::Factors {
        unsafe { S::factors(S::load(panel.add(2 * GROUP)), S::load(panel.add(3 * GROUP))) }
    }

    #[inline(always)]
    unsafe fn multiply(sum: S::Acc, x: S::Input, w: S::Weights) -> S::Acc {
        unsafe { S::dot(sum, x, w) }
    }
}

/// See [`Kernel::linear_i8`] and [`Kernel::linear_i16`]; `M` rows at a time.
///
/// # Safety
/// As for [`Isa`].
#[inline(always)]
pub(super) unsafe fn linear<S: Isa, O: Out, const M: usize>(x: Input<'_>, layer: &Linear<'_>, out: &mut [O]) {
    if layer.layout != Layout::Dot {
        return;
    }
    let padded = Layout::Dot.padded(layer.inputs);
    let outputs = layer.outputs();
    let (Some(inputs), Some(outs)) = (x.form.len().checked_div(padded), out.len().checked_div(outputs)) else { return };
    let rows = Rows { at: x.form.as_ptr(), stride: padded, count: x.count.min(inputs).min(outs) };
    let bytes = Layout::Dot.panel_bytes(layer.inputs);
    let channels = outputs.min(layer.weights.len() / bytes * CHANNELS);
    let panels = Panels { at: layer.weights.as_ptr(), bytes, groups: padded / 4, channels };
    // SAFETY: `count` rows of `padded` bytes lie in the form, `channels` channels in the weights, and `count` rows of
    // `outputs` values in `out`.
    unsafe { tile::product::<S, O, Weights, M>(&Weights, rows, panels, out.as_mut_ptr(), outputs) }
}

/// See [`Kernel::normalise`].
///
/// # Safety
/// As for [`Isa`].
#[inline(always)]
pub(super) unsafe fn normalise<S: Isa>(row: &[i16], token: NormToken, out: &mut [i8]) {
    let count = row.len().min(out.len());
    let Some(factor) = token.factor else {
        out.iter_mut().take(count).for_each(|o| *o = 0);
        return;
    };
    // SAFETY: `at + step` ≤ `count` elements exist in both slices.
    unsafe {
        let mean = S::splat(token.mean128);
        let factors = S::factors(S::splat(i32::from(factor.m())), S::splat(i32::from(factor.t())));
        let mut at = 0;
        while at < count {
            let step = CHANNELS.min(count - at);
            let v = S::centred(row.as_ptr().add(at), step, mean);
            S::store_i8(S::scale(v, factors), out.as_mut_ptr().add(at), step);
            at += step;
        }
    }
}

/// A kernel of this family: `$isa` with `$rows` rows a tile, inside functions that enable `$features`.
macro_rules! dot_kernel {
    ($kernel:ident, $isa:ty, $rows:literal, $features:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// Reached only through [`crate::kernels::Choice`], whose tokens exist only where the processor has the features.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $kernel;

        // SAFETY of all calls: a `Choice` of this kernel holds its token, and tokens come from `detect` only.
        impl crate::kernels::Kernel for $kernel {
            const FAMILY: crate::kernels::Family = crate::kernels::Family::Dot;

            dot_kernel!($features, prepare(rows: &[i8], width: usize, form: &mut [u8]) {
                crate::kernels::dot::prepare(rows, width, form, <$isa as crate::kernels::dot::Isa>::OFFSET)
            });
            dot_kernel!($features, linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
                unsafe { crate::kernels::dot::linear::<$isa, i8, $rows>(x, layer, out) }
            });
            dot_kernel!($features, linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
                unsafe { crate::kernels::dot::linear::<$isa, i16, $rows>(x, layer, out) }
            });
            dot_kernel!($features, store_keys(rows: &[i8], first: usize, head: HeadShape, keys: &mut [u8]) {
                crate::kernels::dot::attention::store_keys::<$isa>(rows, first, head, keys)
            });
            dot_kernel!($features, store_values(rows: &[i8], first: usize, head: HeadShape, values: &mut [u8]) {
                crate::kernels::dot::attention::store_values(rows, first, head, values)
            });
            dot_kernel!($features, logits(
                queries: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, work: &mut [u8], out: &mut [i8]
            ) {
                unsafe {
                    crate::kernels::dot::attention::logits::<$isa, $rows>(queries, head, keys, factor, work, out)
                }
            });
            dot_kernel!($features, weighted_values(
                probabilities: &[u16], head: HeadShape, values: &[u8], factor: Factor, work: &mut [u8],
                out: &mut HeadRows<'_>
            ) {
                unsafe {
                    crate::kernels::dot::attention::weighted_values::<$isa, $rows>(
                        probabilities, head, values, factor, work, out,
                    )
                }
            });
            dot_kernel!($features, softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
                unsafe { <$isa as crate::kernels::dot::Isa>::softmax(block, logits, probabilities) }
            });
            dot_kernel!($features, normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
                unsafe { crate::kernels::dot::normalise::<$isa>(row, token, out) }
            });
            dot_kernel!($features, gelu(block: &Block<'_>, codes: &mut [i8]) {
                unsafe { <$isa as crate::kernels::dot::Isa>::gelu(block, codes) }
            });
            dot_kernel!($features, add(stream: &mut [i16], branch: &[i16]) {
                unsafe { <$isa as crate::kernels::dot::Isa>::add(stream, branch) }
            });

            fn sums(row: &[i16]) -> (i32, u64) {
                #[target_feature(enable = $features)]
                fn run(row: &[i16]) -> (i32, u64) {
                    unsafe { <$isa as crate::kernels::dot::Isa>::sums(row) }
                }
                unsafe { run(row) }
            }
        }
    };
    ($features:literal, $name:ident ( $($arg:ident : $type:ty),* ) $body:block) => {
        fn $name($($arg: $type),*) {
            #[target_feature(enable = $features)]
            fn run($($arg: $type),*) $body
            unsafe { run($($arg),*) }
        }
    };
}
pub(super) use dot_kernel;
