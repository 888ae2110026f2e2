//! Rule 3 as these cores do it best.
//!
//! With a 64-bit product: v·2m·2^(24−t) / 2^32 is v·m / 2^(7+t) rounded down, and one more bit rounds it half up. Armv6-M
//! multiplies 32 bits only: v = 2^8·a + b, 0 ≤ b < 2^8, so ⌊v·m / 2^8⌋ = a·m + ⌊b·m / 2^8⌋, and |a·m| < 2^30.

use ldae_shared::fixed::Factor;
#[cfg(not(kernel_thumb))]
use ldae_shared::fixed::requantise;

/// A factor, ready to be applied; the assembly knows the places of the fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Scale {
    /// Armv6-M: m. Else twice m·2^(24−t), or 0 where that does not fit.
    multiplier: i32,
    /// 2^(t−1).
    #[cfg(kernel_thumb)]
    half: i32,
    #[cfg(kernel_thumb)]
    t: u32,
    /// m·2^16 + t.
    #[cfg(not(kernel_thumb))]
    factor: i32,
}

impl Scale {
    /// Never fast where sums can be left alone: the assembly gives them.
    pub(super) const NONE: Scale = Scale::new(0, 0);

    /// From the fields of a panel's header.
    #[cfg(kernel_thumb)]
    #[inline(always)]
    pub(super) const fn new(_high: i32, factor: i32) -> Self {
        let t = factor as u32 & 31;
        Scale { multiplier: factor >> 16, half: (1 << t) >> 1, t }
    }

    /// From the fields of a panel's header.
    #[cfg(not(kernel_thumb))]
    #[inline(always)]
    pub(super) const fn new(high: i32, factor: i32) -> Self {
        Scale { multiplier: high, factor }
    }

    /// From rule 3's pair.
    #[inline(always)]
    pub(super) const fn of(factor: Factor) -> Self {
        let (m, t) = (factor.m() as i32, factor.t());
        Self::new(if t >= 9 && t <= 25 { m << (25 - t) } else { 0 }, m << 16 | t as i32)
    }

    /// True where [`fast_i8`] and the assembly apply it.
    #[inline(always)]
    pub(super) const fn is_fast(self) -> bool {
        cfg!(kernel_thumb) || self.multiplier != 0
    }

    /// Twice the result of rule 3 before its rounding bit is taken off.
    #[inline(always)]
    fn doubled(self, v: i32) -> i32 {
        ((i64::from(v) * i64::from(self.multiplier)) >> 32) as i32 + 1
    }

    /// Rule 3 before the clamp, for |v| ≤ 2^23.
    #[cfg(kernel_thumb)]
    #[inline(always)]
    fn exact(self, v: i32) -> i32 {
        let q = (v >> 8).wrapping_mul(self.multiplier).wrapping_add((v & 255).wrapping_mul(self.multiplier) >> 8);
        q.wrapping_add(self.half) >> self.t
    }

    /// Rule 3 before the clamp, for |v| ≤ 2^23.
    #[cfg(not(kernel_thumb))]
    #[inline(always)]
    fn exact(self, v: i32) -> i32 {
        requantise(v, (self.factor >> 16) as u16, self.factor as u8)
    }
}

/// To -127..=127, with the saturation of Armv7-M.
#[cfg(all(target_arch = "arm", not(kernel_thumb)))]
#[inline(always)]
pub(super) fn clamped(v: i32) -> i32 {
    let saturated: i32;
    // SAFETY: SSAT reads and writes registers only.
    unsafe {
        core::arch::asm!("ssat {}, #8, {}", out(reg) saturated, in(reg) v, options(pure, nomem, nostack));
    }
    saturated.max(-127)
}

/// To -127..=127.
#[cfg(not(all(target_arch = "arm", not(kernel_thumb))))]
#[inline(always)]
pub(super) fn clamped(v: i32) -> i32 {
    v.clamp(-127, 127)
}

/// Rule 3 to the inputs of a matrix product, for a fast factor.
#[inline(always)]
pub(super) fn fast_i8(scale: Scale, v: i32) -> i8 {
    clamped(if cfg!(kernel_thumb) { scale.exact(v) } else { scale.doubled(v) >> 1 }) as i8
}

/// Rule 3 to the inputs of a matrix product.
#[inline(always)]
pub(super) fn to_i8(scale: Scale, v: i32) -> i8 {
    clamped(scale.exact(v)) as i8
}

/// Rule 3 to the residual stream.
#[inline(always)]
pub(super) fn to_i16(scale: Scale, v: i32) -> i16 {
    scale.exact(v).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}
