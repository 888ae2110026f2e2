//! Which kernel runs: by the artifact's layout, this build and this machine.

use super::Family;
#[cfg(target_arch = "x86_64")]
use super::x86;
use ldae_shared::format::Layout;

/// A kernel by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Safe Rust, the definition. Reads every layout, the canonical one at a usable speed.
    Portable,
    /// Armv7E-M and Armv8-M DSP instructions.
    #[cfg(kernel_dsp)]
    Dsp,
    /// The portable loops compiled for AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2Token),
    /// The portable loops compiled for AVX-512 (F, BW, VL, VNNI).
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512Token),
}

impl Choice {
    /// Families of kernels, beside the portable one, that this build may choose.
    pub(crate) const FAMILIES: &'static [Family] = &[
        #[cfg(kernel_dsp)]
        Family::Dsp,
    ];

    /// The fastest kernel of this build and machine for a layout; `None` where only the (very slow) portable reading of
    /// a packed layout is left.
    pub fn best(layout: Layout) -> Option<Self> {
        Self::all(layout).last().filter(|c| layout.is_canonical() || *c != Choice::Portable)
    }

    /// Every kernel of this build and machine for a layout, the portable one first, the fastest last.
    pub fn all(layout: Layout) -> impl Iterator<Item = Choice> {
        let fast = Self::fast();
        core::iter::once(Choice::Portable)
            .chain(fast.into_iter().flatten().filter(move |c| c.family().layout() == layout))
    }

    /// Everything but the portable kernel, slower ones first.
    fn fast() -> [Option<Choice>; 2] {
        #[cfg(kernel_dsp)]
        return [Some(Choice::Dsp), None];
        #[cfg(target_arch = "x86_64")]
        return [x86::Avx2Token::detect().map(Choice::Avx2), x86::Avx512Token::detect().map(Choice::Avx512)];
        #[allow(unreachable_code)]
        [None, None]
    }

    /// Memory plan and weight layout.
    pub const fn family(self) -> Family {
        match self {
            Choice::Portable => Family::Portable,
            #[cfg(kernel_dsp)]
            Choice::Dsp => Family::Dsp,
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2(_) | Choice::Avx512(_) => Family::Portable,
        }
    }

    /// Name, as tests and reports state it.
    pub const fn name(self) -> &'static str {
        match self {
            Choice::Portable => "portable",
            #[cfg(kernel_dsp)]
            Choice::Dsp => "dsp",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512(_) => "avx512",
        }
    }
}
