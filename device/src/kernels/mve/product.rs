//! Products with every row count, channel count and factor, over the assembly of [`super::panel`].

use super::panel::{self, Call, Function, STEP};
use super::unrolled;
use ldae_shared::format::{Channel, Layout};

/// Rows of a product: vectors of [`STEP`] bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    /// The rows, the last one readable to a whole vector.
    pub bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Number of rows.
    pub count: usize,
}

/// Weights, keys or values in panels of four channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panels<'a> {
    /// Headers of layout `helium`.
    pub headers: &'a [u8],
    /// Bytes from one header to the next; 0 where all share one.
    pub header_step: usize,
    /// Bodies: for each vector of the rows one operand of each of the four channels.
    pub bodies: &'a [u8],
    /// Bytes from one body to the next.
    pub body_step: usize,
    /// Vectors of a row.
    pub steps: usize,
    /// Channels.
    pub outputs: usize,
}

/// The assembly for one kind of input and output.
#[derive(Clone, Copy)]
pub(super) struct Assembly<T> {
    requantised: Function,
    unrolled: fn(usize) -> Option<Function>,
    sums: Function,
    /// Bytes of one operand in a body.
    operand: usize,
    rule: fn(Channel, i32) -> T,
}

/// i8 rows to i8.
pub(super) const BYTES_TO_I8: Assembly<i8> = Assembly {
    requantised: panel::ldae_mve_bytes_to_i8,
    unrolled: unrolled::bytes_to_i8,
    sums: panel::ldae_mve_bytes_to_sums,
    operand: 16,
    rule: Channel::to_i8,
};
/// i8 rows to i16.
pub(super) const BYTES_TO_I16: Assembly<i16> = Assembly {
    requantised: panel::ldae_mve_bytes_to_i16,
    unrolled: unrolled::bytes_to_i16,
    sums: panel::ldae_mve_bytes_to_sums,
    operand: 16,
    rule: Channel::to_i16,
};
/// i16 rows to i8.
pub(super) const HALVES_TO_I8: Assembly<i8> = Assembly {
    requantised: panel::ldae_mve_halves_to_i8,
    unrolled: unrolled::halves_to_i8,
    sums: panel::ldae_mve_halves_to_sums,
    operand: 8,
    rule: Channel::to_i8,
};

/// Channels of a panel.
const CHANNELS: usize = Layout::Helium.channels();

/// Rows times panels, to out[row·stride + channel]. Nothing is done where a buffer is too short: the plan makes them
/// long enough.
pub(super) fn product<T: Copy>(asm: &Assembly<T>, x: Rows<'_>, w: Panels<'_>, out: &mut [T], stride: usize) {
    let panels = w.outputs.div_ceil(CHANNELS);
    let last = panels.saturating_sub(1);
    let body = w.steps * CHANNELS * asm.operand;
    let long_enough = x.count > 0
        && w.steps > 0
        && panels > 0
        && x.bytes.len() >= (x.count - 1) * x.stride + w.steps * STEP
        && w.headers.len() >= last * w.header_step + Layout::Helium.header()
        && w.bodies.len() >= last * w.body_step + body
        && out.len() >= (x.count - 1) * stride + w.outputs;
    if !long_enough {
        return;
    }
    let whole = w.outputs / CHANNELS;
    let mut panel = 0;
    while panel < panels {
        if panel < whole {
            let pairs = call(asm, x, w, panel, whole - panel);
            panel = whole - run(asm, &pairs, (x, w.steps), out, stride, panel);
        }
        if panel < panels {
            by_the_rule(asm, x, w, panel, out, stride);
            panel += 1;
        }
    }
}

