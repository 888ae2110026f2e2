//! 64-bit Arm: Advanced SIMD, which every such target with floating point has, and its dot products, asked at run time.
#![allow(unsafe_code)]

mod neon;
mod rows;

pub(crate) use neon::{NeonDot, NeonDotprod};

/// Proof that this machine has FEAT_DotProd (SDOT): Cortex-A55, A75 and later, Apple's processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DotprodToken(());

impl DotprodToken {
    /// From the target's features, or from the operating system.
    pub fn detect() -> Option<Self> {
        (cfg!(target_feature = "dotprod") || hwcap_dotprod()).then_some(DotprodToken(()))
    }
}

/// What the kernel of Linux tells every program (`man getauxval`, arch/arm64/include/uapi/asm/hwcap.h).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn hwcap_dotprod() -> bool {
    const AT_HWCAP: core::ffi::c_ulong = 16;
    const HWCAP_ASIMDDP: core::ffi::c_ulong = 1 << 20;
    unsafe extern "C" {
        fn getauxval(kind: core::ffi::c_ulong) -> core::ffi::c_ulong;
    }
    // SAFETY: every C library of Linux has this function since 2012; it reads a table that does not change.
    unsafe { getauxval(AT_HWCAP) & HWCAP_ASIMDDP != 0 }
}

/// Elsewhere only what the target promises is used.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn hwcap_dotprod() -> bool {
    false
}
