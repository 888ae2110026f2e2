//! Queries by keys, softmax, probabilities by values.

use super::products::{Output, Products, ROWS, Table, weight_bytes};
use super::requantise::{Scale, fast_i8, to_i8};
use super::rows::interleave;
use crate::kernels::{HeadRows, HeadShape};
use ldae_shared::fixed::{Factor, row_reciprocal};
use ldae_shared::format::Block;

unsafe extern "C" {
    /// Sums of four queries in each of four columns.
    fn ldae_two_lane_weighted(
        probabilities: *const u32,
        values: *const u8,
        stride: usize,
        end: *const u32,
        sums: *mut [[i32; ROWS]; 4],
    );
}

/// Keys as panels without header, two tokens each.
pub(super) fn store_keys(rows: &[i8], first: usize, head: HeadShape, keys: &mut [u8]) {
    let panel = weight_bytes(head.width);
    for (i, row) in rows.chunks_exact(head.width.max(1)).enumerate() {
        let token = first + i;
        let Some(keys) = keys.get_mut((token / 2) * panel..(token / 2 + 1) * panel) else { return };
        let lane = 4 * (token % 2);
        let (fours, rest) = row.as_chunks::<4>();
        let (places, _) = keys.as_chunks_mut::<8>();
        for (place, four) in places.iter_mut().zip(fours) {
            let [low, high] = place.as_chunks_mut::<4>().0 else { return };
            *(if lane == 0 { low } else { high }) = four.map(i8::cast_unsigned);
        }
        let last = places.get_mut(fours.len()).and_then(|p| p.get_mut(lane..lane + rest.len()));
        if let Some(last) = last {
            last.copy_from_slice(bytemuck::cast_slice(rest));
        }
    }
}

/// Values as they are, every row padded to a multiple of four.
pub(super) fn store_values(rows: &[i8], first: usize, head: HeadShape, values: &mut [u8]) {
    let stride = head.width.next_multiple_of(4);
    let Some(values) = values.get_mut(first * stride..) else { return };
    for (row, value) in rows.chunks_exact(head.width.max(1)).zip(values.chunks_exact_mut(stride.max(1))) {
        if let Some(value) = value.get_mut(..row.len()) {
            value.copy_from_slice(bytemuck::cast_slice(row));
        }
    }
}

/// See [`crate::kernels::Kernel::logits`]; at most [`ROWS`] queries.
pub(super) fn logits(
    q: &mut HeadRows<'_>,
    head: HeadShape,
    keys: &[u8],
    factor: Factor,
    work: &mut [u8],
    out: &mut [i8],
) {
    let Ok(form) = bytemuck::try_cast_slice_mut::<u8, u32>(work) else { return };
    let Some(form) = form.get_mut(..weight_bytes(head.width)) else { return };
    let count = (q.rows.len() / q.stride.max(1)).min(ROWS);
    let row = |i: usize| {
        let at = if i < count { i } else { 0 } * q.stride + q.column;
        q.rows.get(at..at + head.width).unwrap_or(&[])
    };
    interleave([row(0), row(1), row(2), row(3)], form);
    let Some(mut products) = Products::new(form, head.width, count, Output::I8) else { return };
    let Some(mut table) = Table::new(out, count, head.tokens) else { return };
    products.group([u32::MAX; 2]);
    let scale = Scale::of(factor);
    let (mut rest, mut token) = (keys, 0);
    while let Some((panel, behind)) = rest.split_at_checked(weight_bytes(head.width)) {
        rest = behind;
        let results = products.panel(panel, [0; 2], [scale; 2]);
        if scale.is_fast() {
            table.place(results, token, |_, v| v as i8);
        } else {
            table.place(results, token, |_, v| to_i8(scale, v));
        }
        token += 2;
    }
}

/// See [`crate::kernels::Kernel::softmax`]. A function of its own has the registers for itself.
#[inline(never)]
pub(super) fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
    // Packed tables are aligned, so this is always the case.
    let table = bytemuck::try_cast_slice::<u8, u16>(block.softmax_table()).ok();
    let Some(table) = table.and_then(<[u16]>::first_chunk::<256>) else { return };
    let max = logits.iter().copied().max().unwrap_or(0);
    let mut sum = 0u32; // at most 4096 entries of 16 bits: below 2^28
    for (p, &x) in probabilities.iter_mut().zip(logits) {
        // At most 255, and not negative.
        let entry = table[usize::from(max.cast_unsigned().wrapping_sub(x.cast_unsigned()))];
        *p = entry;
        sum += u32::from(entry);
    }
    let reciprocal = row_reciprocal(sum);
    for p in probabilities {
        *p = reciprocal.apply(*p);
    }
}

/// See [`crate::kernels::Kernel::gelu`].
pub(super) fn gelu(block: &Block<'_>, codes: &mut [i8]) {
    let Some(table) = block.gelu_table().first_chunk::<256>() else { return };
    for c in codes {
        *c = table[usize::from(c.cast_unsigned())].cast_signed();
    }
}

/// See [`crate::kernels::Kernel::weighted_values`]; at most [`ROWS`] queries.
pub(super) fn weighted_values(
    probabilities: &[u16],
    head: HeadShape,
    values: &[u8],
    factor: Factor,
    work: &mut [u8],
    out: &mut HeadRows<'_>,
) {
    let (tokens, stride) = (head.tokens.next_multiple_of(4), head.width.next_multiple_of(4));
    let Ok(form) = bytemuck::try_cast_slice_mut::<u8, u32>(work) else { return };
    let Some(form) = form.get_mut(..ROWS * tokens) else { return };
    if values.len() < tokens * stride {
        return;
    }
    let count = (out.rows.len() / out.stride.max(1)).min(ROWS);
    let row = |i: usize| {
        let at = if i < count { i } else { 0 } * head.tokens;
        probabilities.get(at..at + head.tokens).unwrap_or(&[])
    };
    let (fours, _) = form.as_chunks_mut::<ROWS>();
    let (fours, padding) = fours.split_at_mut(head.tokens.min(fours.len()));
    for ((((four, &a), &b), &c), &d) in fours.iter_mut().zip(row(0)).zip(row(1)).zip(row(2)).zip(row(3)) {
        *four = [a, b, c, d].map(u32::from);
    }
    padding.fill([0; ROWS]);
    let scale = Scale::of(factor);
    let range = form.as_ptr_range();
    let mut sums = [[0; ROWS]; 4];
    let mut column = 0;
    while column < head.width {
        // SAFETY: `form` has `tokens` × 4 values, `values` `tokens` rows of `stride` bytes, and `column` + 4 ≤ `stride`.
        unsafe {
            let values = values.as_ptr().wrapping_add(column);
            ldae_two_lane_weighted(range.start, values, stride, range.end, &raw mut sums);
        }
        let mut at = out.column + column;
        let columns = (head.width - column).min(4);
        for i in 0..count {
            if let Some(out) = out.rows.get_mut(at..at + columns) {
                for (o, sums) in out.iter_mut().zip(&sums) {
                    let sum = sums.get(i).copied().unwrap_or(0);
                    *o = if scale.is_fast() { fast_i8(scale, sum) } else { to_i8(scale, sum) };
                }
            }
            at += out.stride;
        }
        column += 4;
    }
}
