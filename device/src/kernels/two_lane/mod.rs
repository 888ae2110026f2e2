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
mod attention;
mod products;
mod requantise;
#[cfg(target_arch = "riscv32")]
mod riscv;
mod rows;

use super::{Family, HeadRows, HeadShape, Input, Kernel};
use ldae_shared::fixed::Factor;
use ldae_shared::format::{Block, Linear};
use products::Output;
use requantise::{to_i8, to_i16};

/// The kernel for cores without SIMD.
#[derive(Clone, Copy, Debug)]
pub struct TwoLane;

impl Kernel for TwoLane {
    const FAMILY: Family = Family::TwoLane;
    const NORMALISES_FORM: bool = true;

    fn prepare(rows: &[i8], width: usize, form: &mut [u8]) {
        rows::prepare(rows, width, form);
    }

    fn normalise_form(stream: &[i16], width: usize, statistics: &[[i32; 2]], form: &mut [u8]) {
        rows::normalise(stream, width, statistics, form);
    }

    fn restore(form: &[u8], width: usize, rows: &mut [i8]) {
        rows::restore(form, width, rows);
    }

    fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
        products::linear((x.form, x.count), layer, (Output::I8, out), |v| v as i8, to_i8);
    }

    fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
        products::linear((x.form, x.count), layer, (Output::I16, out), |v| v as i16, to_i16);
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

    #[inline(always)]
    fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
        attention::softmax(block, logits, probabilities);
    }

    fn gelu(block: &Block<'_>, codes: &mut [i8]) {
        attention::gelu(block, codes);
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
}
