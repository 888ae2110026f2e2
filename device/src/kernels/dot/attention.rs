//! Attention as products of panels (layouts in [`store_keys`] and [`store_values`]).

use super::tile::{Panels, Rows, Source, product};
use super::{CHANNELS, GROUP, Isa, copy};
use crate::kernels::{HeadRows, HeadShape};
use ldae_shared::fixed::Factor;
use ldae_shared::format::Layout;

/// Bytes in front of a panel of keys: sixteen start values.
const KEY_HEADER: usize = GROUP;

/// Bytes of a panel of sixteen keys.
const fn key_panel(head: HeadShape) -> usize {
    KEY_HEADER + CHANNELS * Layout::Dot.padded(head.width)
}

/// Bytes of a panel of sixteen components of the values of all tokens.
const fn value_panel(head: HeadShape) -> usize {
    head.tokens.div_ceil(2) * GROUP
}

/// Panels of sixteen keys: −offset·Σk of each, then for components d..d+4 four bytes of each of the sixteen in turn.
#[inline(always)]
pub(in crate::kernels) fn store_keys<S: Isa>(rows: &[i8], first: usize, head: HeadShape, keys: &mut [u8]) {
    for (i, row) in rows.chunks_exact(head.width.max(1)).enumerate() {
        let (panel, c) = ((first + i) / CHANNELS, (first + i) % CHANNELS);
        let at = panel * key_panel(head);
        let Some((header, body)) = keys.get_mut(at..).and_then(|p| p.split_at_mut_checked(KEY_HEADER)) else { return };
        let sum: i32 = row.iter().map(|&x| i32::from(x)).sum();
        if let Some(start) = words(header).get_mut(c) {
            *start = (-S::OFFSET * sum).to_le_bytes();
        }
        let (fours, rest) = row.as_chunks::<4>();
        let mut places = words(body).iter_mut().skip(c).step_by(CHANNELS);
        for (four, place) in fours.iter().zip(&mut places) {
            *place = four.map(|x| x as u8);
        }
        if let (Some(place), false) = (places.next(), rest.is_empty()) {
            place.iter_mut().zip(rest).for_each(|(b, &x)| *b = x as u8);
        }
    }
}

fn words(bytes: &mut [u8]) -> &mut [[u8; 4]] {
    bytes.as_chunks_mut().0
}

/// Panels of sixteen components, without header: for each pair of tokens, i16 pairs of each component in turn. `first`
/// is even.
#[inline(always)]
pub(in crate::kernels) fn store_values(rows: &[i8], first: usize, head: HeadShape, values: &mut [u8]) {
    let width = head.width.max(1);
    for (i, pair) in rows.chunks(2 * width).enumerate() {
        let (even, odd) = pair.split_at(width.min(pair.len()));
        for (panel, even) in even.chunks(CHANNELS).enumerate() {
            let odd = odd.get(panel * CHANNELS..).unwrap_or(&[]);
            let at = panel * value_panel(head) + (first / 2 + i) * GROUP;
            let Some(group) = values.get_mut(at..at + GROUP) else { return };
            // Whole vectors: copies of the pieces, zeros behind them.
            let (mut a, mut b) = ([0i8; CHANNELS], [0i8; CHANNELS]);
            match (even.first_chunk(), odd.first_chunk()) {
                (Some(even), Some(odd)) => (a, b) = (*even, *odd),
                _ => {
                    a.iter_mut().zip(even).for_each(|(to, &x)| *to = x);
                    b.iter_mut().zip(odd).take(even.len()).for_each(|(to, &x)| *to = x);
                }
            }
            let mut pairs = [0u32; CHANNELS];
            for ((pair, a), b) in pairs.iter_mut().zip(a).zip(b) {
                *pair = i32::from(a) as u32 & 0xFFFF | (i32::from(b) as u32) << 16;
            }
            // Both architectures of this family are little-endian.
            group.copy_from_slice(bytemuck::bytes_of(&pairs));
        }
    }
}

/// Panels of activations: one factor for all.
struct Keys(Factor);
struct Values(Factor);

#[inline(always)]
unsafe fn same<S: Isa>(factor: Factor) -> S::Factors {
    unsafe { S::factors(S::splat(i32::from(factor.m())), S::splat(i32::from(factor.t()))) }
}

