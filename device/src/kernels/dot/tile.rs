//! Register tiles: M rows times P panels, every sum in a register from start value to requantisation.

use super::{CHANNELS, GROUP, Isa};
use core::mem::MaybeUninit;

/// Where a tile's panels come from: start values, factors and the kind of product.
pub(in crate::kernels) trait Source<S: Isa> {
    /// Bytes in front of a panel's first group.
    const BODY: usize;
    /// Start values of the sums.
    unsafe fn start(&self, panel: *const u8) -> S::Acc;
    /// Rule 3 of the panel's channels.
    unsafe fn factors(&self, panel: *const u8) -> S::Factors;
    /// Adds the products of one group.
    unsafe fn multiply(sum: S::Acc, x: S::Input, w: S::Weights) -> S::Acc;
}

/// Type of a product's results.
pub(in crate::kernels) trait Out: Copy {
    /// Clamps and stores the first `count` ≤ 16 lanes.
    unsafe fn store<S: Isa>(v: S::Acc, out: *mut Self, count: usize);
}

impl Out for i8 {
    #[inline(always)]
    unsafe fn store<S: Isa>(v: S::Acc, out: *mut i8, count: usize) {
        unsafe { S::store_i8(v, out, count) }
    }
}

impl Out for i16 {
    #[inline(always)]
    unsafe fn store<S: Isa>(v: S::Acc, out: *mut i16, count: usize) {
        unsafe { S::store_i16(v, out, count) }
    }
}

/// Rows of inputs.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Rows {
    /// First byte.
    pub(in crate::kernels) at: *const u8,
    /// Bytes from one row to the next.
    pub(in crate::kernels) stride: usize,
    /// How many.
    pub(in crate::kernels) count: usize,
}

/// Panels of sixteen channels.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Panels {
    /// First byte.
    pub(in crate::kernels) at: *const u8,
    /// Bytes from one panel to the next.
    pub(in crate::kernels) bytes: usize,
    /// Groups of four input bytes.
    pub(in crate::kernels) groups: usize,
    /// Channels in use; the last panel may have fewer than sixteen.
    pub(in crate::kernels) channels: usize,
}

/// All rows times all panels. Panels change slowest: a few of them stay in the first cache for all rows.
///
/// # Safety
/// As for [`Isa`]; `rows.count` rows of 4·`groups` bytes exist, the panels of `channels` channels, and `rows.count` rows
/// of `channels` values behind `out`, `stride` apart.
#[inline(always)]
pub(in crate::kernels) unsafe fn product<S: Isa, O: Out, P: Source<S>, const M: usize>(
    source: &P,
    rows: Rows,
    panels: Panels,
    out: *mut O,
    stride: usize,
) {
    let mut first = 0; // channel
    while first < panels.channels && rows.count > 0 {
        let left = (panels.channels - first).div_ceil(CHANNELS);
        // Four panels are two and two: the narrow tile of a single one is the slowest.
        let take = if S::PANELS == 1 || left == 1 {
            1
        } else if left == 2 || left == 4 {
            2
        } else {
            3
        };
        unsafe {
            let part = Panels {
                at: panels.at.add(first / CHANNELS * panels.bytes),
                channels: (panels.channels - first).min(take * CHANNELS),
                ..panels
            };
            let out = out.add(first);
            match take {
                1 => column::<S, O, P, M, 1>(source, rows, part, out, stride),
                2 => column::<S, O, P, M, 2>(source, rows, part, out, stride),
                _ => column::<S, O, P, M, 3>(source, rows, part, out, stride),
            }
        }
        first += take * CHANNELS;
    }
}

/// All rows times `N` panels.
#[inline(always)]
unsafe fn column<S: Isa, O: Out, P: Source<S>, const M: usize, const N: usize>(
    source: &P,
    rows: Rows,
    panels: Panels,
    out: *mut O,
    stride: usize,
) {
    let mut done = 0;
    while done < rows.count {
        let count = (rows.count - done).min(M);
        // SAFETY: `count` ≥ 1 rows and their outputs exist from `done` on.
        unsafe {
            let rows = Rows { at: rows.at.add(done * rows.stride), count, ..rows };
            tile::<S, O, P, M, N>(source, rows, panels, out.add(done * stride), stride);
        }
        done += count;
    }
}

/// `rows.count` ≤ `M` rows (the last one repeated where there are fewer) times `N` panels.
#[inline(always)]
unsafe fn tile<S: Isa, O: Out, P: Source<S>, const M: usize, const N: usize>(
    source: &P,
    rows: Rows,
    panels: Panels,
    out: *mut O,
    stride: usize,
) {
    // SAFETY: offsets stay within the rows and panels that the caller vouches for.
    unsafe {
        let mut x = [rows.at; M];
        for (i, x) in x.iter_mut().enumerate() {
            *x = rows.at.add(i.min(rows.count - 1) * rows.stride);
        }
        let mut sums = [[S::splat(0); N]; M];
        for n in 0..N {
            let start = source.start(panels.at.add(n * panels.bytes));
            for sums in &mut sums {
                sums[n] = start;
            }
        }
        let mut w = panels.at.add(P::BODY);
        for group in 0..panels.groups {
            let mut weights = [S::weights(w); N];
            for (n, weights) in weights.iter_mut().enumerate().skip(1) {
                *weights = S::weights(w.add(n * panels.bytes));
            }
            for (x, sums) in x.iter().zip(&mut sums) {
                let x = S::input(x.add(4 * group));
                for (sum, &weights) in sums.iter_mut().zip(&weights) {
                    *sum = P::multiply(*sum, x, weights);
                }
            }
            w = w.add(GROUP);
        }
        // Sums stay in registers while they are indexed by constants only, so the loops over rows and panels in use, whose
        // lengths are not constant, read a copy.
        let mut done = [[MaybeUninit::<S::Acc>::uninit(); N]; M];
        for (done, sums) in done.iter_mut().zip(&sums) {
            for (done, &sum) in done.iter_mut().zip(sums) {
                done.write(sum);
            }
        }
        for n in 0..N {
            let factors = source.factors(panels.at.add(n * panels.bytes));
            let count = panels.channels.saturating_sub(n * CHANNELS).min(CHANNELS);
            for (i, done) in done.iter().enumerate().take(rows.count) {
                let sum = done[n].assume_init();
                O::store::<S>(S::scale(sum, factors), out.add(i * stride + n * CHANNELS), count);
            }
        }
    }
}
