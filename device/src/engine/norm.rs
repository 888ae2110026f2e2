//! LayerNorm (rule 5): statistics once per token, rows on demand.

use core::num::NonZeroU32;
use ldae_shared::fixed::{Factor, NormRange, NormScale, NormToken, norm_token};

/// Statistics of every token: [mean128, factor packed as m | t << 16, 0 for a constant token].
pub(super) fn statistics(stream: &[i16], width: usize, range: NormRange, out: &mut [[i32; 2]]) {
    let Some(w) = NonZeroU32::new(width as u32) else { return };
    let scale = NormScale::new(w, range);
    for (row, out) in stream.chunks_exact(width.max(1)).zip(out) {
        let mut sum = 0i32; // W ≤ 2048 values of 16 bits: below 2^27
        let mut squares = 0u64;
        for &x in row {
            sum += i32::from(x);
            squares += u64::from((i32::from(x) * i32::from(x)) as u32);
        }
        let token = norm_token(sum, squares, scale);
        let packed = token.factor.map_or(0, |f| i32::from(f.m()) | i32::from(f.t()) << 16);
        *out = [token.mean128, packed];
    }
}

/// Normalised rows, i8 over ± the range of this LayerNorm.
pub(super) fn rows(stream: &[i16], width: usize, statistics: &[[i32; 2]], out: &mut [i8]) {
    let rows = stream.chunks_exact(width.max(1)).zip(out.chunks_exact_mut(width.max(1)));
    for ((x, out), &[mean128, packed]) in rows.zip(statistics) {
        let token = NormToken { mean128, factor: Factor::new(packed as u16, (packed >> 16) as u8) };
        for (o, &x) in out.iter_mut().zip(x) {
            *o = token.apply(x);
        }
    }
}
