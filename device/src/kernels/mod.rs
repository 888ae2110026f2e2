//! The inner loops. [`portable`] is the definition of the bits; every other kernel must equal it exactly.
//!
//! Which kernel runs follows from the artifact's weight layout ([`ldae_shared::format::Layout`]) and from what this build
//! and this machine have: a canonical artifact runs on every build, a packed one where its kernel is.

#[cfg(kernel_neon)]
pub mod aarch64;
mod choice;
#[cfg(any(target_arch = "x86_64", kernel_neon))]
#[allow(unsafe_code)]
mod dot;
#[cfg(kernel_dsp)]
pub(crate) mod dsp;
mod family;
#[cfg(kernel_mve)]
pub(crate) mod mve;
pub mod portable;
mod target;
#[cfg(kernel_two_lane)]
#[allow(unsafe_code)]
pub(crate) mod two_lane;
#[cfg(target_arch = "x86_64")]
pub mod x86;

pub use choice::Choice;
pub use family::Family;
pub use target::kernel_cfgs;

use crate::engine::token;
use ldae_shared::fixed::{Factor, NormToken, row_reciprocal};
use ldae_shared::format::{Block, Linear};

/// Rows of a matrix product: as i8, and in the kernel's own form where it has one.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// i8 [count, width], possibly with a few bytes behind it.
    pub rows: &'a [i8],
    /// What [`Kernel::prepare`] made of them.
    pub form: &'a [u8],
    /// Number of rows.
    pub count: usize,
}

/// Shape of one attention head: N tokens, W/H values each.
#[derive(Clone, Copy, Debug)]
pub struct HeadShape {
    /// Tokens N.
    pub tokens: usize,
    /// Head width W/H.
    pub width: usize,
}

/// One head's columns of some rows of the query matrix (which become those of the output).
#[derive(Debug)]
pub struct HeadRows<'a> {
    /// i8 [count, stride].
    pub rows: &'a mut [i8],
    /// Values from one row to the next.
    pub stride: usize,
    /// First column of the head.
    pub column: usize,
}

impl HeadRows<'_> {
    /// The head's values of each row.
    pub(crate) fn iter_mut(&mut self, width: usize) -> impl Iterator<Item = &mut [i8]> {
        let column = self.column;
        self.rows.chunks_exact_mut(self.stride.max(1)).filter_map(move |row| row.get_mut(column..column + width))
    }
}

/// What a kernel computes. Slices have the stated lengths (the engine guarantees them); a shorter one is computed as far
/// as it reaches, never beyond. `rows` lie densely unless a stride is given.
pub trait Kernel {
    /// Memory plan and weight layout.
    const FAMILY: Family;

    /// Brings i8 rows [count, width] into the kernel's own form ([`Family::input_bytes`] bytes).
    fn prepare(rows: &[i8], width: usize, form: &mut [u8]) {
        let _ = (rows, width, form);
    }

    /// Pixels less 128 (rule 8): the same bits with the top one flipped.
    #[inline(always)]
    fn centre(pixels: &[u8], out: &mut [i8]) {
        out.iter_mut().zip(pixels).for_each(|(o, &p)| *o = (p ^ 0x80) as i8);
    }

