//! The inner loops. [`portable`] is the definition of the bits; every other kernel must equal it exactly.

pub mod portable;
#[cfg(target_arch = "x86_64")]
pub mod x86;

use ldae_shared::fixed::Factor;
use ldae_shared::format::{Block, Linear};

/// What a kernel computes. Slices have the stated lengths (the engine guarantees them); a shorter one is computed as far
/// as it reaches, never beyond.
pub trait Kernel {
    /// Products of i8 rows [rows, inputs] with a layer, to i8 [rows, outputs].
    fn linear_i8(x: &[i8], layer: &Linear<'_>, out: &mut [i8]);

    /// Products of i8 rows [rows, inputs] with a layer, to i16 [rows, outputs].
    fn linear_i16(x: &[i8], layer: &Linear<'_>, out: &mut [i16]);

    /// Logits of one query against keys [N, W/H], to i8 `[N]`.
    fn logits(query: &[i8], keys: &[i8], factor: Factor, out: &mut [i8]);

    /// Σ over tokens of probability × value, values [N, W/H], to i8 [W/H] through i32 accumulators [W/H].
    fn weighted_values(probabilities: &[u16], values: &[i8], factor: Factor, acc: &mut [i32], out: &mut [i8]);

    /// GELU table over codes, in place.
    fn gelu(block: &Block<'_>, codes: &mut [i8]) {
        for c in codes {
            *c = block.gelu(*c);
        }
    }

    /// Saturating addition of a branch to the stream.
    fn add(stream: &mut [i16], branch: &[i16]) {
        for (s, b) in stream.iter_mut().zip(branch) {
            *s = s.saturating_add(*b);
        }
    }
}

/// A kernel by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Safe Rust, the definition.
    Portable,
    /// The same loops compiled for AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2Token),
    /// The same loops compiled for AVX-512 (F, BW, VL, VNNI).
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512Token),
}

impl Choice {
    /// The fastest that this machine has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(token) = x86::Avx512Token::detect() {
                return Choice::Avx512(token);
            }
            if let Some(token) = x86::Avx2Token::detect() {
                return Choice::Avx2(token);
            }
        }
        Choice::Portable
    }

    /// Every kernel that this machine can run, the portable one first.
    pub fn all() -> impl Iterator<Item = Choice> {
        #[cfg(target_arch = "x86_64")]
        let fast = [x86::Avx2Token::detect().map(Choice::Avx2), x86::Avx512Token::detect().map(Choice::Avx512)];
        #[cfg(not(target_arch = "x86_64"))]
        let fast = [None, None];
        core::iter::once(Choice::Portable).chain(fast.into_iter().flatten())
    }

    /// Name, as tests and reports state it.
    pub const fn name(self) -> &'static str {
        match self {
            Choice::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512(_) => "avx512",
        }
    }
}
