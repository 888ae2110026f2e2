//! x86-64: what the processor has, asked at run time, and the kernels for it.
//!
//! Artifacts in layout `dot` run on hand-written dot products ([`avx512`], [`avx2`]); canonical ones on the portable
//! loops compiled for wider vectors ([`canonical`]).
#![allow(unsafe_code)]

mod avx2;
mod avx512;
mod avx_vnni;
mod canonical;
mod ymm;

pub(crate) use avx_vnni::AvxVnniDot;
pub(crate) use avx2::Avx2Dot;
pub(crate) use avx512::Avx512Dot;
pub(crate) use canonical::{Avx2, Avx512};

use core::arch::x86_64::{__cpuid_count, _xgetbv};

/// Rule 3 of sixteen channels: m, t and 2^(t−1).
#[derive(Clone, Copy)]
pub(crate) struct Factors<A> {
    m: A,
    t: A,
    half: A,
}

/// Proof that this machine has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2Token(());

/// Proof that this machine has AVX2 and AVX-VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvxVnniToken(());

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

impl AvxVnniToken {
    /// Asks the processor and the operating system.
    pub fn detect() -> Option<Self> {
        Avx2Token::detect()?;
        // Leaf 7 exists where AVX2 does; sub-leaf 1 where sub-leaf 0 says so.
        let has_subleaf = __cpuid_count(7, 0).eax >= 1;
        (has_subleaf && __cpuid_count(7, 1).eax & (1 << 4) != 0).then_some(AvxVnniToken(()))
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
