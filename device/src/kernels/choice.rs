//! Which kernel runs: by the artifact's layout, this build and this machine.

use super::Family;
#[cfg(kernel_neon)]
use super::aarch64;
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
    /// Helium, the vectors of Armv8.1-M.
    #[cfg(kernel_mve)]
    Mve,
    /// Two products a multiplication, for cores without SIMD.
    #[cfg(kernel_two_lane)]
    TwoLane,
    /// The portable loops compiled for AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2Token),
    /// The portable loops compiled for AVX-512 (F, BW, VL, VNNI).
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512Token),
    /// Dot products in AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2Dot(x86::Avx2Token),
    /// Dot products in AVX-VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni(x86::AvxVnniToken),
    /// Dot products in AVX-512 VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(x86::Avx512Token),
    /// Advanced SIMD.
    #[cfg(kernel_neon)]
    Neon,
    /// Advanced SIMD with dot products.
    #[cfg(kernel_neon)]
    NeonDotprod(aarch64::DotprodToken),
}

impl Choice {
    /// Families of kernels, beside the portable one, that this build may choose.
    pub(crate) const FAMILIES: &'static [Family] = &[
        #[cfg(kernel_dsp)]
        Family::Dsp,
        #[cfg(kernel_mve)]
        Family::Mve,
        #[cfg(kernel_two_lane)]
        Family::TwoLane,
        #[cfg(any(target_arch = "x86_64", kernel_neon))]
        Family::Dot,
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
    fn fast() -> [Option<Choice>; 5] {
        #[cfg(kernel_dsp)]
        return [Some(Choice::Dsp), None, None, None, None];
        #[cfg(kernel_mve)]
        return [Some(Choice::Mve), None, None, None, None];
        #[cfg(kernel_two_lane)]
        return [Some(Choice::TwoLane), None, None, None, None];
        #[cfg(target_arch = "x86_64")]
        {
            let (avx2, avx512) = (x86::Avx2Token::detect(), x86::Avx512Token::detect());
            return [
                avx2.map(Choice::Avx2),
                avx512.map(Choice::Avx512),
                avx2.map(Choice::Avx2Dot),
                x86::AvxVnniToken::detect().map(Choice::AvxVnni),
                avx512.map(Choice::Avx512Vnni),
            ];
        }
        #[cfg(kernel_neon)]
        return [Some(Choice::Neon), aarch64::DotprodToken::detect().map(Choice::NeonDotprod), None, None, None];
        #[allow(unreachable_code)]
        [None; 5]
    }

    /// Memory plan and weight layout.
    pub const fn family(self) -> Family {
        match self {
            Choice::Portable => Family::Portable,
            #[cfg(kernel_dsp)]
            Choice::Dsp => Family::Dsp,
            #[cfg(kernel_mve)]
            Choice::Mve => Family::Mve,
            #[cfg(kernel_two_lane)]
            Choice::TwoLane => Family::TwoLane,
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2(_) | Choice::Avx512(_) => Family::Portable,
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2Dot(_) | Choice::AvxVnni(_) | Choice::Avx512Vnni(_) => Family::Dot,
            #[cfg(kernel_neon)]
            Choice::Neon | Choice::NeonDotprod(_) => Family::Dot,
        }
    }

    /// Name, as tests and reports state it.
    pub const fn name(self) -> &'static str {
        match self {
            Choice::Portable => "portable",
            #[cfg(kernel_dsp)]
            Choice::Dsp => "dsp",
            #[cfg(kernel_mve)]
            Choice::Mve => "mve",
            #[cfg(kernel_two_lane)]
            Choice::TwoLane => "two-lane",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2(_) => "avx2-canonical",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512(_) => "avx512-canonical",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2Dot(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Choice::AvxVnni(_) => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512Vnni(_) => "avx512-vnni",
            #[cfg(kernel_neon)]
            Choice::Neon => "neon",
            #[cfg(kernel_neon)]
            Choice::NeonDotprod(_) => "neon-dot",
        }
    }
}
