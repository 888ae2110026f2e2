//! Cores without SIMD (RV32IM, Cortex-M0, M3): one multiplication makes two products.
//!
//! A word holds the inputs of two rows, x_hi·2^16 + x_lo. Its products with the weights of a few neighbouring inputs are
//! added in one word that starts at 2^15; then the upper half is the exact sum of the high lane (rounded down, the low lane
//! and 2^15 together stay below 2^16) and is added to that row's sum. The low lane needs no extraction: the words
//! themselves are added modulo 2^32, and once at the end the high lane is taken away. How many inputs make a group: see
//! the layout `two-lane` for weights; two for queries by keys (2·127·127 < 2^15). Probabilities have 15 bits and are
//! multiplied one by one.
//!
//! Forms: inputs u32 [rows/4, inputs, 2], rows 0 and 1 in the first word, 2 and 3 in the second; keys as panels of the
//! layout without header, two tokens each; values i8 [N, W/H], both padded to multiples of four with zeros.

#[cfg(kernel_thumb)]
mod armv6m;
#[cfg(all(target_arch = "arm", not(kernel_thumb)))]
mod armv7m;
mod requantise;
#[cfg(target_arch = "riscv32")]
mod riscv;

use super::{Family, HeadRows, HeadShape, Input, Kernel};
use ldae_shared::fixed::{Factor, NormToken};
use ldae_shared::format::{Layout, Linear};
use requantise::{Scale, to_i8, to_i16};

/// The kernel for cores without SIMD.
#[derive(Clone, Copy, Debug)]
pub struct TwoLane;

/// Rows of a pass.
const ROWS: usize = 4;
/// Passes of one call.
const PASSES: usize = 2;
/// Sums of a pass: channel 0 of the four rows, then channel 1.
type Sums = [i32; 2 * ROWS];

/// What the products read and write; the assembly knows the places of the fields and moves `form`, `sums` and `passes` on.
#[repr(C)]
struct Job {
    form: *const u32,
    weights: *const u8,
    sums: *mut Sums,
    /// Bytes of the form of four rows.
    bytes: usize,
    /// Start values of each channel: of the words and of the high lanes.
    start: [i32; 4],
    passes: usize,
}

unsafe extern "C" {
    fn ldae_two_lane_groups_of_4(job: *mut Job);
    fn ldae_two_lane_groups_of_2(job: *mut Job);
    fn ldae_two_lane_weighted(
        probabilities: *const u32,
        values: *const u8,
        stride: usize,
        end: *const u32,
        sums: *mut [i32; 4 * ROWS],
    );
}

/// Inputs with padding.
const fn padded(inputs: usize) -> usize {
    Layout::TwoLane.padded(inputs)
}

/// Products of up to two passes with one panel; `form` holds them, `group` is 4 or 2. The number of passes done.
fn products(form: &[u32], weights: &[u8], biases: [i32; 2], group: i32, sums: &mut [Sums; PASSES]) -> usize {
    let inputs = weights.len() / 2;
    let passes = (form.len() / (2 * inputs).max(1)).min(PASSES);
    if passes == 0 || !inputs.is_multiple_of(8) {
        return 0;
    }
    // The words' sum has the high lane's in its upper half, and 2^15 of every group.
    let offset = if group == 4 { inputs as i32 >> 2 } else { inputs as i32 >> 1 } << 15;
    let word = |bias: i32| bias.wrapping_sub(offset).wrapping_add(bias << 16);
    let start = [word(biases[0]), biases[0], word(biases[1]), biases[1]];
    let mut job = Job {
        form: form.as_ptr(),
        weights: weights.as_ptr(),
        sums: sums.as_mut_ptr(),
        bytes: 8 * inputs,
        start,
        passes,
    };
    // SAFETY: `form` has `passes` × 2 × `inputs` words, `weights` 2 × `inputs` bytes, `sums` room for PASSES results.
    unsafe {
        if group == 4 {
            ldae_two_lane_groups_of_4(&raw mut job);
        } else {
            ldae_two_lane_groups_of_2(&raw mut job);
        }
    }
    passes
}

