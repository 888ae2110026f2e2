//! Cortex-M with Helium, the vectors of Armv8.1-M (M55, M85): products, LayerNorm, softmax and GELU in assembly.
//!
//! Rows are read as they are, weights in layout `helium`. Needs the vector unit enabled, as cortex-m-rt does it.
#![allow(unsafe_code)]

mod attention;
mod panel;
mod product;
mod scores;
mod unrolled;
mod vector;

use super::{Family, HeadRows, HeadShape, Input, Kernel, portable::Portable};
use crate::engine::token;
use ldae_shared::fixed::Factor;
use ldae_shared::format::{Block, Layout, Linear};
use product::{Assembly, BYTES_TO_I8, BYTES_TO_I16, Panels, Rows, product};
use vector::Normalise;

/// The Helium kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mve;

fn linear<T: Copy>(asm: &Assembly<T>, x: Input<'_>, layer: &Linear<'_>, out: &mut [T]) {
    let layout = Layout::Helium;
    let rows = Rows { bytes: bytemuck::cast_slice(x.rows), stride: layer.inputs, count: x.count };
    let panels = Panels {
        headers: layer.weights,
        header_step: layout.panel_bytes(layer.inputs),
        bodies: layer.weights.get(layout.header()..).unwrap_or(&[]),
        body_step: layout.panel_bytes(layer.inputs),
        steps: layout.padded(layer.inputs) / 16,
        outputs: layer.outputs(),
    };
    product(asm, rows, panels, out, layer.outputs());
}

impl Kernel for Mve {
    const FAMILY: Family = Family::Mve;

    fn centre(pixels: &[u8], out: &mut [i8]) {
        // SAFETY: both have that many values.
        unsafe { vector::ldae_mve_centre(pixels.as_ptr(), out.as_mut_ptr(), pixels.len().min(out.len())) };
    }

    fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
        linear(&BYTES_TO_I8, x, layer, out);
    }

    fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
        linear(&BYTES_TO_I16, x, layer, out);
    }

    fn store_keys(rows: &[i8], first: usize, head: HeadShape, keys: &mut [u8]) {
        attention::store_keys(rows, first, head, keys);
    }

    fn store_values(rows: &[i8], first: usize, head: HeadShape, values: &mut [u8]) {
        attention::store_values(rows, first, head, values);
    }

    fn logits(q: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, work: &mut [u8], out: &mut [i8]) {
        attention::logits(q, head, keys, factor, work, out);
    }

    fn softmax_rows(block: &Block<'_>, tokens: usize, logits: &[i8], probabilities: &mut [u16]) {
        let table = block.softmax_table();
        let usable = table.len() >= 512 && table.as_ptr().addr().is_multiple_of(2);
        let rows = logits.chunks_exact(tokens.max(1)).zip(probabilities.chunks_exact_mut(tokens.max(1)));
        for (logits, out) in rows {
            // SAFETY: `tokens` values each; the table has an entry for each of the 255 distances.
            let done = usable
                && unsafe { vector::ldae_mve_softmax(logits.as_ptr(), tokens, table.as_ptr(), out.as_mut_ptr()) };
            if !done {
                Portable::softmax(block, logits, out);
            }
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
        attention::weighted_values(probabilities, head, values, factor, work, out);
    }

    fn sums(row: &[i16]) -> (i32, u64) {
        let mut sums = [0; 3];
        // SAFETY: reads the row, writes three words.
        unsafe { vector::ldae_mve_sums(row.as_ptr(), row.len(), &mut sums) };
        (sums[2] as i32, u64::from(sums[1]) << 32 | u64::from(sums[0]))
    }

    fn normalise_rows(stream: &[i16], width: usize, statistics: &[[i32; 2]], out: &mut [i8]) {
        let rows = (stream.len().min(out.len()) / width.max(1)).min(statistics.len());
        let mut row = 0;
        while row < rows {
            let at = row * width;
            let (Some(x), Some(s), Some(y)) = (stream.get(at..), statistics.get(row..), out.get_mut(at..)) else {
                return;
            };
            // VLD2 reads words.
            let aligned = x.as_ptr().addr().is_multiple_of(4) && width.is_multiple_of(2);
            let groups = if aligned { width / 16 } else { 0 };
            let call = Normalise {
                stream: x.as_ptr(),
                out: y.as_mut_ptr(),
                statistics: s.as_ptr(),
                rows: rows - row,
                groups,
                rest: width - 16 * groups,
            };
            // SAFETY: the slices hold that many rows and statistics.
            row = rows - unsafe { vector::ldae_mve_normalise(&call) };
            if row < rows {
                let (from, to) = (row * width, (row + 1) * width);
                if let (Some(x), Some(s), Some(y)) = (stream.get(from..to), statistics.get(row), out.get_mut(from..to))
                {
                    Portable::normalise(x, token(s), y);
                }
                row += 1;
            }
        }
    }

    fn gelu(block: &Block<'_>, codes: &mut [i8]) {
        let table = block.gelu_table();
        if table.len() < 256 {
            return Portable::gelu(block, codes);
        }
        // SAFETY: the table has an entry for every code.
        unsafe { vector::ldae_mve_gelu(codes.as_mut_ptr(), codes.len(), table.as_ptr()) };
    }

    fn add(stream: &mut [i16], branch: &[i16]) {
        // SAFETY: both have that many values.
        unsafe { vector::ldae_mve_add(stream.as_mut_ptr(), branch.as_ptr(), stream.len().min(branch.len())) };
    }
}
