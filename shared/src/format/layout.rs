//! Lengths that follow from the spec. In `u64`, so that no accepted spec can overflow them.

use super::packed::Layout;
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

/// Bytes of the FRONT section: projection K×P, embedding W×K, positions N×W (i16).
pub const fn front_bytes(s: &EncoderSpec, layout: Layout) -> u64 {
    layout.linear_bytes(s.rank as u32, s.patch_values())
        + layout.linear_bytes(s.width as u32, s.rank as u32)
        + layout.pad(s.tokens() as u64 * s.width as u64 * 2)
}

/// Bytes of the query, key and value layers of a block. Canonical: one layer 3W×W. Packed: queries W×W, then for each
/// head its keys and its values, so that every head starts a panel.
pub(super) const fn qkv_bytes(s: &EncoderSpec, layout: Layout) -> u64 {
    let w = s.width as u32;
    if layout.is_canonical() {
        return layout.linear_bytes(3 * w, w);
    }
    layout.linear_bytes(w, w) + 2 * s.heads as u64 * layout.linear_bytes(s.head_width() as u32, w)
}

/// Bytes of one block: qkv, logits factor, softmax table, value factor, proj W×W, fc1 rW×W, GELU table, fc2 W×rW.
pub const fn block_bytes(s: &EncoderSpec, layout: Layout) -> u64 {
    let w = s.width as u32;
    qkv_bytes(s, layout)
        + layout.pad(FACTOR)
        + layout.pad(SOFTMAX_TABLE)
        + layout.pad(FACTOR)
        + layout.linear_bytes(w, w)
        + layout.linear_bytes(s.hidden(), w)
        + layout.pad(GELU_TABLE)
        + layout.linear_bytes(w, s.hidden())
}

/// Bytes of the HEAD section: one channel record per embedding component.
pub const fn head_bytes(s: &EncoderSpec) -> u64 {
    s.embedding() as u64 * CHANNEL
}

/// LayerNorms: two a block, and the last.
pub const fn norms(s: &EncoderSpec) -> usize {
    2 * s.depth as usize + 1
}
