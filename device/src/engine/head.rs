//! Head (rule 9): last LayerNorm, exact integer pooling, standardisation to codes.

use super::{Work, norm};
use crate::encoder::EmbedError;
use crate::kernels::Kernel;
use crate::tap::{Tap, TapData, TapId};
use ldae_shared::fixed::{isqrt_u64, pool_shift};
use ldae_shared::format::Head;
use ldae_shared::spec::{EncoderSpec, Pooling};

pub(super) fn run<K: Kernel, T: Tap>(
    spec: &EncoderSpec,
    head: &Head<'_>,
    stream: &[i16],
    work: &mut Work<'_>,
    out: &mut [i8],
    tap: &mut T,
) -> Result<u32, EmbedError> {
    let (n, w, grid) = (spec.tokens() as usize, usize::from(spec.width.max(1)), spec.grid() as usize);
    let shift = pool_shift(spec.pooled_tokens());
    let (statistics, norm_rows, mut region) = work.parts();
    norm::statistics::<K>(stream, w, head.norm, statistics);
    let cells = if spec.pooling == Pooling::Grid2x2 { 4 } else { 1 };
    let sums: &mut [i32] = region.take(cells * w)?; // [cells, W]; |sum| ≤ 127·N < 2^19
    sums.fill(0);
    let squares: &mut [u32] = if spec.pooling == Pooling::MeanStd { region.take(w)? } else { &mut [] };
    squares.fill(0);

    let mut token = 0;
    let chunk = K::FAMILY.rows();
    for (x, s) in stream.chunks(chunk * w).zip(statistics.chunks(chunk)) {
        let count = norm::rows::<K>(x, w, s, norm_rows)?;
        let rows = norm_rows.rows(count)?;
        if T::ENABLED {
            tap.tap(TapId::FinalNorm, TapData::I8(rows));
        }
        for row in rows.chunks_exact(w.max(1)) {
            let cell = if cells == 4 { quarter(token, grid) } else { 0 };
            token += 1;
            if let Some(sums) = sums.get_mut(cell * w..(cell + 1) * w) {
                for (sum, &y) in sums.iter_mut().zip(row) {
                    *sum += i32::from(y);
                }
            }
            for (square, &y) in squares.iter_mut().zip(row) {
                *square += (i32::from(y) * i32::from(y)) as u32; // ≤ 127²·4096 < 2^26
            }
        }
    }

    // Shifted sums, then (for the deviation) N times the standard deviation, in the same units.
    let deviations = squares.iter().zip(sums.iter()).map(|(&square, &sum)| {
        let v = (n as u64 * u64::from(square)).saturating_sub((i64::from(sum) * i64::from(sum)) as u64);
        isqrt_u64(v << (2 * shift)) as i32 // v ≤ (127·N)², so the root is below 2^22
    });
    let pooled = sums.iter().map(|&sum| sum << shift).chain(deviations);
    let mut norm2 = 0u32;
    for ((v, channel), code) in pooled.zip(head.channels.iter()).zip(out.iter_mut()) {
        *code = channel.to_i8(v + channel.bias);
        norm2 = norm2.wrapping_add((i32::from(*code) * i32::from(*code)) as u32); // E ≤ 8192: below 2^27
        if T::ENABLED {
            tap.tap(TapId::Pooled, TapData::I32(&[v]));
        }
    }
    if T::ENABLED {
        tap.tap(TapId::Codes, TapData::I8(out));
    }
    Ok(norm2)
}

/// Quarter of the grid that a token lies in: top left 0, top right 1, bottom left 2, bottom right 3. On an odd grid the
/// middle row and column belong to the first half.
fn quarter(token: usize, grid: usize) -> usize {
    let half = grid.div_ceil(2).max(1);
    let (row, column) = (token / grid.max(1), token % grid.max(1));
    2 * usize::from(row >= half) + usize::from(column >= half)
}
