//! LayerNorm (rule 5): statistics once per token, rows on demand.

use super::work::Rows;
use crate::encoder::EmbedError;
use crate::kernels::Kernel;
use core::num::NonZeroU32;
use ldae_shared::fixed::{Factor, NormRange, NormScale, NormToken, norm_token};

/// Statistics of every token: [mean128, factor packed as m | t << 16, 0 for a constant token].
pub(super) fn statistics<K: Kernel>(stream: &[i16], width: usize, range: NormRange, out: &mut [[i32; 2]]) {
    let Some(w) = NonZeroU32::new(width as u32) else { return };
    let scale = NormScale::new(w, range);
    for (row, out) in stream.chunks_exact(width.max(1)).zip(out) {
        let (sum, squares) = K::sums(row);
        let token = norm_token(sum, squares, scale);
        let packed = token.factor.map_or(0, |f| i32::from(f.m()) | i32::from(f.t()) << 16);
        *out = [token.mean128, packed];
    }
}

/// Normalised rows of a chunk, i8 over ± the range of this LayerNorm; returns how many.
pub(super) fn rows<K: Kernel>(
    stream: &[i16],
    width: usize,
    statistics: &[[i32; 2]],
    out: &mut Rows<'_>,
) -> Result<usize, EmbedError> {
    let count = stream.len() / width.max(1);
    let rows = stream.chunks_exact(width.max(1)).zip(out.rows(count)?.chunks_exact_mut(width.max(1)));
    for ((x, out), &[mean128, packed]) in rows.zip(statistics) {
        let token = NormToken { mean128, factor: Factor::new(packed as u16, (packed >> 16) as u8) };
        K::normalise(x, token, out);
    }
    Ok(count)
}
