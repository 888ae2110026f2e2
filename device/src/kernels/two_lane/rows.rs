//! Four rows to words, from i8 or straight from the stream (rule 5).

use super::products::{ROWS, padded};
use super::requantise::{Scale, fast_i8};
use crate::engine::token;
use ldae_shared::fixed::NormToken;

/// x_hi·2^16 + x_lo.
#[inline(always)]
fn word(low: i8, high: i8) -> u32 {
    (i32::from(high) << 16).wrapping_add(i32::from(low)) as u32
}

/// Four rows (absent ones may be anything) to words.
pub(super) fn interleave([a, b, c, d]: [&[i8]; ROWS], form: &mut [u32]) {
    let (words, _) = form.as_chunks_mut::<2>();
    let (words, padding) = words.split_at_mut(a.len().min(words.len()));
    for ((((words, &a), &b), &c), &d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *words = [word(a, b), word(c, d)];
    }
    padding.fill([0; 2]);
}

/// i8 rows [count, width] to words.
pub(super) fn prepare(rows: &[i8], width: usize, form: &mut [u8]) {
    let Ok(form) = bytemuck::try_cast_slice_mut::<u8, u32>(form) else { return };
    for (rows, form) in rows.chunks((ROWS * width).max(1)).zip(form.chunks_exact_mut((2 * padded(width)).max(1))) {
        let first = rows.get(..width).unwrap_or(&[]);
        let row = |i: usize| rows.get(i * width..(i + 1) * width).unwrap_or(first);
        interleave([first, row(1), row(2), row(3)], form);
    }
}

/// Inverse of [`prepare`].
pub(super) fn restore(form: &[u8], width: usize, rows: &mut [i8]) {
    let Ok(form) = bytemuck::try_cast_slice::<u8, u32>(form) else { return };
    for (rows, form) in rows.chunks_mut((ROWS * width).max(1)).zip(form.chunks_exact((2 * padded(width)).max(1))) {
        for (i, row) in rows.chunks_exact_mut(width.max(1)).enumerate() {
            for (o, words) in row.iter_mut().zip(form.as_chunks::<2>().0) {
                let [low, high] = *words;
                let word = if i < 2 { low } else { high };
                // The low lane's sign has been borrowed from the high one.
                *o = if i % 2 == 0 { word as i8 } else { (word.wrapping_add(0x8000) >> 16) as i8 };
            }
        }
    }
}

/// Tokens' normalised rows as words. `statistics` has the mean and factor of each token.
pub(super) fn normalise(stream: &[i16], width: usize, statistics: &[[i32; 2]], form: &mut [u8]) {
    let Ok(form) = bytemuck::try_cast_slice_mut::<u8, u32>(form) else { return };
    let fours = stream.chunks((ROWS * width).max(1)).zip(statistics.chunks(ROWS));
    for ((stream, statistics), form) in fours.zip(form.chunks_exact_mut((2 * padded(width)).max(1))) {
        let (words, _) = form.as_chunks_mut::<2>();
        let (words, padding) = words.split_at_mut(width.min(words.len()));
        padding.fill([0; 2]);
        for pair in 0..2 {
            let row = |i: usize| {
                let i = if 2 * pair + i < statistics.len() { 2 * pair + i } else { 0 };
                let row = stream.get(i * width..(i + 1) * width).unwrap_or(&[]);
                (row, statistics.get(i).map_or(NormToken { mean128: 0, factor: None }, token))
            };
            let ((x0, token0), (x1, token1)) = (row(0), row(1));
            let words = words.iter_mut().filter_map(|w| w.get_mut(pair));
            normalise_pair([x0, x1], [token0, token1], words);
        }
    }
}

#[inline(always)]
fn normalise_pair<'a>(
    [x0, x1]: [&[i16]; 2],
    [token0, token1]: [NormToken; 2],
    words: impl Iterator<Item = &'a mut u32>,
) {
    let values = x0.iter().zip(x1).zip(words);
    if let (Some(factor0), Some(factor1)) = (token0.factor, token1.factor) {
        let (scale0, scale1) = (Scale::of(factor0), Scale::of(factor1));
        if scale0.is_fast() && scale1.is_fast() {
            for ((&x0, &x1), o) in values {
                let y0 = fast_i8(scale0, i32::from(x0) * 128 - token0.mean128);
                let y1 = fast_i8(scale1, i32::from(x1) * 128 - token1.mean128);
                *o = word(y0, y1);
            }
            return;
        }
    }
    for ((&x0, &x1), o) in values {
        *o = word(token0.apply(x0), token1.apply(x1));
    }
}