/// A call for all row pairs without their output.
fn call<T>(asm: &Assembly<T>, x: Rows<'_>, w: Panels<'_>, panel: usize, panels: usize) -> Call {
    let inner = w.steps - 1;
    Call {
        out_row: 0,
        x_back: (2 * x.stride).wrapping_sub(w.steps * STEP),
        body_bytes: w.steps * CHANNELS * asm.operand,
        passes: inner.div_ceil(8),
        skip: inner.wrapping_neg() % 8,
        x: x.bytes.as_ptr(),
        x_row: x.stride,
        pairs: x.count / 2,
        header: w.headers.as_ptr().wrapping_add(panel * w.header_step),
        header_step: w.header_step,
        body: w.bodies.as_ptr().wrapping_add(panel * w.body_step),
        body_step: w.body_step,
        out: core::ptr::null_mut(),
        out_step: 0,
        panels,
    }
}

/// Requantised outputs of panels until the first without high factors; returns how many are left.
fn run<T>(
    asm: &Assembly<T>,
    call: &Call,
    (x, steps): (Rows<'_>, usize),
    out: &mut [T],
    stride: usize,
    panel: usize,
) -> usize {
    let out = out.as_mut_ptr().wrapping_add(panel * CHANNELS);
    let call = Call { out_row: stride * size_of::<T>(), out_step: CHANNELS * size_of::<T>(), ..*call };
    let mut left = 0;
    let dense = x.stride == steps * STEP && (x.bytes.as_ptr().addr() | call.body.addr()).is_multiple_of(4);
    let function = (asm.unrolled)(steps).filter(|_| dense).unwrap_or(asm.requantised);
    if x.count >= 2 {
        // SAFETY: `product` checked that rows, headers, bodies and output hold all that the call reaches.
        left = unsafe { function(&Call { out: out.cast(), ..call }) };
    }
    if x.count % 2 == 1 {
        // The last row as both rows of a pair.
        let out = out.wrapping_add((x.count - 1) * stride).cast();
        let x = x.bytes.as_ptr().wrapping_add((x.count - 1) * x.stride);
        // SAFETY: as above; strides of 0 keep to the last row.
        left = unsafe { (asm.requantised)(&Call { out, x, pairs: 1, x_row: 0, out_row: 0, ..call }) };
    }
    left
}

/// One panel by rule 3 as it is written: a factor out of VRMULH's reach, or fewer than four channels.
#[inline(never)]
fn by_the_rule<T: Copy>(asm: &Assembly<T>, x: Rows<'_>, w: Panels<'_>, panel: usize, out: &mut [T], stride: usize) {
    let header = w.headers.get(panel * w.header_step..).unwrap_or(&[]);
    let channels = (w.outputs - panel * CHANNELS).min(CHANNELS);
    for row in (0..x.count).step_by(2) {
        let mut sums = [[0i32; CHANNELS]; 2];
        let rows = (x.count - row).min(2);
        let call = Call {
            out: (&raw mut sums).cast(),
            out_row: size_of::<[i32; CHANNELS]>(),
            x: x.bytes.as_ptr().wrapping_add(row * x.stride),
            x_row: if rows == 2 { x.stride } else { 0 },
            pairs: 1,
            ..call(asm, x, w, panel, 1)
        };
        // SAFETY: `product` checked rows, header and body; the sums of a pair are eight words.
        unsafe { (asm.sums)(&call) };
        for (i, sums) in sums.iter().enumerate().take(rows) {
            let at = (row + i) * stride + panel * CHANNELS;
            let out = out.get_mut(at..at + channels).unwrap_or_default();
            for (c, (o, &sum)) in out.iter_mut().zip(sums).enumerate() {
                *o = (asm.rule)(channel(header, c), sum);
            }
        }
    }
}

/// Factor of channel `c` in a header; its bias is in the sums already.
fn channel(header: &[u8], c: usize) -> Channel {
    let at = 32 + 4 * c;
    let bytes = header.get(at..).and_then(|h| h.first_chunk::<4>()).map_or(0, |b| u32::from_le_bytes(*b));
    Channel { bias: 0, m: (bytes >> 16) as u16, t: bytes as u8 }
}
