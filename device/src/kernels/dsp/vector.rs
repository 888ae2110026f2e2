//! LayerNorm, softmax, GELU and the residual addition.

use super::super::portable::Portable;
use super::Kernel;
use ldae_shared::fixed::NormToken;
use ldae_shared::format::Block;

pub(super) fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
    Portable::softmax(block, logits, probabilities);
}

pub(super) fn sums(row: &[i16]) -> (i32, u64) {
    Portable::sums(row)
}

pub(super) fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
    Portable::normalise(row, token, out);
}

pub(super) fn gelu(block: &Block<'_>, codes: &mut [i8]) {
    Portable::gelu(block, codes);
}

pub(super) fn add(stream: &mut [i16], branch: &[i16]) {
    Portable::add(stream, branch);
}
