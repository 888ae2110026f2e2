//! LayerNorm (rule 5): statistics once per token, rows on demand.
//!
//! Where a kernel normalises straight into its own form, the i8 rows exist for taps only.

use super::work::Rows;
use crate::encoder::EmbedError;
use crate::kernels::{Input, Kernel};
use crate::tap::Tap;
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

/// Normalised rows of a chunk as the input of a product; the rows themselves too where `T` observes them.
pub(super) fn input<'r, K: Kernel, T: Tap>(
    stream: &[i16],
    width: usize,
    statistics: &[[i32; 2]],
    out: &'r mut Rows<'_>,
) -> Result<Input<'r>, EmbedError> {
    if !K::NORMALISES_FORM {
        let count = rows::<K>(stream, width, statistics, out)?;
        return out.prepare::<K>(count);
    }
    let count = stream.len() / width.max(1);
    K::normalise_form(stream, width, statistics, out.form());
    if T::ENABLED {
        out.restore::<K>(count)?;
    }
    Ok(out.prepared(count))
}

/// A token's statistics as [`statistics`] packs them.
pub(crate) fn token(&[mean128, packed]: &[i32; 2]) -> NormToken {
    NormToken { mean128, factor: Factor::new(packed as u16, (packed >> 16) as u8) }
}

/// Normalised rows of a chunk, i8 over ± the range of this LayerNorm; returns how many.
pub(super) fn rows<K: Kernel>(
    stream: &[i16],
    width: usize,
    statistics: &[[i32; 2]],
    out: &mut Rows<'_>,
) -> Result<usize, EmbedError> {
    let count = stream.len() / width.max(1);
    K::normalise_rows(stream, width, statistics, out.rows(count)?);
    Ok(count)
}
