//! Inputs times panels: what the assembly computes, and where its sums go.

use super::requantise::Scale;
use ldae_shared::format::{Layout, Linear};

/// Rows of a pass: two words an input.
pub(super) const ROWS: usize = 4;
/// Passes of one call: the rows of a chunk ([`super::Family::rows`]).
pub(super) const PASSES: usize = 2;
/// Runs of inputs that may differ in their groups (layout `two-lane`).
const SEGMENTS: usize = 64;
/// Results of a pass: of each channel the four rows.
pub(super) type Results = [[i32; ROWS]; 2];

/// What the assembly reads and writes. It knows the places of the fields, and moves `form`, `results` and `passes` on.
#[repr(C)]
struct Job {
    form: *const u32,
    weights: *const u8,
    results: *mut Results,
    /// Bytes of the form of four rows.
    bytes: usize,
    /// Start values of each channel: of the words and of the high lanes.
    start: [i32; 4],
    passes: usize,
    /// Rounding of each channel; where [`Scale::is_fast`] is false the results are the sums themselves.
    scales: [Scale; 2],
    /// Least and largest result.
    limits: [i32; 2],
    /// Where runs end, in bytes of the form: of groups of four, of two, of four, and so on up to `bytes`.
    runs: *const u32,
}

/// What the products are rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Inputs of a matrix product.
    I8,
    /// Residual stream.
    I16,
}

impl Output {
    const fn limits(self) -> [i32; 2] {
        match self {
            Output::I8 => [-127, 127],
            Output::I16 => [i16::MIN as i32, i16::MAX as i32],
        }
    }
}

#[cfg(all(target_arch = "arm", not(kernel_thumb)))]
unsafe extern "C" {
    fn ldae_two_lane_products_i8(job: *mut Job);
    fn ldae_two_lane_products_i16(job: *mut Job);
}

#[cfg(not(all(target_arch = "arm", not(kernel_thumb))))]
unsafe extern "C" {
    fn ldae_two_lane_products(job: *mut Job);
}

/// Runs the assembly; on Armv7-M the limits are in its instructions.
#[inline(always)]
unsafe fn run(job: *mut Job, output: Output) {
    #[cfg(all(target_arch = "arm", not(kernel_thumb)))]
    // SAFETY: the caller's.
    unsafe {
        match output {
            Output::I8 => ldae_two_lane_products_i8(job),
            Output::I16 => ldae_two_lane_products_i16(job),
        }
    }
    #[cfg(not(all(target_arch = "arm", not(kernel_thumb))))]
    // SAFETY: the caller's.
    unsafe {
        let _ = output;
        ldae_two_lane_products(job);
    }
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
    output: Output,
    job: Job,
    results: [Results; PASSES],
    runs: [u32; SEGMENTS + 1],
    /// Octets of inputs in groups of two.
    twos: i32,
}

impl<'a> Products<'a> {
    /// `form` holds at least the first `count` rows of `inputs` values; `None` where it does not, or there is nothing.
    #[inline(always)]
    pub(super) fn new(form: &'a [u32], inputs: usize, count: usize, output: Output) -> Option<Self> {
        let (inputs, passes) = (padded(inputs), count.div_ceil(ROWS).min(PASSES));
        let form = form.get(..passes * 2 * inputs).filter(|f| !f.is_empty())?;
        let job = Job {
            form: form.as_ptr(),
            weights: core::ptr::null(),
            results: core::ptr::null_mut(),
            bytes: 8 * inputs,
            start: [0; 4],
            passes,
            scales: [Scale::new(0, 0); 2],
            limits: output.limits(),
            runs: core::ptr::null(),
        };
        let results = [[[0; ROWS]; 2]; PASSES];
        Some(Products { form, inputs, passes, output, job, results, runs: [0; SEGMENTS + 1], twos: 0 })
    }

    /// Sets the groups of the next panels: bits of the segments whose groups are of two.
    #[inline(always)]
    pub(super) fn group(&mut self, segments: [u32; 2]) {
        if segments == [0; 2] {
            self.runs[0] = 8 * self.inputs as u32;
            self.twos = 0;
        } else {
            self.group_slowly(segments);
        }
    }

    #[inline(never)]
    fn group_slowly(&mut self, [low, high]: [u32; 2]) {
        let bytes = 8 * self.inputs as u32;
        let step = 64 * bytes.div_ceil(64 * SEGMENTS as u32);
        // Bits of the segments with which another run begins.
        let changes = [low ^ (low << 1), high ^ (high << 1 | low >> 31)];
        let mut ends = self.runs.iter_mut();
        // Runs of two so far: each change takes what was counted from where it is, so that every second run remains.
        let (mut twos, mut odd) = (0, false);
        for (mut changes, first) in changes.into_iter().zip([0, 32 * step]) {
            let mut at = first;
            while changes != 0 && at < bytes {
                if changes & 1 != 0 {
                    let Some(end) = ends.next() else { break };
                    *end = at;
                    twos = at - twos;
                    odd = !odd;
                }
                changes >>= 1;
                at += step;
            }
        }
        if let Some(end) = ends.next() {
            *end = bytes;
        }
        self.twos = if odd { bytes - twos } else { twos } as i32 / 64;
    }

