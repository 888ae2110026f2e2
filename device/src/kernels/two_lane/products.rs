//! Inputs times panels: what the assembly computes, and where its sums go.

use super::requantise::Scale;
use ldae_shared::format::{Layout, Linear};

/// Rows of a pass: two words an input.
pub(super) const ROWS: usize = 4;
/// Passes of one call: the rows of a chunk ([`super::Family::rows`]).
pub(super) const PASSES: usize = 2;
/// Sums of a pass: of each channel the four rows.
pub(super) type Sums = [[i32; ROWS]; 2];

/// What the assembly reads and writes. It knows the places of the fields, and moves `form`, `sums` and `passes` on.
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
}

/// Inputs with padding.
pub(super) const fn padded(inputs: usize) -> usize {
    Layout::TwoLane.padded(inputs)
}

/// Bytes of a panel's weights.
pub(super) const fn weight_bytes(inputs: usize) -> usize {
    2 * padded(inputs)
}

/// Multiplies the same rows by one panel after the other.
pub(super) struct Products<'a> {
    form: &'a [u32],
    inputs: usize,
    passes: usize,
    sums: [Sums; PASSES],
}

impl<'a> Products<'a> {
    /// `form` holds at least the first `count` rows of `inputs` values; `None` where it does not, or there is nothing.
    pub(super) fn new(form: &'a [u32], inputs: usize, count: usize) -> Option<Self> {
        let (inputs, passes) = (padded(inputs), count.div_ceil(ROWS).min(PASSES));
        let form = form.get(..passes * 2 * inputs).filter(|f| !f.is_empty())?;
        Some(Products { form, inputs, passes, sums: [[[0; ROWS]; 2]; PASSES] })
    }

    /// Sums of all rows with a panel's weights; `group` is 4 where the weights allow it, else 2.
    #[inline(always)]
    pub(super) fn panel(&mut self, weights: &[u8], biases: [i32; 2], group: i32) -> &[Sums] {
        if weights.len() != 2 * self.inputs {
            return &[];
        }
        // The words' sum has the high lane's in its upper half, and 2^15 of every group.
        let offset = (self.inputs as i32) << if group == 4 { 13 } else { 14 };
        let word = |bias: i32| bias.wrapping_sub(offset).wrapping_add(bias << 16);
        let mut job = Job {
            form: self.form.as_ptr(),
            weights: weights.as_ptr(),
            sums: self.sums.as_mut_ptr(),
            bytes: 8 * self.inputs,
            start: [word(biases[0]), biases[0], word(biases[1]), biases[1]],
            passes: self.passes,
        };
        // SAFETY: `form` has `passes` × 2 × `inputs` words, `weights` 2 × `inputs` bytes, `inputs` is a positive multiple of
        // eight, and `sums` has room for PASSES ≥ `passes` results.
        unsafe {
            if group == 4 {
                ldae_two_lane_groups_of_4(&raw mut job);
            } else {
                ldae_two_lane_groups_of_2(&raw mut job);
            }
        }
        self.sums.get(..self.passes).unwrap_or(&[])
    }
}

/// Writes two columns of `count` rows of `stride` values, from column `column`.
#[inline(always)]
pub(super) fn place<T: Copy>(
    sums: &[Sums],
    out: &mut [T],
    (count, stride, column): (usize, usize, usize),
    requantise: impl Fn(usize, i32) -> T,
) {
    let mut start = column;
    for (pass, [first, second]) in sums.iter().enumerate() {
        if ROWS * pass + ROWS <= count && column + 1 < stride && start + 3 * stride + 1 < out.len() {
            let mut at = out.as_mut_ptr().wrapping_add(start);
            for (&a, &b) in first.iter().zip(second) {
                // SAFETY: the last of the four rows ends at `start` + 3 × `stride` + 1, inside `out`.
                unsafe {
                    *at = requantise(0, a);
                    *at.wrapping_add(1) = requantise(1, b);
                }
                at = at.wrapping_add(stride);
            }
        } else {
            careful(pass, [first, second], out, (count, stride, column), &requantise);
        }
        start += ROWS * stride;
    }
}

/// [`place`] of one pass where rows or the second column are absent.
#[cold]
#[inline(never)]
fn careful<T>(
    pass: usize,
    sums: [&[i32; ROWS]; 2],
    out: &mut [T],
    (count, stride, column): (usize, usize, usize),
    requantise: impl Fn(usize, i32) -> T,
) {
    for (c, sums) in sums.into_iter().enumerate().take(stride.saturating_sub(column)) {
        for (row, &sum) in (ROWS * pass..count).zip(sums) {
            if let Some(o) = out.get_mut(row * stride + column + c) {
                *o = requantise(c, sum);
            }
        }
    }
}

/// Rows times a layer. `fast` and `any` are the same rounding; `fast` is used where both channels' factors allow it.
#[inline(always)]
pub(super) fn linear<T: Copy>(
    (form, count): (&[u8], usize),
    layer: &Linear<'_>,
    out: &mut [T],
    fast: impl Fn(Scale, i32) -> T,
    any: impl Fn(Scale, i32) -> T,
) {
    let Ok(form) = bytemuck::try_cast_slice::<u8, u32>(form) else { return };
    let Some(mut products) = Products::new(form, layer.inputs, count) else { return };
    let (mut rest, mut column) = (layer.weights, 0);
    while let Some((panel, behind)) = rest.split_at_checked(Layout::TwoLane.panel_bytes(layer.inputs)) {
        rest = behind;
        let Some((header, weights)) = panel.split_at_checked(Layout::TwoLane.header()) else { return };
        let Ok(&[bias0, bias1, high0, high1, factor0, factor1, group, _]) = bytemuck::try_cast_slice(header) else {
            return;
        };
        let scales = [Scale::new(high0, factor0), Scale::new(high1, factor1)];
        let sums = products.panel(weights, [bias0, bias1], group);
        let shape = (count, layer.outputs(), column);
        if scales[0].is_fast() && scales[1].is_fast() {
            place(sums, out, shape, |c, v| fast(scales[c & 1], v));
        } else {
            place(sums, out, shape, |c, v| any(scales[c & 1], v));
        }
        column += 2;
    }
}
