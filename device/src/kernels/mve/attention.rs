//! Attention's own forms: keys and values as panel bodies, so that both products run through the panels' assembly.
//!
//! Keys: four tokens a panel, sixteen values of each in turn. Values, transposed: four columns a panel, eight tokens of each in
//! turn, read as i16 beside the 15-bit probabilities. Both are padded with zeros, which the caller's memory holds.

use super::product::{BYTES_TO_I8, HALVES_TO_I8, Panels, Rows, product};
use super::scores;
use super::vector::{ldae_mve_copy, ldae_mve_interleave, ldae_mve_transpose};
use crate::kernels::{HeadRows, HeadShape};
use ldae_shared::fixed::Factor;
use ldae_shared::format::Layout;

/// Tokens of one vector of probabilities.
const TOKENS: usize = 8;

/// Head width with its padding.
const fn padded_width(head: HeadShape) -> usize {
    Layout::Helium.padded(head.width)
}

/// Tokens with their padding.
const fn padded_tokens(head: HeadShape) -> usize {
    head.tokens.next_multiple_of(TOKENS)
}

/// See [`crate::kernels::Kernel::store_keys`].
pub(super) fn store_keys(rows: &[i8], first: usize, head: HeadShape, keys: &mut [u8]) {
    let width = padded_width(head);
    let (mut first, mut rows) = (first, rows);
    let groups = rows.len() / (4 * width).max(1);
    let whole =
        rows.split_at_checked(4 * groups * width).filter(|_| width == head.width && first % 4 == 0 && groups > 0);
    if let (Some((whole, rest)), Some(keys)) = (whole, keys.get_mut(first * width..))
        && keys.len() >= whole.len()
    {
        // SAFETY: reads whole panels of four rows and writes as many bytes, all within the slices.
        unsafe { ldae_mve_interleave(whole.as_ptr(), width / 16, groups, keys.as_mut_ptr()) };
        (first, rows) = (first + 4 * groups, rest);
    }
    for (token, row) in (first..).zip(rows.chunks_exact(head.width.max(1))) {
        let panel = token / 4 * 4 * width + token % 4 * 16;
        let bodies = keys.get_mut(panel..).unwrap_or_default().chunks_mut(64);
        for (values, body) in row.chunks(16).zip(bodies) {
            body.iter_mut().zip(values).for_each(|(b, &v)| *b = v as u8);
        }
    }
}

/// See [`crate::kernels::Kernel::store_values`].
pub(super) fn store_values(rows: &[i8], first: usize, head: HeadShape, values: &mut [u8]) {
    let (width, panel_bytes) = (head.width, 4 * padded_tokens(head));
    let groups = width / 4;
    for (token, rows) in (first..).step_by(TOKENS).zip(rows.chunks((TOKENS * width).max(1))) {
        let Some(out) = values.get_mut(token / TOKENS * 4 * TOKENS..) else { return };
        let whole = token % TOKENS == 0 && rows.len() == TOKENS * width && groups > 0;
        let mut from = 0;
        if whole && out.len() >= (groups - 1) * panel_bytes + 4 * TOKENS {
            // SAFETY: eight rows of `width` bytes are read, groups·32 bytes written, all within the slices.
            unsafe { ldae_mve_transpose(rows.as_ptr(), width, groups, out.as_mut_ptr(), panel_bytes) };
            from = 4 * groups;
        }
        for (t, row) in rows.chunks_exact(width.max(1)).enumerate() {
            let t = token % TOKENS + t;
            for (d, &v) in row.iter().enumerate().skip(from) {
                if let Some(o) = out.get_mut(d / 4 * panel_bytes + d % 4 * TOKENS + t) {
                    *o = v as u8;
                }
            }
        }
    }
}

/// The header of keys or values: no bias, one factor.
fn header(factor: Factor) -> [i32; 12] {
    let high = factor.high().unwrap_or(0);
    let plain = i32::from(factor.m()) << 16 | i32::from(factor.t());
    [0, 0, 0, 0, high, high, high, high, plain, plain, plain, plain]
}

/// See [`crate::kernels::Kernel::logits`].
pub(super) fn logits(
    queries: &mut HeadRows<'_>,
    head: HeadShape,
    keys: &[u8],
    factor: Factor,
    work: &mut [u8],
    out: &mut [i8],
) {
    if scores::logits(queries, head, keys, factor, out) {
        return;
    }
    let width = padded_width(head);
    let count = queries.rows.len() / queries.stride.max(1);
    let x = if width == head.width {
        let bytes: &[u8] = bytemuck::cast_slice(&*queries.rows);
        Rows { bytes: bytes.get(queries.column..).unwrap_or(&[]), stride: queries.stride, count }
    } else {
        // Behind a head lie the next one's values: harmless beside zero keys, but nothing lies behind the last.
        for (copy, row) in work.chunks_exact_mut(width.max(1)).zip(queries.iter_mut(head.width)) {
            copy.iter_mut().zip(row.iter()).for_each(|(c, &v)| *c = v as u8);
        }
        Rows { bytes: work, stride: width, count }
    };
    let header = header(factor);
    let keys = Panels {
        headers: bytemuck::bytes_of(&header),
        header_step: 0,
        bodies: keys,
        body_step: 4 * width,
        steps: width / 16,
        outputs: head.tokens,
    };
    product(&BYTES_TO_I8, x, keys, out, head.tokens);
}

/// See [`crate::kernels::Kernel::weighted_values`].
pub(super) fn weighted_values(
    probabilities: &[u16],
    head: HeadShape,
    values: &[u8],
    factor: Factor,
    work: &mut [u8],
    out: &mut HeadRows<'_>,
) {
    let tokens = padded_tokens(head);
    let count = probabilities.len() / head.tokens.max(1);
    let x = if tokens == head.tokens {
        Rows { bytes: bytemuck::cast_slice(probabilities), stride: 2 * tokens, count }
    } else {
        let rows = probabilities.chunks_exact(head.tokens.max(1));
        for (copy, row) in work.chunks_exact_mut((2 * tokens).max(1)).zip(rows) {
            // SAFETY: reads the row, writes as many bytes of a copy that is longer.
            unsafe { ldae_mve_copy(row.as_ptr(), copy.as_mut_ptr(), (2 * row.len()).min(copy.len())) };
        }
        Rows { bytes: work, stride: 2 * tokens, count }
    };
    let header = header(factor);
    let values = Panels {
        headers: bytemuck::bytes_of(&header),
        header_step: 0,
        bodies: values,
        body_step: 4 * tokens,
        steps: tokens / TOKENS,
        outputs: head.width,
    };
    let (column, stride) = (out.column, out.stride);
    product(&HALVES_TO_I8, x, values, out.rows.get_mut(column..).unwrap_or_default(), stride);
}
