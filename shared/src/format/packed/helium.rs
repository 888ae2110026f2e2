//! Layout `helium`: Armv8.1-M vectors (Cortex-M55, M85).
//!
//! Header, 12 words: biases; the four [`high_factor`]s for VRMULH, all zero where one of them does not exist; m·2^16 + t of
//! the four channels. Body, for inputs k..k+16: sixteen bytes of each of the four channels in turn, one VMLADAVA operand
//! each.

use super::{PanelFacts, channel_of, high_factor, packed_factor, put_word, word};
use crate::format::linear::Channel;

pub(super) const HEADER: usize = 48;

pub(super) fn channel(panel: &[u8], c: usize) -> Channel {
    channel_of(word(panel, c), word(panel, 8 + c))
}

fn place(c: usize, k: usize) -> usize {
    HEADER + (k & !15) * 4 + 16 * c + (k & 15)
}

#[inline]
pub(super) fn weight(panel: &[u8], c: usize, k: usize) -> i32 {
    panel.get(place(c, k)).map_or(0, |&b| i32::from(b as i8))
}

pub(super) fn put_header(facts: &PanelFacts, out: &mut [u8]) {
    let high = facts.channels.iter().take(4).all(|ch| high_factor(*ch) != 0);
    for (c, ch) in facts.channels.iter().enumerate().take(4) {
        put_word(out, c, ch.bias);
        put_word(out, 4 + c, if high { high_factor(*ch) } else { 0 });
        put_word(out, 8 + c, packed_factor(*ch));
    }
}

#[cfg(feature = "alloc")]
pub(super) fn put_weight(panel: &mut [u8], c: usize, k: usize, w: i8) {
    if let Some(b) = panel.get_mut(place(c, k)) {
        *b = w as u8;
    }
}
