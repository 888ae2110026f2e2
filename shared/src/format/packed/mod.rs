//! Weight layouts: the canonical order, and the orders that the fast kernels read (`ldae pack`).
//!
//! A packed layer is a sequence of *panels*: [`Layout::channels`] output channels each, a header with what the
//! requantisation of those channels needs, then their weights, inputs padded with zeros to a multiple of
//! [`Layout::group`]. Channels beyond the layer's are zero with the smallest factor. Panels start at multiples of 16
//! bytes, so a packed artifact must lie at a multiple of 16 in memory. Packing changes no value: every panel decodes
//! to the canonical channels and weights, and the reader checks that its header is the one that they imply.

mod dot;
mod helium;
#[cfg(feature = "alloc")]
mod pack;
mod pairs;
#[cfg(test)]
mod tests;
mod two_lane;

#[cfg(feature = "alloc")]
pub use pack::{PackError, pack};

use super::layout::{CHANNEL, pad4};
use super::linear::Channel;
use crate::fixed::{self, Factor};

/// Most channels of a panel, over all layouts.
pub(super) const MAX_CHANNELS: usize = 16;
/// Longest panel header in bytes, over all layouts.
pub(super) const MAX_HEADER: usize = 256;

/// Order of the weights in an artifact; the header's layout field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Layout {
    /// Channel records, then row-major weights, output channel first. Any alignment; the portable kernel reads it.
    Canonical = 0,
    /// Two weights a halfword for SMLAD: Cortex-M4, M7, M33.
    Pairs = 1,
    /// Sixteen inputs of four channels in turn for VMLADAVA: Cortex-M55, M85.
    Helium = 2,
    /// Four inputs of two channels in turn, for words of two rows' inputs: RV32, Cortex-M0, M0+, M3.
    TwoLane = 3,
    /// Four inputs of sixteen channels in turn for dot-product instructions: x86-64, 64-bit Arm.
    Dot = 4,
}

impl Layout {
    /// All layouts, the canonical one first.
    pub const ALL: [Layout; 5] = [Layout::Canonical, Layout::Pairs, Layout::Helium, Layout::TwoLane, Layout::Dot];

    /// From the header's field.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            0 => Some(Layout::Canonical),
            1 => Some(Layout::Pairs),
            2 => Some(Layout::Helium),
            3 => Some(Layout::TwoLane),
            4 => Some(Layout::Dot),
            _ => None,
        }
    }

    /// The header's field.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Canonical => "canonical",
            Layout::Pairs => "pairs",
            Layout::Helium => "helium",
            Layout::TwoLane => "two-lane",
            Layout::Dot => "dot",
        }
    }

    /// True for the canonical order.
    pub const fn is_canonical(self) -> bool {
        matches!(self, Layout::Canonical)
    }

    /// Alignment of every part of a section, bytes; of the artifact in memory too, where it is packed.
    pub const fn align(self) -> u64 {
        if self.is_canonical() { 4 } else { 16 }
    }

    /// Output channels of a panel (canonical: 1).
    pub const fn channels(self) -> usize {
        match self {
            Layout::Canonical => 1,
            Layout::Pairs | Layout::Helium => 4,
            Layout::TwoLane => two_lane::CHANNELS,
            Layout::Dot => 16,
        }
    }

    /// Inputs are padded to a multiple of this.
    pub const fn group(self) -> usize {
        match self {
            Layout::Canonical => 1,
            Layout::Pairs | Layout::Helium => 16,
            Layout::TwoLane => 8,
            Layout::Dot => 4,
        }
    }

    /// Bytes of a panel's header.
    pub const fn header(self) -> usize {
        match self {
            Layout::Canonical => 0,
            Layout::Pairs => pairs::HEADER,
            Layout::Helium => helium::HEADER,
            Layout::TwoLane => two_lane::HEADER,
            Layout::Dot => dot::HEADER,
        }
    }

    /// Inputs with their padding.
    pub const fn padded(self, inputs: usize) -> usize {
        inputs.div_ceil(self.group()) * self.group()
    }

    /// Bytes of one panel of a layer with `inputs` inputs.
    pub const fn panel_bytes(self, inputs: usize) -> usize {
        self.header() + self.channels() * self.padded(inputs)
    }

    /// Bytes of a layer, padding included.
    pub const fn linear_bytes(self, outputs: u32, inputs: u32) -> u64 {
        match self {
            Layout::Canonical => outputs as u64 * CHANNEL + pad4(outputs as u64 * inputs as u64),
            _ => (outputs as u64).div_ceil(self.channels() as u64) * self.panel_bytes(inputs as usize) as u64,
        }
    }

    /// Rounded up to [`Layout::align`].
    pub(super) const fn pad(self, bytes: u64) -> u64 {
        bytes.next_multiple_of(self.align())
    }

    /// Channel `c` of a panel.
    pub(super) fn channel(self, panel: &[u8], c: usize) -> Channel {
        match self {
            Layout::Canonical => PADDING,
            Layout::Pairs => pairs::channel(panel, c),
            Layout::Helium => helium::channel(panel, c),
            Layout::TwoLane => two_lane::channel(panel, c),
            Layout::Dot => dot::channel(panel, c),
        }
    }

    /// Weight of channel `c` for input `k` of a panel; in the range of i8 on checked bytes.
    #[inline]
    pub(super) fn weight(self, panel: &[u8], c: usize, k: usize) -> i32 {
        match self {
            Layout::Canonical => 0,
            Layout::Pairs => pairs::weight(panel, c, k),
            Layout::Helium => helium::weight(panel, c, k),
            Layout::TwoLane => two_lane::weight(panel, c, k),
            Layout::Dot => dot::weight(panel, c, k),
        }
    }

    /// Writes the header that the channels of a panel imply. See [`PanelFacts`].
    pub(super) fn put_header(self, facts: &PanelFacts, out: &mut [u8]) {
        match self {
            Layout::Canonical => {}
            Layout::Pairs => pairs::put_header(facts, out),
            Layout::Helium => helium::put_header(facts, out),
            Layout::TwoLane => two_lane::put_header(facts, out),
            Layout::Dot => dot::put_header(facts, out),
        }
    }
}