impl<S: Isa> Source<S> for Keys {
    const BODY: usize = KEY_HEADER;

    #[inline(always)]
    unsafe fn start(&self, panel: *const u8) -> S::Acc {
        unsafe { S::load(panel) }
    }

    #[inline(always)]
    unsafe fn factors(&self, _panel: *const u8) -> S::Factors {
        unsafe { same::<S>(self.0) }
    }

    #[inline(always)]
    unsafe fn multiply(sum: S::Acc, x: S::Input, w: S::Weights) -> S::Acc {
        unsafe { S::dot(sum, x, w) }
    }
}

impl<S: Isa> Source<S> for Values {
    const BODY: usize = 0;

    #[inline(always)]
    unsafe fn start(&self, _panel: *const u8) -> S::Acc {
        unsafe { S::splat(0) }
    }

    #[inline(always)]
    unsafe fn factors(&self, _panel: *const u8) -> S::Factors {
        unsafe { same::<S>(self.0) }
    }

    #[inline(always)]
    unsafe fn multiply(sum: S::Acc, x: S::Input, w: S::Weights) -> S::Acc {
        unsafe { S::dot_wide(sum, x, w) }
    }
}

/// See [`crate::kernels::Kernel::logits`].
///
/// # Safety
/// As for [`Isa`].
#[inline(always)]
pub(in crate::kernels) unsafe fn logits<S: Isa, const M: usize>(
    queries: &mut HeadRows<'_>,
    head: HeadShape,
    keys: &[u8],
    factor: Factor,
    work: &mut [u8],
    out: &mut [i8],
) {
    let padded = Layout::Dot.padded(head.width);
    let mut count = 0;
    for (form, query) in work.chunks_exact_mut(padded.max(4)).zip(queries.iter_mut(head.width)) {
        copy(query, form, S::OFFSET);
        count += 1; // bytes of padding meet keys of zero
    }
    let count = count.min(out.len() / head.tokens.max(1));
    let bytes = key_panel(head);
    let channels = head.tokens.min(keys.len() / bytes * CHANNELS);
    let rows = Rows { at: work.as_ptr(), stride: padded, count };
    let panels = Panels { at: keys.as_ptr(), bytes, groups: padded / 4, channels };
    // SAFETY: `count` forms lie in `work`, `channels` keys in `keys`, `count` rows of N logits in `out`.
    unsafe { product::<S, i8, Keys, M>(&Keys(factor), rows, panels, out.as_mut_ptr(), head.tokens) }
}

/// See [`crate::kernels::Kernel::weighted_values`].
///
/// # Safety
/// As for [`Isa`].
#[inline(always)]
pub(in crate::kernels) unsafe fn weighted_values<S: Isa, const M: usize>(
    probabilities: &[u16],
    head: HeadShape,
    values: &[u8],
    factor: Factor,
    work: &mut [u8],
    out: &mut HeadRows<'_>,
) {
    let (n, even) = (head.tokens.max(1), head.tokens.next_multiple_of(2));
    let mut count = probabilities.len() / n;
    let mut at = probabilities.as_ptr().cast::<u8>();
    if n != even {
        // An odd row would end in half a pair: rows of even length instead.
        let rows = work.chunks_exact_mut(2 * even).zip(probabilities.chunks_exact(n));
        count = rows.len();
        for (to, from) in rows {
            if let Some((row, last)) = to.split_at_mut_checked(2 * n) {
                row.copy_from_slice(bytemuck::cast_slice(from));
                last.fill(0);
            }
        }
        at = work.as_ptr();
    }
    let bytes = value_panel(head);
    let channels = head.width.min(values.len() / bytes.max(1) * CHANNELS);
    if channels == 0 || out.column + channels > out.stride {
        return;
    }
    let count = count.min(out.rows.len() / out.stride);
    let rows = Rows { at, stride: 2 * even, count };
    let panels = Panels { at: values.as_ptr(), bytes, groups: even / 2, channels };
    // SAFETY: `count` rows of probabilities and of outputs exist, and `column + channels` ≤ `stride`.
    unsafe {
        let to = out.rows.as_mut_ptr().add(out.column);
        product::<S, i8, Values, M>(&Values(factor), rows, panels, to, out.stride);
    }
}