    /// Products of rows [count, inputs] with a layer, to i8 [count, outputs].
    fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]);

    /// Products of rows [count, inputs] with a layer, to i16 [count, outputs].
    fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]);

    /// Puts the keys `rows` [count, W/H] of tokens `first..` into the head's key memory. Called for ascending chunks of
    /// [`Family::rows`] tokens; the memory was zeroed before the first where
    /// [`Family::clears_keys_and_values`].
    fn store_keys(rows: &[i8], first: usize, head: HeadShape, keys: &mut [u8]) {
        portable::store_rows(rows, first, head, keys);
    }

    /// Puts the values `rows` [count, W/H] of tokens `first..` into the head's value memory.
    fn store_values(rows: &[i8], first: usize, head: HeadShape, values: &mut [u8]) {
        portable::store_rows(rows, first, head, values);
    }

    /// Logits of some queries against the keys, to i8 [count, N].
    fn logits(
        queries: &mut HeadRows<'_>,
        head: HeadShape,
        keys: &[u8],
        factor: Factor,
        work: &mut [u8],
        out: &mut [i8],
    );

    /// One row of logits `[N]` to 15-bit probabilities (rule 6): table lookup, one reciprocal.
    #[inline(always)]
    fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
        let max = logits.iter().copied().max().unwrap_or(0);
        let mut sum = 0u32; // at most 4096 entries of 16 bits: below 2^28
        for (p, &x) in probabilities.iter_mut().zip(logits) {
            let entry = block.softmax(max.abs_diff(x));
            *p = entry;
            sum += u32::from(entry);
        }
        let reciprocal = row_reciprocal(sum);
        for p in probabilities {
            *p = reciprocal.apply(*p);
        }
    }

    /// Rows of logits [count, N] to probabilities.
    #[inline(always)]
    fn softmax_rows(block: &Block<'_>, tokens: usize, logits: &[i8], probabilities: &mut [u16]) {
        let rows = logits.chunks_exact(tokens.max(1)).zip(probabilities.chunks_exact_mut(tokens.max(1)));
        for (logits, probabilities) in rows {
            Self::softmax(block, logits, probabilities);
        }
    }

    /// Σ over tokens of probability × value for some rows of probabilities [count, N], to i8 over the queries.
    fn weighted_values(
        probabilities: &[u16],
        head: HeadShape,
        values: &[u8],
        factor: Factor,
        work: &mut [u8],
        out: &mut HeadRows<'_>,
    );

    /// Σx and Σx² of a token (rule 5).
    #[inline(always)]
    fn sums(row: &[i16]) -> (i32, u64) {
        let mut sum = 0i32; // W ≤ 2048 values of 16 bits: below 2^27
        let mut squares = 0u64;
        for &x in row {
            sum += i32::from(x);
            squares += u64::from((i32::from(x) * i32::from(x)) as u32);
        }
        (sum, squares)
    }

    /// One token's normalised row, i8 over ± the range of its LayerNorm (rule 5).
    #[inline(always)]
    fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
        for (o, &x) in out.iter_mut().zip(row) {
            *o = token.apply(x);
        }
    }

    /// The normalised rows [count, width] of as many tokens.
    #[inline(always)]
    fn normalise_rows(stream: &[i16], width: usize, statistics: &[[i32; 2]], out: &mut [i8]) {
        let rows = stream.chunks_exact(width.max(1)).zip(out.chunks_exact_mut(width.max(1)));
        for ((x, out), s) in rows.zip(statistics) {
            Self::normalise(x, token(s), out);
        }
    }

    /// True where [`Kernel::normalise_form`] makes the form without i8 rows.
    const NORMALISES_FORM: bool = false;

    /// A chunk's normalised rows in the kernel's own form; pair by pair, unless a kernel does it otherwise.
    /// `statistics` has the mean and factor of each token.
    fn normalise_form(stream: &[i16], width: usize, statistics: &[[i32; 2]], form: &mut [u8]) {
        let pairs = stream.chunks(2 * width.max(1)).zip(statistics.chunks(2));
        for ((x, s), form) in pairs.zip(form.chunks_exact_mut(Self::FAMILY.input_bytes(2, width).max(1))) {
            let (x0, x1) = x.split_at_checked(width).unwrap_or((x, &[]));
            let Some(first) = s.first() else { continue };
            let x1 = if x1.is_empty() { x0 } else { x1 };
            Self::normalise_pair([x0, x1], [token(first), token(s.get(1).unwrap_or(first))], form);
        }
    }

    /// Two tokens' normalised rows in the kernel's own form.
    fn normalise_pair(rows: [&[i16]; 2], tokens: [NormToken; 2], form: &mut [u8]) {
        let _ = (rows, tokens, form);
    }

    /// The i8 rows [count, width] of a form, for taps.
    fn restore(form: &[u8], width: usize, rows: &mut [i8]) {
        let _ = (form, width, rows);
    }

    /// GELU table over codes, in place.
    #[inline(always)]
    fn gelu(block: &Block<'_>, codes: &mut [i8]) {
        for c in codes {
            *c = block.gelu(*c);
        }
    }

    /// Saturating addition of a branch to the stream.
    #[inline(always)]
    fn add(stream: &mut [i16], branch: &[i16]) {
        for (s, b) in stream.iter_mut().zip(branch) {
            *s = s.saturating_add(*b);
        }
    }
}
