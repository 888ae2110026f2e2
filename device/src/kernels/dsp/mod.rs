//! Cortex-M with the DSP extension (M4, M7, M33): two rows against panels of four channels, in assembly.
//!
//! Inputs are i16, two rows interleaved: for inputs k..k+4 the words x0(k, k+2), x1(k, k+2), x0(k+1, k+3), x1(k+1, k+3). Keys
//! and values are kept as panel bodies of layout `pairs`, so that attention runs through the same product. What pads a
//! row to sixteen inputs may be anything, since the weights there are zero.
#![allow(unsafe_code)]

mod panel;
mod simd;
mod vector;

use super::{Family, HeadRows, HeadShape, Input, Kernel};
use ldae_shared::fixed::{Factor, NormToken};
use ldae_shared::format::{Block, Channel, Layout, Linear};
use panel::{Call, ldae_dsp_panel_i8, ldae_dsp_panel_i16};

/// The DSP kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dsp;

/// Bytes of a panel's header.
const HEADER: usize = Layout::Pairs.header();

/// Type of an output: i8 or i16.
trait Output: Copy + Default {
    /// The assembly.
    const RUN: unsafe extern "C" fn(*mut Call);
    /// Rule 3 with the type's saturation.
    fn requantise(channel: Channel, acc: i32) -> Self;
}

impl Output for i8 {
    const RUN: unsafe extern "C" fn(*mut Call) = ldae_dsp_panel_i8;
    fn requantise(channel: Channel, acc: i32) -> Self {
        channel.to_i8(acc)
    }
}

impl Output for i16 {
    const RUN: unsafe extern "C" fn(*mut Call) = ldae_dsp_panel_i16;
    fn requantise(channel: Channel, acc: i32) -> Self {
        channel.to_i16(acc)
    }
}

/// Panels for one product.
#[derive(Clone, Copy)]
struct Panels<'a> {
    /// Header of the first panel, then its body and the next header; or bodies alone.
    bytes: &'a [u8],
    /// The one header of bodies that stand alone.
    shared: Option<&'a [i32; 12]>,
    /// Padded inputs.
    inputs: usize,
    /// Output channels.
    outputs: usize,
}

impl Panels<'_> {
    fn panel_bytes(&self) -> usize {
        4 * self.inputs + if self.shared.is_some() { 0 } else { HEADER }
    }
}

/// `rows` rows in the kernel's form times `panels`, to out[row·stride + channel]. False, and nothing done, where a buffer is
/// too short (the engine's plan makes them long enough).
fn product<T: Output>(x: &[u8], rows: usize, panels: Panels<'_>, out: &mut [T], stride: usize) -> bool {
    let whole = panels.outputs / 4;
    let rest = panels.outputs % 4;
    let panel_bytes = panels.panel_bytes();
    let long_enough = x.len() >= rows.next_multiple_of(2) * panels.inputs * 2
        && panels.bytes.len() >= panels.outputs.div_ceil(4) * panel_bytes
        && rows > 0
        && out.len() >= (rows - 1) * stride + panels.outputs
        && panels.inputs > 0
        && panels.inputs.is_multiple_of(16);
    if !long_enough {
        return false;
    }
    if whole > 0 {
        run(x, rows, panels, whole, out, stride);
    }
    if rest > 0 {
        // Four channels of up to eight rows, of which the last panel fills a part.
        let mut corner = [T::default(); 4 * Family::Dsp.rows()];
        let last = Panels { bytes: panels.bytes.get(whole * panel_bytes..).unwrap_or(&[]), outputs: rest, ..panels };
        if rows * 4 > corner.len() {
            return false;
        }
        run(x, rows, last, 1, &mut corner, 4);
        for (row, corner) in corner.chunks_exact(4).take(rows).enumerate() {
            let at = row * stride + 4 * whole;
            if let (Some(out), Some(corner)) = (out.get_mut(at..at + rest), corner.get(..rest)) {
                out.copy_from_slice(corner);
            }
        }
    }
    true
}

