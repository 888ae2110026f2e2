//! x86-64: the portable loops compiled for AVX2 and AVX-512, chosen at run time.
//!
//! The bits cannot differ: it is the same integer source. Hand-written products come on top of this interface.
#![allow(unsafe_code)]

use super::portable::{self, Portable};
use super::{Family, HeadRows, HeadShape, Input, Kernel};
use core::arch::x86_64::{__cpuid_count, _xgetbv};
use ldae_shared::fixed::{Factor, NormToken};
use ldae_shared::format::{Block, Linear};

/// Proof that this machine has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2Token(());

/// Proof that this machine has AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512Token(());

/// Which vector state the operating system saves (XCR0), or 0 when it cannot be asked.
fn saved_state() -> u64 {
    // CPUID exists on every x86-64; leaf 1 always does.
    let leaf1 = __cpuid_count(1, 0);
    if leaf1.ecx & (1 << 27) == 0 {
        return 0;
    }
    #[target_feature(enable = "xsave")]
    fn xcr0() -> u64 {
        // SAFETY: XGETBV of register 0 is valid where OSXSAVE is set, checked by the only caller.
        unsafe { _xgetbv(0) }
    }
    // SAFETY: OSXSAVE (bit 27) is set, so the instruction exists and is enabled.
    unsafe { xcr0() }
}

fn leaf7_ebx_ecx() -> (u32, u32) {
    if __cpuid_count(0, 0).eax < 7 {
        return (0, 0);
    }
    let leaf = __cpuid_count(7, 0);
    (leaf.ebx, leaf.ecx)
}

impl Avx2Token {
    /// Asks the processor and the operating system.
    pub fn detect() -> Option<Self> {
        let ymm = 0b110;
        let (ebx, _) = leaf7_ebx_ecx();
        (saved_state() & ymm == ymm && ebx & (1 << 5) != 0).then_some(Avx2Token(()))
    }
}

impl Avx512Token {
    /// Asks the processor and the operating system.
    pub fn detect() -> Option<Self> {
        let zmm = 0b1110_0110;
        let (ebx, ecx) = leaf7_ebx_ecx();
        let f_dq_bw_vl = (1 << 16) | (1 << 17) | (1 << 30) | (1 << 31);
        let ok = saved_state() & zmm == zmm && ebx & f_dq_bw_vl == f_dq_bw_vl && ecx & (1 << 11) != 0;
        (ok && Avx2Token::detect().is_some()).then_some(Avx512Token(()))
    }
}

macro_rules! compiled_for {
    ($kernel:ident, $module:ident, $features:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// Reached only through [`super::Choice`], whose tokens exist only where the processor has the features.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $kernel;

        mod $module {
            use super::{Block, Factor, HeadRows, HeadShape, Input, Kernel, Linear, NormToken, Portable, portable};

            #[target_feature(enable = $features)]
            pub(super) fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
                portable::linear_i8(x, layer, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
                portable::linear_i16(x, layer, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn logits(q: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, out: &mut [i8]) {
                portable::logits(q, head, keys, factor, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn weighted_values(
                probabilities: &[u16],
                head: HeadShape,
                values: &[u8],
                factor: Factor,
                work: &mut [u8],
                out: &mut HeadRows<'_>,
            ) {
                portable::weighted_values(probabilities, head, values, factor, work, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
                Portable::softmax(block, logits, probabilities);
            }

            #[target_feature(enable = $features)]
            pub(super) fn sums(row: &[i16]) -> (i32, u64) {
                Portable::sums(row)
            }

            #[target_feature(enable = $features)]
            pub(super) fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
                Portable::normalise(row, token, out);
            }
        }

        // SAFETY of the calls: a `Choice` of this kernel holds its token, and tokens come from `detect` only.
        impl Kernel for $kernel {
            const FAMILY: Family = Family::Portable;

            fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
                unsafe { $module::linear_i8(x, layer, out) }
            }

            fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
                unsafe { $module::linear_i16(x, layer, out) }
            }

            fn logits(
                q: &mut HeadRows<'_>,
                head: HeadShape,
                keys: &[u8],
                factor: Factor,
                _work: &mut [u8],
                out: &mut [i8],
            ) {
                unsafe { $module::logits(q, head, keys, factor, out) }
            }

            fn weighted_values(
                probabilities: &[u16],
                head: HeadShape,
                values: &[u8],
                factor: Factor,
                work: &mut [u8],
                out: &mut HeadRows<'_>,
            ) {
                unsafe { $module::weighted_values(probabilities, head, values, factor, work, out) }
            }

            fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
                unsafe { $module::softmax(block, logits, probabilities) }
            }

            fn sums(row: &[i16]) -> (i32, u64) {
                unsafe { $module::sums(row) }
            }

            fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
                unsafe { $module::normalise(row, token, out) }
            }
        }
    };
}

compiled_for!(Avx2, avx2, "avx2", "The portable loops compiled for AVX2.");
compiled_for!(
    Avx512,
    avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
    "The portable loops compiled for AVX-512."
);
