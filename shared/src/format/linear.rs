//! Views of the layers of a checked artifact: channels, weight rows, panels.

use super::{Layout, layout};

/// A quantised linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// Order of the weights.
    pub layout: Layout,
    /// Inputs (length of a weight row).
    pub inputs: usize,
    pub(super) outputs: usize,
    /// Bias and factor of each output channel; empty when packed.
    pub channels: Channels<'a>,
    /// Canonical: outputs×inputs, two's complement. Packed: panels ([`Layout`]).
    pub weights: &'a [u8],
}

impl<'a> Linear<'a> {
    /// Outputs.
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// Channels with their weight rows; canonical layers only, a packed one reads as empty.
    #[inline]
    pub fn rows(&self) -> impl Iterator<Item = (Channel, &'a [u8])> + use<'a> {
        self.channels.iter().zip(self.weights.chunks_exact(self.inputs.max(1)))
    }

    /// Panels; packed layers only, a canonical one reads as empty.
    pub fn panels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let weights = if self.layout.is_canonical() { &[] } else { self.weights };
        weights.chunks_exact(self.layout.panel_bytes(self.inputs).max(1))
    }

    /// Channel `j`, in any layout (slow: for reference and inspection).
    pub fn channel(&self, j: usize) -> Channel {
        if self.layout.is_canonical() {
            return self.channels.iter().nth(j).unwrap_or(super::packed::PADDING);
        }
        self.layout.channel(self.panel(j), j % self.layout.channels())
    }

    /// Weight of channel `j` for input `k`, in any layout (slow: for reference and inspection).
    pub fn weight(&self, j: usize, k: usize) -> i8 {
        if self.layout.is_canonical() {
            return self.weights.get(j * self.inputs + k).map_or(0, |&b| b as i8);
        }
        self.layout.weight(self.panel(j), j % self.layout.channels(), k) as i8
    }

    fn panel(&self, j: usize) -> &'a [u8] {
        let bytes = self.layout.panel_bytes(self.inputs);
        let at = j / self.layout.channels() * bytes;
        self.weights.get(at..at + bytes).unwrap_or(&[])
    }

    /// `count` output channels as a layer of their own: in the canonical order from channel `from`, packed from panel
    /// `panel`.
    pub(super) fn part(&self, from: usize, panel: usize, count: usize) -> Linear<'a> {
        let record = layout::CHANNEL as usize;
        let (at, bytes) = if self.layout.is_canonical() {
            (from * self.inputs, count * self.inputs)
        } else {
            let bytes = self.layout.panel_bytes(self.inputs);
            (panel * bytes, count.div_ceil(self.layout.channels()) * bytes)
        };
        let channels = self.channels.0.get(from * record..(from + count) * record).unwrap_or(&[]);
        let weights = self.weights.get(at..at + bytes).unwrap_or(&[]);
        Linear { outputs: count, channels: Channels(channels), weights, ..*self }
    }
}

/// Bias and factor of one output channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Start value of the accumulator.
    pub bias: i32,
    /// Rule 3 multiplier.
    pub m: u16,
    /// Rule 3 shift.
    pub t: u8,
}

impl Channel {
    /// Rule 3 to i8.
    #[inline(always)]
    pub fn to_i8(self, acc: i32) -> i8 {
        crate::fixed::requantise(acc, self.m, self.t).clamp(-127, 127) as i8
    }

    /// Rule 3 to i16.
    #[inline(always)]
    pub fn to_i16(self, acc: i32) -> i16 {
        crate::fixed::requantise(acc, self.m, self.t).clamp(i16::MIN as i32, i16::MAX as i32) as i16
    }
}

/// Channel records, eight bytes each.
#[derive(Clone, Copy, Debug)]
pub struct Channels<'a>(pub(super) &'a [u8]);

impl<'a> Channels<'a> {
    /// Records in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Channel> + use<'a> {
        let (records, _) = self.0.as_chunks::<8>();
        records.iter().map(|r| Channel {
            bias: i32::from_le_bytes([r[0], r[1], r[2], r[3]]),
            m: u16::from_le_bytes([r[4], r[5]]),
            t: r[6],
        })
    }
}
