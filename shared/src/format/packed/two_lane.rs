//! Layout `two-lane`: cores without SIMD (RV32, Cortex-M0, M0+, M3).
//!
//! The kernel's inputs are words x_hi·2^16 + x_lo of two rows: one multiplication by a weight makes two products. The
//! products of a few neighbouring inputs are added in one word that starts at 2^15, then the lanes are split. That is
//! exact while top·Σ|w| over those inputs is at most 2^15 − 1: for four inputs where the weights allow it, else for two,
//! which always holds (2·128·127 < 2^15). The weights stay bytes, so an artifact in this order is
//! no larger than the canonical one.
//!
//! Header, 8 words: the biases of the two channels; twice their [`high_factor`]s (0 where that needs 32 bits or there is
//! none), for a high product that is then rounded by one bit; m·2^16 + t; 64 bits that say of each segment of the inputs
//! whether its groups are of two. A segment has ⌈inputs / 512⌉ times eight inputs, of both channels. Body,
//! for inputs k..k+4: four bytes of each of the two channels in turn.

use super::{PanelFacts, channel_of, high_factor, packed_factor, put_word, word};
use crate::format::linear::Channel;

pub(super) const HEADER: usize = 32;
pub(super) const CHANNELS: usize = 2;

pub(super) fn channel(panel: &[u8], c: usize) -> Channel {
    channel_of(word(panel, c), word(panel, 4 + c))
}

fn place(c: usize, k: usize) -> usize {
    HEADER + (k & !3) * CHANNELS + 4 * c + (k & 3)
}

#[inline]
pub(super) fn weight(panel: &[u8], c: usize, k: usize) -> i32 {
    panel.get(place(c, k)).map_or(0, |&b| i32::from(b as i8))
}

pub(super) fn put_header(facts: &PanelFacts, out: &mut [u8]) {
    for (c, ch) in facts.channels.iter().enumerate().take(CHANNELS) {
        put_word(out, c, ch.bias);
        put_word(out, 2 + c, high_factor(*ch).checked_mul(2).unwrap_or(0));
        put_word(out, 4 + c, packed_factor(*ch));
    }
    put_word(out, 6, facts.twos as i32);
    put_word(out, 7, (facts.twos >> 32) as i32);
}

#[cfg(feature = "alloc")]
pub(super) fn put_weight(panel: &mut [u8], c: usize, k: usize, w: i8) {
    if let Some(b) = panel.get_mut(place(c, k)) {
        *b = w as u8;
    }
}