    /// Results of all rows with a panel's weights, in the groups of [`Products::group`]. Where one of the scales is not
    /// fast, the rounding is left to the caller.
    #[inline(always)]
    pub(super) fn panel(&mut self, weights: &[u8], biases: [i32; 2], scales: [Scale; 2]) -> &[Results] {
        if weights.len() != 2 * self.inputs {
            return &[];
        }
        // The words' sum has the high lane's in its upper half, and 2^15 of every group: two or four of eight inputs.
        let offset = ((self.inputs as i32) << 13) + (self.twos << 16);
        let word = |bias: i32| bias.wrapping_sub(offset).wrapping_add(bias << 16);
        self.job.form = self.form.as_ptr();
        self.job.weights = weights.as_ptr();
        self.job.results = self.results.as_mut_ptr();
        self.job.start = [word(biases[0]), biases[0], word(biases[1]), biases[1]];
        self.job.passes = self.passes;
        self.job.scales = scales;
        self.job.runs = self.runs.as_ptr();
        // SAFETY: `form` has `passes` × 2 × `inputs` words, `weights` 2 × `inputs` bytes, `inputs` is a positive multiple of
        // eight, `results` has room for PASSES ≥ `passes`, and `runs` are ascending multiples of 64 that end at `bytes`.
        unsafe { run(&raw mut self.job, self.output) };
        self.results.get(..self.passes).unwrap_or(&[])
    }
}

/// Where results go: `count` rows of `stride` values.
pub(super) struct Table<'a, T> {
    out: &'a mut [T],
    count: usize,
    stride: usize,
}

impl<'a, T: Copy> Table<'a, T> {
    /// `None` where `out` is too short.
    #[inline(always)]
    pub(super) fn new(out: &'a mut [T], count: usize, stride: usize) -> Option<Self> {
        (out.len() >= count * stride).then_some(Table { out, count, stride })
    }

    /// Writes the two columns from `column`, the second one where there is one.
    #[inline(always)]
    pub(super) fn place(&mut self, results: &[Results], column: usize, cast: impl Fn(usize, i32) -> T) {
        let (mut rest, mut row) = (results, 0);
        if column + 1 < self.stride {
            let mut at = self.out.as_mut_ptr().wrapping_add(column);
            while row + ROWS <= self.count
                && let Some(([first, second], behind)) = rest.split_first()
            {
                for (&a, &b) in first.iter().zip(second) {
                    // SAFETY: this row is before `count`, and two columns from `column` on are in it; `out` has `count` rows.
                    unsafe {
                        *at = cast(0, a);
                        *at.wrapping_add(1) = cast(1, b);
                    }
                    at = at.wrapping_add(self.stride);
                }
                (rest, row) = (behind, row + ROWS);
            }
        }
        if !rest.is_empty() && row < self.count {
            self.place_some(rest, row, column, cast);
        }
    }

    /// [`Table::place`] where rows or the second column are absent.
    #[cold]
    #[inline(never)]
    fn place_some(&mut self, results: &[Results], first: usize, column: usize, cast: impl Fn(usize, i32) -> T) {
        for (pass, results) in results.iter().enumerate() {
            for (c, results) in results.iter().enumerate().take(self.stride.saturating_sub(column)) {
                for (row, &result) in (first + ROWS * pass..self.count).zip(results) {
                    if let Some(o) = self.out.get_mut(row * self.stride + column + c) {
                        *o = cast(c, result);
                    }
                }
            }
        }
    }
}

/// Rows times a layer; `cast` cuts a result, `round` rounds a sum for a factor that the assembly leaves alone.
#[inline(always)]
pub(super) fn linear<T: Copy>(
    (form, count): (&[u8], usize),
    layer: &Linear<'_>,
    (output, out): (Output, &mut [T]),
    cast: impl Fn(i32) -> T,
    round: impl Fn(Scale, i32) -> T,
) {
    let Ok(form) = bytemuck::try_cast_slice::<u8, u32>(form) else { return };
    let Some(mut products) = Products::new(form, layer.inputs, count, output) else { return };
    let Some(mut table) = Table::new(out, count, layer.outputs()) else { return };
    let (mut rest, mut column) = (layer.weights, 0);
    while let Some((panel, behind)) = rest.split_at_checked(Layout::TwoLane.panel_bytes(layer.inputs)) {
        rest = behind;
        let Some((header, weights)) = panel.split_at_checked(Layout::TwoLane.header()) else { return };
        let Ok(&[bias0, bias1, high0, high1, factor0, factor1, low, high]) = bytemuck::try_cast_slice(header) else {
            return;
        };
        products.group([low as u32, high as u32]);
        let scales = [Scale::new(high0, factor0), Scale::new(high1, factor1)];
        if scales[0].is_fast() && scales[1].is_fast() {
            table.place(products.panel(weights, [bias0, bias1], scales), column, |_, v| cast(v));
        } else {
            let sums = products.panel(weights, [bias0, bias1], [Scale::NONE; 2]);
            table.place(sums, column, |c, v| round(scales[c & 1], v));
        }
        column += 2;
    }
}
