//! Layout `pairs`: Cortex-M with the DSP extension (M4, M7, M33).
//!
//! A halfword holds h = 256·w_hi + w_lo, two output channels of one input. SMLAD(x pair, h pair) accumulates
//! 256·S_hi + S_lo; SXTB16 of the same word leaves w_lo, and a second SMLAD accumulates S_lo. Exact modulo 2^32 and, by
//! rule 2 (|S| < 2^23), recoverable: 256·S_hi = (256·S_hi + S_lo) − S_lo.
//!
//! Header, 12 words: accumulator start values 256·b1 + b0, b0, 256·b3 + b2, b2; the four [`high_factor`]s, for SMMULR;
//! m·2^16 + t of the four channels.
//! Body, four words for inputs k..k+4: channels (0, 1) at (k, k+2); (2, 3) at (k, k+2); (0, 1) at (k+1, k+3);
//! (2, 3) at (k+1, k+3); the first input of each pair in the low halfword, the first channel in the low byte.

use super::{PanelFacts, channel_of, high_factor, packed_factor, put_word, word};
use crate::format::linear::Channel;

pub(super) const HEADER: usize = 48;

pub(super) fn channel(panel: &[u8], c: usize) -> Channel {
    let (both, low) = (word(panel, c & 2), word(panel, (c & 2) + 1));
    let bias = if c & 1 == 0 { low } else { both.wrapping_sub(low) >> 8 };
    channel_of(bias, word(panel, 8 + c))
}

/// Word and halfword of channel `c`, input `k` in the body.
fn place(c: usize, k: usize) -> (usize, usize) {
    (HEADER / 4 + (k & !3) + 2 * (k & 1) + c / 2, (k >> 1) & 1)
}

#[inline]
pub(super) fn weight(panel: &[u8], c: usize, k: usize) -> i32 {
    let (at, half) = place(c, k);
    let h = (word(panel, at) >> (16 * half)) as i16;
    let low = i32::from(h as i8);
    if c & 1 == 0 { low } else { (i32::from(h) - low) >> 8 }
}

pub(super) fn put_header(facts: &PanelFacts, out: &mut [u8]) {
    let b = |c: usize| facts.channels.get(c).map_or(0, |ch| ch.bias);
    for c in [0, 2] {
        put_word(out, c, b(c + 1).wrapping_mul(256).wrapping_add(b(c)));
        put_word(out, c + 1, b(c));
    }
    for (c, ch) in facts.channels.iter().enumerate().take(4) {
        put_word(out, 4 + c, high_factor(*ch));
        put_word(out, 8 + c, packed_factor(*ch));
    }
}

/// Adds weight `w` of channel `c`, input `k` to a body that was zero there.
#[cfg(feature = "alloc")]
pub(super) fn put_weight(panel: &mut [u8], c: usize, k: usize, w: i8) {
    let (at, half) = place(c, k);
    let old = word(panel, at);
    let h = (old >> (16 * half)) as i16;
    let h = h.wrapping_add(i16::from(w) << (8 * (c & 1)));
    let keep = old & !(0xFFFF << (16 * half));
    put_word(panel, at, keep | i32::from(h as u16) << (16 * half));
}
