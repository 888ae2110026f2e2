//! Layout `dot`: dot-product instructions (x86-64 VPDPBUSD, 64-bit Arm SDOT).
//!
//! Header, 64 words: biases; Σw (for inputs offset by 128, as VPDPBUSD takes them); m; t. Body, for inputs k..k+4: four
//! bytes of each of the sixteen channels in turn.

use super::{PanelFacts, put_word, word};
use crate::format::linear::Channel;

pub(super) const HEADER: usize = 256;

pub(super) fn channel(panel: &[u8], c: usize) -> Channel {
    Channel { bias: word(panel, c), m: word(panel, 32 + c) as u16, t: word(panel, 48 + c) as u8 }
}

fn place(c: usize, k: usize) -> usize {
    HEADER + (k & !3) * 16 + 4 * c + (k & 3)
}

#[inline]
pub(super) fn weight(panel: &[u8], c: usize, k: usize) -> i32 {
    panel.get(place(c, k)).map_or(0, |&b| i32::from(b as i8))
}

pub(super) fn put_header(facts: &PanelFacts, out: &mut [u8]) {
    for (c, (ch, &sum)) in facts.channels.iter().zip(&facts.sums).enumerate() {
        put_word(out, c, ch.bias);
        put_word(out, 16 + c, sum);
        put_word(out, 32 + c, i32::from(ch.m));
        put_word(out, 48 + c, i32::from(ch.t));
    }
}

#[cfg(feature = "alloc")]
pub(super) fn put_weight(panel: &mut [u8], c: usize, k: usize, w: i8) {
    if let Some(b) = panel.get_mut(place(c, k)) {
        *b = w as u8;
    }
}