/// A channel that pads a panel.
pub(super) const PADDING: Channel = Channel { bias: 0, m: Factor::SMALLEST.m(), t: Factor::SMALLEST.t() };

/// What a panel's header is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanelFacts {
    /// Channels, padding included.
    pub channels: [Channel; MAX_CHANNELS],
    /// Σw of each channel.
    pub sums: [i32; MAX_CHANNELS],
    /// Σ|w| of each channel.
    pub magnitudes: [u32; MAX_CHANNELS],
    /// Largest |w|.
    pub largest: u32,
    /// True when the weights of padding inputs are zero.
    pub clean: bool,
    /// Bits of the segments ([`two_lane`]) in which top·Σ|w| of a channel over four neighbouring inputs (from a multiple of
    /// four) reaches 2^15.
    pub twos: u64,
}

impl PanelFacts {
    /// Reads all weights of a panel once. `top` is the largest magnitude of an input.
    pub(super) fn of(layout: Layout, panel: &[u8], inputs: usize, top: u32) -> Self {
        let padded = layout.padded(inputs);
        let segment = 8 * padded.div_ceil(512).max(1);
        let mut facts = PanelFacts {
            channels: [PADDING; MAX_CHANNELS],
            sums: [0; MAX_CHANNELS],
            magnitudes: [0; MAX_CHANNELS],
            largest: 0,
            clean: true,
            twos: 0,
        };
        let sums = facts.sums.iter_mut().zip(facts.magnitudes.iter_mut());
        for (c, (channel, (sum, magnitude))) in facts.channels.iter_mut().zip(sums).enumerate().take(layout.channels())
        {
            *channel = layout.channel(panel, c);
            let mut group = 0;
            for k in 0..padded {
                let w = layout.weight(panel, c, k); // |w| ≤ 2^15 in any bytes, so 8192 of them stay below 2^28
                facts.clean &= k < inputs || w == 0;
                *sum += w;
                *magnitude += w.unsigned_abs();
                group = if k % 4 == 0 { 0 } else { group } + w.unsigned_abs();
                facts.largest = facts.largest.max(w.unsigned_abs());
                if top * group >= 1 << 15 {
                    facts.twos |= 1 << (k / segment).min(63);
                }
            }
        }
        facts
    }
}

/// A channel's [`fixed::high_factor`], 0 where it has none.
const fn high_factor(channel: Channel) -> i32 {
    match fixed::high_factor(channel.m, channel.t) {
        Some(high) => high,
        None => 0,
    }
}

/// m·2^16 + t.
const fn packed_factor(channel: Channel) -> i32 {
    (channel.m as i32) << 16 | channel.t as i32
}

/// Inverse of [`packed_factor`], with a bias.
const fn channel_of(bias: i32, factor: i32) -> Channel {
    Channel { bias, m: (factor >> 16) as u16, t: factor as u8 }
}

/// The little-endian word at word index `i`; zero beyond the end.
#[inline]
fn word(panel: &[u8], i: usize) -> i32 {
    let at = 4 * i;
    match panel.get(at..at + 4) {
        Some(&[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// Writes the little-endian word at word index `i`, if there is room.
fn put_word(out: &mut [u8], i: usize, value: i32) {
    if let Some(bytes) = out.get_mut(4 * i..4 * i + 4) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}