/// Four rows (absent ones may be anything) to words.
fn interleave(rows: [&[i8]; ROWS], form: &mut [u32]) {
    let width = rows[0].len();
    let (words, _) = form.as_chunks_mut::<2>();
    let [a, b, c, d] = rows;
    let (words, padding) = words.split_at_mut(width.min(words.len()));
    for ((((word, &a), &b), &c), &d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        let two = |low: i8, high: i8| (i32::from(high) << 16).wrapping_add(i32::from(low)) as u32;
        *word = [two(a, b), two(c, d)];
    }
    padding.fill([0; 2]);
}

/// A panel of a layer: header, weights.
fn panel(panel: &[u8]) -> Option<(&[i32; 8], &[u8])> {
    let (header, weights) = panel.split_at_checked(Layout::TwoLane.header())?;
    let header: &[i32] = bytemuck::try_cast_slice(header).ok()?;
    Some((header.first_chunk::<8>()?, weights))
}

/// Rows [count, inputs] times a layer.
#[inline(always)]
fn linear<T>(x: Input<'_>, layer: &Linear<'_>, out: &mut [T], requantise: impl Fn(Scale, i32) -> T + Copy) {
    let Ok(form) = bytemuck::try_cast_slice::<u8, u32>(x.form) else { return };
    let form = form.get(..x.count.div_ceil(ROWS) * 2 * padded(layer.inputs)).unwrap_or(&[]);
    let outputs = layer.outputs();
    for (p, (header, weights)) in layer.panels().filter_map(panel).enumerate() {
        let &[bias0, bias1, high0, high1, factor0, factor1, group, _] = header;
        let scales = [Scale::new(high0, factor0), Scale::new(high1, factor1)];
        let call = PASSES * 2 * padded(layer.inputs);
        for (form, out) in form.chunks(call.max(1)).zip(out.chunks_mut((PASSES * ROWS * outputs).max(1))) {
            let mut sums = [[0; 2 * ROWS]; PASSES];
            products(form, weights, [bias0, bias1], group, &mut sums);
            place(&sums, scales, out, outputs, 2 * p, requantise);
        }
    }
}

/// Writes the two columns from `column` of rows of `stride` values.
#[inline(always)]
fn place<T>(
    sums: &[Sums; PASSES],
    scales: [Scale; 2],
    out: &mut [T],
    stride: usize,
    column: usize,
    requantise: impl Fn(Scale, i32) -> T,
) {
    let pair = column + 1 < stride;
    for (sums, out) in sums.iter().zip(out.chunks_mut((ROWS * stride).max(1))) {
        let (low, high) = sums.split_at(ROWS);
        for ((out, &a), &b) in out.chunks_exact_mut(stride.max(1)).zip(low).zip(high) {
            if pair {
                if let Some([x, y]) = out.get_mut(column..column + 2) {
                    *x = requantise(scales[0], a);
                    *y = requantise(scales[1], b);
                }
            } else if let Some(x) = out.get_mut(column) {
                *x = requantise(scales[0], a);
            }
        }
    }
}

impl Kernel for TwoLane {
    const FAMILY: Family = Family::TwoLane;

    fn prepare(rows: &[i8], width: usize, form: &mut [u8]) {
        let Ok(form) = bytemuck::try_cast_slice_mut::<u8, u32>(form) else { return };
        for (rows, form) in rows.chunks((ROWS * width).max(1)).zip(form.chunks_exact_mut((2 * padded(width)).max(1))) {
            let first = rows.get(..width).unwrap_or(&[]);
            let row = |i: usize| rows.get(i * width..(i + 1) * width).unwrap_or(first);
            interleave([first, row(1), row(2), row(3)], form);
        }
    }

    fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
        linear(x, layer, out, to_i8);
    }

    fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
        linear(x, layer, out, to_i16);
    }

    fn store_keys(rows: &[i8], first: usize, head: HeadShape, keys: &mut [u8]) {
        let panel = 2 * padded(head.width);
        for (i, row) in rows.chunks_exact(head.width.max(1)).enumerate() {
            let token = first + i;
            let at = (token / 2) * panel + 4 * (token % 2);
            let Some(keys) = keys.get_mut(at..(token / 2 + 1) * panel) else { return };
            for (key, quad) in keys.chunks_mut(8).zip(bytemuck::cast_slice::<i8, u8>(row).chunks(4)) {
                if let Some(key) = key.get_mut(..quad.len()) {
                    key.copy_from_slice(quad);
                }
            }
        }
    }

    fn store_values(rows: &[i8], first: usize, head: HeadShape, values: &mut [u8]) {
        let stride = head.width.next_multiple_of(4);
        let values = values.chunks_exact_mut(stride.max(1)).skip(first);
        for (row, value) in rows.chunks_exact(head.width.max(1)).zip(values) {
            if let Some(value) = value.get_mut(..row.len()) {
                value.copy_from_slice(bytemuck::cast_slice(row));
            }
        }
    }

    fn logits(q: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, work: &mut [u8], out: &mut [i8]) {
        let Ok(form) = bytemuck::try_cast_slice_mut::<u8, u32>(work) else { return };
        let Some(form) = form.get_mut(..2 * padded(head.width)) else { return };
        let mut queries = q.iter_mut(head.width).map(|row| &*row);
        let Some(first) = queries.next() else { return };
        let mut row = || queries.next().unwrap_or(first);
        interleave([first, row(), row(), row()], form);
        let scale = Scale::of(factor);
        for (p, keys) in keys.chunks_exact((2 * padded(head.width)).max(1)).enumerate() {
            let mut sums = [[0; 2 * ROWS]; PASSES];
            products(form, keys, [0; 2], 2, &mut sums);
            place(&sums, [scale; 2], out, head.tokens, 2 * p, to_i8);
        }
    }

    fn weighted_values(
        probabilities: &[u16],
        head: HeadShape,
        values: &[u8],
        factor: Factor,
        work: &mut [u8],
        out: &mut HeadRows<'_>,
    ) {
        let tokens = head.tokens.next_multiple_of(4);
        let stride = head.width.next_multiple_of(4);
        let Ok(form) = bytemuck::try_cast_slice_mut::<u8, u32>(work) else { return };
        let Some(form) = form.get_mut(..ROWS * tokens) else { return };
        if values.len() < tokens * stride {
            return;
        }
        form.fill(0);
        for (i, row) in probabilities.chunks_exact(head.tokens.max(1)).take(ROWS).enumerate() {
            for (slot, &p) in form.iter_mut().skip(i).step_by(ROWS).zip(row) {
                *slot = u32::from(p);
            }
        }
        let scale = Scale::of(factor);
        for (column, values) in (0..head.width).step_by(4).zip(values.chunks(4)) {
            let mut sums = [0; 4 * ROWS];
            let range = form.as_ptr_range();
            // SAFETY: `form` has `tokens` × 4 values; `values` starts less than `stride` behind the start of `tokens` rows.
            unsafe { ldae_two_lane_weighted(range.start, values.as_ptr(), stride, range.end, &raw mut sums) };
            for (i, out) in out.iter_mut(head.width).enumerate() {
                if let Some(out) = out.get_mut(column..) {
                    for (o, &sum) in out.iter_mut().zip(sums.iter().skip(i).step_by(ROWS)) {
                        *o = to_i8(scale, sum);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
        let Some(factor) = token.factor else { return out.fill(0) };
        let scale = Scale::of(factor);
        for (o, &x) in out.iter_mut().zip(row) {
            *o = to_i8(scale, i32::from(x) * 128 - token.mean128);
        }
    }
}