/// Whole panels. Lengths were checked by [`product`].
fn run<T: Output>(x: &[u8], rows: usize, panels: Panels<'_>, count: usize, out: &mut [T], stride: usize) {
    let header = panels.shared.map_or(panels.bytes.as_ptr(), |h| h.as_ptr().cast());
    let (gap, offset) = if panels.shared.is_some() { (0, 0) } else { (HEADER, HEADER) };
    let header_step = if panels.shared.is_some() { 0 } else { panels.panel_bytes() };
    let start = |row: usize, pairs: usize, stride: usize, out: *mut T| Call {
        x: x.as_ptr().wrapping_add(row * panels.inputs * 2),
        body: panels.bytes.as_ptr().wrapping_add(offset),
        header,
        out: out.cast(),
        stride: stride * size_of::<T>(),
        pairs,
        panels: count,
        k16: panels.inputs / 16,
        header_step,
        body_gap: gap,
    };
    let out_pointer = out.as_mut_ptr();
    if rows >= 2 {
        let mut call = start(0, rows / 2, stride, out_pointer);
        // SAFETY: `product` checked that x, panels and out hold what the call reads and writes.
        unsafe { T::RUN(&mut call) };
    }
    if rows % 2 == 1 {
        let mut call = start(rows - 1, 1, 0, out_pointer.wrapping_add((rows - 1) * stride));
        // SAFETY: as above; with stride 0 both rows of the pair go to the last row, row 0 last.
        unsafe { T::RUN(&mut call) };
    }
}

/// A layer whose panels all have high factors runs at once; the others panel by panel.
fn linear<T: Output>(x: Input<'_>, layer: &Linear<'_>, out: &mut [T]) {
    let (inputs, outputs) = (Layout::Pairs.padded(layer.inputs), layer.outputs());
    let panels = Panels { bytes: layer.weights, shared: None, inputs, outputs };
    if layer.panels().all(has_high_factors) {
        product(x.form, x.count, panels, out, outputs);
        return;
    }
    for (i, panel) in layer.panels().enumerate() {
        let width = (outputs - 4 * i).min(4);
        if has_high_factors(panel) {
            let one = Panels { bytes: panel, outputs: width, ..panels };
            if let Some(out) = out.get_mut(4 * i..) {
                product(x.form, x.count, one, out, outputs);
            }
        } else {
            by_the_rule(x, layer, 4 * i..4 * i + width, out);
        }
    }
}

/// True where no high factor of a panel is missing.
fn has_high_factors(panel: &[u8]) -> bool {
    let words = panel.get(16..32).unwrap_or(&[]).as_chunks::<4>().0;
    !words.is_empty() && words.iter().all(|w| *w != [0; 4])
}

/// Some channels by rule 3 as it is written.
#[inline(never)]
fn by_the_rule<T: Output>(x: Input<'_>, layer: &Linear<'_>, channels: core::ops::Range<usize>, out: &mut [T]) {
    let padded = Layout::Pairs.padded(layer.inputs);
    for j in channels {
        let channel = layer.channel(j);
        for row in 0..x.count {
            let mut acc = channel.bias;
            for k in 0..layer.inputs {
                acc += simd::input(x.form, padded, row, k) * i32::from(layer.weight(j, k));
            }
            if let Some(o) = out.get_mut(row * layer.outputs() + j) {
                *o = T::requantise(channel, acc);
            }
        }
    }
}

/// The header of keys or values: no bias, one factor. `None` without a high factor.
fn shared_header(factor: Factor) -> Option<[i32; 12]> {
    let high = factor.high()?;
    Some([0, 0, 0, 0, high, high, high, high, 0, 0, 0, 0])
}

impl Kernel for Dsp {
    const FAMILY: Family = Family::Dsp;

    fn prepare(rows: &[i8], width: usize, form: &mut [u8]) {
        let pair_bytes = 4 * Layout::Pairs.padded(width);
        for (rows, form) in rows.chunks((2 * width).max(1)).zip(form.chunks_exact_mut(pair_bytes.max(1))) {
            let (x0, x1) = rows.split_at_checked(width).unwrap_or((rows, &[]));
            simd::pair(x0, if x1.is_empty() { x0 } else { x1 }, form);
        }
    }

    fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
        linear(x, layer, out);
    }

    fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
        linear(x, layer, out);
    }

    fn store_keys(rows: &[i8], first: usize, head: HeadShape, keys: &mut [u8]) {
        let padded = Layout::Pairs.padded(head.width);
        let bodies = keys.chunks_exact_mut((4 * padded).max(1)).skip(first / 4);
        for (rows, body) in rows.chunks(4 * head.width.max(1)).zip(bodies) {
            simd::four_channels(rows, head.width, body);
        }
    }

    fn store_values(rows: &[i8], first: usize, head: HeadShape, values: &mut [u8]) {
        let padded = Layout::Pairs.padded(head.tokens);
        for (i, rows) in rows.chunks(4 * head.width.max(1)).enumerate() {
            let at = 4 * (first + 4 * i);
            for (panel, body) in values.chunks_exact_mut((4 * padded).max(1)).enumerate() {
                if let Some(words) = body.get_mut(at..at + 16) {
                    simd::four_inputs(rows, head.width, 4 * panel, words);
                }
            }
        }
    }

    fn logits(q: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, work: &mut [u8], out: &mut [i8]) {
        let padded = Layout::Pairs.padded(head.width);
        let Some(form) = work.get_mut(..4 * padded) else { return };
        let mut rows = q.iter_mut(head.width);
        let Some(x0) = rows.next() else { return };
        let x1 = rows.next();
        let count = 1 + usize::from(x1.is_some());
        simd::pair(x0, x1.as_deref().unwrap_or(x0), form);
        let panels = Panels { bytes: keys, shared: None, inputs: padded, outputs: head.tokens };
        scores(form, count, panels, factor, out, head.tokens);
    }

    fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
        vector::softmax(block, logits, probabilities);
    }

    fn weighted_values(
        probabilities: &[u16],
        head: HeadShape,
        values: &[u8],
        factor: Factor,
        work: &mut [u8],
        out: &mut HeadRows<'_>,
    ) {
        let padded = Layout::Pairs.padded(head.tokens);
        let Some(form) = work.get_mut(..4 * padded) else { return };
        let (p0, p1) = probabilities.split_at_checked(head.tokens).unwrap_or((probabilities, &[]));
        let count = 1 + usize::from(!p1.is_empty());
        simd::probability_pair(p0, if p1.is_empty() { p0 } else { p1 }, form);
        let panels = Panels { bytes: values, shared: None, inputs: padded, outputs: head.width };
        let stride = out.stride;
        let Some(out) = out.rows.get_mut(out.column..) else { return };
        scores(form, count, panels, factor, out, stride);
    }

    fn sums(row: &[i16]) -> (i32, u64) {
        vector::sums(row)
    }

    fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
        vector::normalise(row, token, out);
    }

    const NORMALISES_FORM: bool = true;

    fn normalise_pair(rows: [&[i16]; 2], tokens: [NormToken; 2], form: &mut [u8]) {
        vector::normalise_pair(rows, tokens, form);
    }

    fn restore(form: &[u8], width: usize, rows: &mut [i8]) {
        let padded = Layout::Pairs.padded(width);
        for (row, out) in rows.chunks_exact_mut(width.max(1)).enumerate() {
            out.iter_mut().enumerate().for_each(|(k, o)| *o = simd::input(form, padded, row, k) as i8);
        }
    }

    fn gelu(block: &Block<'_>, codes: &mut [i8]) {
        vector::gelu(block, codes);
    }

    fn add(stream: &mut [i16], branch: &[i16]) {
        vector::add(stream, branch);
    }
}

/// Products with panel bodies that share one factor.
fn scores(form: &[u8], count: usize, panels: Panels<'_>, factor: Factor, out: &mut [i8], stride: usize) {
    if let Some(header) = shared_header(factor) {
        product(form, count, Panels { shared: Some(&header), ..panels }, out, stride);
        return;
    }
    for row in 0..count {
        for j in 0..panels.outputs {
            let body = panels.bytes.get(j / 4 * 4 * panels.inputs..).unwrap_or(&[]);
            let products = (0..panels.inputs)
                .map(|k| simd::input(form, panels.inputs, row, k) * simd::body_weight(body, j % 4, k));
            // Padding inputs are anything, their weights zero.
            let acc = products.sum();
            if let Some(o) = out.get_mut(row * stride + j) {
                *o = factor.to_i8(acc);
            }
        }
    }
}
