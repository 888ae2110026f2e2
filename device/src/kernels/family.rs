//! What a kernel keeps in memory: chunk size, its own form of inputs, keys and values. `const fn` of the shape, so that the
//! memory plan is one.

use ldae_shared::format::Layout;

/// Kernels that share a memory plan and a weight layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Canonical weights, rows as they are.
    Portable,
    /// Cortex-M with DSP instructions: inputs as i16, two rows interleaved.
    Dsp,
    /// Armv8.1-M vectors: rows as they are.
    Mve,
    /// RV32, Cortex-M0 and M3, without SIMD: inputs as words of two rows.
    TwoLane,
    /// Dot products of x86-64 and 64-bit Arm.
    Dot,
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

impl Family {
    /// The family of a bare-metal target's own kernels, for build scripts that pack an artifact for it: the portable one
    /// where there are none. `flags` as for [`super::kernel_cfgs`].
    #[must_use]
    pub fn of_target(target: &str, flags: &str) -> Self {
        match super::kernel_cfgs(target, flags).first() {
            Some(&"kernel_dsp") => Family::Dsp,
            Some(&"kernel_mve") => Family::Mve,
            Some(&"kernel_two_lane") => Family::TwoLane,
            _ => Family::Portable,
        }
    }

    /// Weight layout that the family reads.
    pub const fn layout(self) -> Layout {
        match self {
            Family::Portable => Layout::Canonical,
            Family::Dsp => Layout::Pairs,
            Family::Mve => Layout::Helium,
            Family::TwoLane => Layout::TwoLane,
            Family::Dot => Layout::Dot,
        }
    }

    /// Rows (tokens) of a chunk: every weight is read once per chunk.
    pub const fn rows(self) -> usize {
        match self {
            Family::Mve => 16,
            Family::Dot => 64,
            _ => 8,
        }
    }

    /// Rows of a chunk of the front end, whose patches are long.
    pub const fn front_rows(self) -> usize {
        match self {
            Family::Dsp | Family::TwoLane => 4,
            Family::Mve => 8,
            _ => self.rows(),
        }
    }

    /// True where products read the family's own form of their inputs and never the rows themselves.
    pub const fn has_form(self) -> bool {
        self.input_bytes(1, 1) > 0
    }

    /// Queries that attention handles together.
    pub const fn queries(self) -> usize {
        match self {
            Family::Portable => 1,
            Family::Dsp => 2,
            Family::TwoLane => 4,
            Family::Mve => 16,
            Family::Dot => 32,
        }
    }

    /// Bytes of the family's own form of `rows` input rows of `width` values; 0 where it reads the rows themselves.
    pub const fn input_bytes(self, rows: usize, width: usize) -> usize {
        match self {
            Family::Portable | Family::Mve => 0,
            Family::TwoLane => rows.next_multiple_of(4) * Layout::TwoLane.padded(width) * 2,
            Family::Dsp => rows.next_multiple_of(2) * Layout::Pairs.padded(width) * 2,
            Family::Dot => rows * Layout::Dot.padded(width),
        }
    }

    /// Bytes of one head's keys: `tokens`×`width`.
    pub const fn key_bytes(self, tokens: usize, width: usize) -> usize {
        match self {
            Family::Dsp => tokens.next_multiple_of(4) * Layout::Pairs.padded(width),
            Family::Mve => tokens.next_multiple_of(4) * Layout::Helium.padded(width),
            Family::TwoLane => tokens.next_multiple_of(2) * Layout::TwoLane.padded(width),
            Family::Dot => tokens.next_multiple_of(16) * (Layout::Dot.padded(width) + 4),
            _ => tokens * width,
        }
    }

    /// Bytes of one head's values: `tokens`×`width`.
    pub const fn value_bytes(self, tokens: usize, width: usize) -> usize {
        match self {
            Family::Dsp => width.next_multiple_of(4) * Layout::Pairs.padded(tokens),
            Family::Mve => width.next_multiple_of(4) * tokens.next_multiple_of(8),
            Family::TwoLane => tokens.next_multiple_of(4) * width.next_multiple_of(4),
            Family::Dot => 2 * width.next_multiple_of(16) * tokens.next_multiple_of(2),
            _ => tokens * width,
        }
    }

    /// True where keys and values must start as zeros, for what no token writes.
    pub const fn clears_keys_and_values(self, tokens: usize, width: usize) -> bool {
        match self {
            Family::Mve => self.key_bytes(tokens, width) + self.value_bytes(tokens, width) > 2 * tokens * width,
            _ => true,
        }
    }

    /// Bytes of work memory of the products of one group of queries with keys and values.
    pub const fn attention_bytes(self, tokens: usize, width: usize) -> usize {
        match self {
            Family::Dsp => max(self.input_bytes(2, width), self.input_bytes(2, tokens)),
            // Queries, then probabilities, padded to whole vectors where they are not.
            Family::Mve => {
                let queries = if width.is_multiple_of(16) { 0 } else { Layout::Helium.padded(width) };
                let probabilities = if tokens.is_multiple_of(8) { 0 } else { 2 * tokens.next_multiple_of(8) };
                self.queries() * max(queries, probabilities)
            }
            Family::TwoLane => max(self.input_bytes(4, width), 16 * tokens.next_multiple_of(4)),
            // Queries with their offset, or probabilities of an odd number of tokens.
            Family::Dot => self.queries() * max(Layout::Dot.padded(width), 2 * tokens.next_multiple_of(2)),
            _ => 4 * width,
        }
    }
}
