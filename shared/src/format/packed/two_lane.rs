//! Layout `two-lane`: Cortex-M0 and M0+.
//!
//! A word holds w_hi·2^16 + w_lo, two output channels of one input: one multiplication makes two products. The products
//! of a few neighbouring inputs are added in one word that starts at 2^15, then the lanes are split. That is exact while
//! top·Σ|w| over those inputs is at most 2^15 − 1: for four inputs where the weights allow it, else (in a whole panel)
//! for two, which always holds (2·128·127 < 2^15).
//!
//! Header, 16 words: start values (bias, less 2^15 for every group in the low lanes 0 and 2, whose offset the split
//! keeps); twice the four [`high_factor`]s (0 where that needs 32 bits or there is none), for a high product that is then
//! rounded by one bit; m·2^16 + t; the inputs of a group (4 or 2) and three zeros. Body, two words for
//! each input: channels (0, 1) and (2, 3), the first in the low half.

use super::{PanelFacts, channel_of, high_factor, packed_factor, put_word, word};
use crate::format::view::Channel;

pub(super) const HEADER: usize = 64;

/// Inputs whose products share a word before the lanes are split.
fn inputs_of_a_group(panel: &[u8]) -> i32 {
    word(panel, 12) & 0xFF
}

/// What the low lanes' start value lacks: 2^15 for every group.
fn offset(padded: usize, group: i32) -> i32 {
    0x8000 * (padded as i32 / group.max(1))
}

fn padded(panel: &[u8]) -> usize {
    panel.len().saturating_sub(HEADER) / 8
}

pub(super) fn channel(panel: &[u8], c: usize) -> Channel {
    let low = if c & 1 == 0 { offset(padded(panel), inputs_of_a_group(panel)) } else { 0 };
    channel_of(word(panel, c).wrapping_add(low), word(panel, 8 + c))
}

#[inline]
pub(super) fn weight(panel: &[u8], c: usize, k: usize) -> i32 {
    let w = word(panel, HEADER / 4 + 2 * k + c / 2);
    let low = i32::from(w as i16);
    if c & 1 == 0 { low } else { w.wrapping_sub(low) >> 16 }
}

pub(super) fn put_header(facts: &PanelFacts, out: &mut [u8]) {
    let group = if facts.longest < 1 << 15 { 4 } else { 2 };
    for (c, ch) in facts.channels.iter().enumerate().take(4) {
        let low = if c & 1 == 0 { offset(facts.padded, group) } else { 0 };
        put_word(out, c, ch.bias.wrapping_sub(low));
        put_word(out, 4 + c, high_factor(*ch).checked_mul(2).unwrap_or(0));
        put_word(out, 8 + c, packed_factor(*ch));
        put_word(out, 12 + c, if c == 0 { group } else { 0 });
    }
}

#[cfg(feature = "alloc")]
pub(super) fn put_weight(panel: &mut [u8], c: usize, k: usize, w: i8) {
    let at = HEADER / 4 + 2 * k + c / 2;
    let old = word(panel, at);
    put_word(panel, at, old.wrapping_add(i32::from(w) << (16 * (c & 1))));
}
