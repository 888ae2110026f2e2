//! Four rows to words, from i8 or straight from the stream (rule 5).

use super::products::{ROWS, padded};
use super::requantise::clamped;
use crate::engine::token;
use ldae_shared::fixed::NormToken;

/// x_hi·2^16 + x_lo.
#[inline(always)]
fn word(low: i32, high: i32) -> u32 {
    (high << 16).wrapping_add(low) as u32
}

/// Four rows (absent ones may be anything) to words.
pub(super) fn interleave([a, b, c, d]: [&[i8]; ROWS], form: &mut [u32]) {
    let (words, _) = form.as_chunks_mut::<2>();
    let (words, padding) = words.split_at_mut(a.len().min(words.len()));
    for ((((words, &a), &b), &c), &d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        let [a, b, c, d] = [a, b, c, d].map(i32::from);
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

/// Rule 3 of 128·x − mean as (x·m + offset) >> shift in 32 bits.
///
/// With c = ⌈mean·m / 2^7⌉, ⌊(128·x − mean)·m / 2^8⌋ = (x·m − c) >> 1; the second shift of rule 3 joins the first:
/// (((x·m − c) >> 1) + 2^(t−1)) >> t = (x·m − c + 2^t) >> (t + 1).
struct Line {
    m: i32,
    offset: i32,
    shift: u32,
}

impl Line {
    /// `None` where the sum could leave 32 bits (a mean near the ends of the stream's range), and for a constant token.
    fn of(token: NormToken) -> Option<Self> {
        let factor = token.factor?;
        let (m, t) = (i32::from(factor.m()), u32::from(factor.t()));
        // |mean| ≤ 2^22, m < 2^15.
        let c = (token.mean128 >> 7) * m + (((token.mean128 & 127) * m + 127) >> 7);
        let offset = (1i32 << t).checked_sub(c)?;
        // |x·m| < 2^30.
        (offset.unsigned_abs() <= 1 << 30).then_some(Line { m, offset, shift: t + 1 })
    }

    #[inline(always)]
    fn at(&self, x: i16) -> i32 {
        clamped((i32::from(x).wrapping_mul(self.m)).wrapping_add(self.offset) >> (self.shift & 31))
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
        let row = |i: usize| {
            let i = if i < statistics.len() { i } else { 0 };
            let row = stream.get(i * width..(i + 1) * width).unwrap_or(&[]);
            (row, statistics.get(i).map_or(NormToken { mean128: 0, factor: None }, token))
        };
        normalise_pair(row(0), row(1), words, |words| &mut words[0]);
        normalise_pair(row(2), row(3), words, |words| &mut words[1]);
    }
}

#[inline(always)]
fn normalise_pair(
    (x0, token0): (&[i16], NormToken),
    (x1, token1): (&[i16], NormToken),
    words: &mut [[u32; 2]],
    place: impl Fn(&mut [u32; 2]) -> &mut u32,
) {
    let values = words.iter_mut().zip(x0).zip(x1);
    if let (Some(line0), Some(line1)) = (Line::of(token0), Line::of(token1)) {
        for ((words, &x0), &x1) in values {
            *place(words) = word(line0.at(x0), line1.at(x1));
        }
    } else {
        for ((words, &x0), &x1) in values {
            *place(words) = word(i32::from(token0.apply(x0)), i32::from(token1.apply(x1)));
        }
    }
}
