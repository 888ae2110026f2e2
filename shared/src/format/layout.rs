//! Lengths that follow from the spec. In `u64`, so that no accepted spec can overflow them.

use crate::spec::EncoderSpec;

/// Bytes of one output channel's record: bias i32, multiplier u16, shift u8, zero u8.
pub(super) const CHANNEL: u64 = 8;
/// Bytes of a per-tensor factor: multiplier u16, shift u8, zero u8.
pub(super) const FACTOR: u64 = 4;
/// Bytes of the softmax table: 256 × u16.
pub(super) const SOFTMAX_TABLE: u64 = 512;
/// Bytes of the GELU table: 256 × i8.
pub(super) const GELU_TABLE: u64 = 256;
/// Bytes of the SPEC section.
pub(super) const SPEC: u64 = 32;
/// Bytes of the PREPROCESS section.
pub(super) const PREPROCESS: u64 = 16;

/// Rounded up to a multiple of four.
pub(super) const fn pad4(bytes: u64) -> u64 {
    (bytes + 3) & !3
}

/// Bytes of one linear layer: `outputs` channel records, then `outputs`×`inputs` weights (i8), padded to four.
pub const fn linear_bytes(outputs: u32, inputs: u32) -> u64 {
    outputs as u64 * CHANNEL + pad4(outputs as u64 * inputs as u64)
}

/// Bytes of the FRONT section: projection K×P, embedding W×K, positions N×W (i16).
pub const fn front_bytes(s: &EncoderSpec) -> u64 {
    linear_bytes(s.rank as u32, s.patch_values())
        + linear_bytes(s.width as u32, s.rank as u32)
        + pad4(s.tokens() as u64 * s.width as u64 * 2)
}

/// Bytes of one block: qkv 3W×W, logits factor, softmax table, value factor, proj W×W, fc1 rW×W, GELU table, fc2 W×rW.
pub const fn block_bytes(s: &EncoderSpec) -> u64 {
    let w = s.width as u32;
    linear_bytes(3 * w, w)
        + FACTOR
        + SOFTMAX_TABLE
        + FACTOR
        + linear_bytes(w, w)
        + linear_bytes(s.hidden(), w)
        + GELU_TABLE
        + linear_bytes(w, s.hidden())
}

/// Bytes of the HEAD section: one channel record per embedding component.
pub const fn head_bytes(s: &EncoderSpec) -> u64 {
    s.embedding() as u64 * CHANNEL
}

/// LayerNorms: two a block, and the last.
pub const fn norms(s: &EncoderSpec) -> usize {
    2 * s.depth as usize + 1
}
