//! Rule 3 as these cores do it best.
//!
//! With a 64-bit product: v·2m·2^(24−t) / 2^32 is v·m / 2^(7+t) rounded down, and one more bit rounds it half up. Armv6-M
//! multiplies 32 bits only: v = 2^8·a + b, 0 ≤ b < 2^8, so ⌊v·m / 2^8⌋ = a·m + ⌊b·m / 2^8⌋, and |a·m| < 2^30.

use ldae_shared::fixed::Factor;

/// A factor, ready to be applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Twice m·2^(24−t), or 0 where that does not fit.
    high: i32,
    m: i32,
    t: u32,
}

impl Scale {
    /// From the fields of a panel's header.
    #[inline(always)]
    pub(super) const fn new(high: i32, factor: i32) -> Self {
        Scale { high, m: factor >> 16, t: factor as u32 & 31 }
    }

    /// From rule 3's pair.
    #[inline(always)]
    pub(super) const fn of(factor: Factor) -> Self {
        let (m, t) = (factor.m() as i32, factor.t());
        Self::new(if t >= 9 && t <= 25 { m << (25 - t) } else { 0 }, m << 16 | t as i32)
    }

    /// True where [`fast_i8`] and [`fast_i16`] apply.
    #[inline(always)]
    pub(super) const fn is_fast(self) -> bool {
        cfg!(kernel_thumb) || self.high != 0
    }

    /// Twice the result of rule 3 before its rounding bit is taken off.
    #[inline(always)]
    fn doubled(self, v: i32) -> i32 {
        ((i64::from(v) * i64::from(self.high)) >> 32) as i32 + 1
    }

    /// Rule 3 before the clamp, for |v| ≤ 2^23.
    #[inline(always)]
    fn by_parts(self, v: i32) -> i32 {
        let q = (v >> 8).wrapping_mul(self.m).wrapping_add((v & 255).wrapping_mul(self.m) >> 8);
        q.wrapping_add((1 << self.t) >> 1) >> self.t
    }
}

/// Half of `doubled`, saturated to `BITS` bits: one instruction of Armv7-M.
#[cfg(all(target_arch = "arm", not(kernel_thumb)))]
#[inline(always)]
fn half_saturated<const BITS: u32>(doubled: i32) -> i32 {
    let half: i32;
    // SAFETY: SSAT reads and writes registers only.
    unsafe {
        core::arch::asm!("ssat {0}, #{2}, {1}, asr #1", out(reg) half, in(reg) doubled, const BITS,
            options(pure, nomem, nostack));
    }
    half
}

/// Half of `doubled`, saturated to `BITS` bits.
#[cfg(not(all(target_arch = "arm", not(kernel_thumb))))]
#[inline(always)]
fn half_saturated<const BITS: u32>(doubled: i32) -> i32 {
    (doubled >> 1).clamp(-1 << (BITS - 1), (1 << (BITS - 1)) - 1)
}

/// Rule 3 to the inputs of a matrix product, for a fast factor.
#[inline(always)]
pub(super) fn fast_i8(scale: Scale, v: i32) -> i8 {
    if cfg!(kernel_thumb) { to_i8(scale, v) } else { half_saturated::<8>(scale.doubled(v)).max(-127) as i8 }
}

/// Rule 3 to the residual stream, for a fast factor.
#[inline(always)]
pub(super) fn fast_i16(scale: Scale, v: i32) -> i16 {
    if cfg!(kernel_thumb) { to_i16(scale, v) } else { half_saturated::<16>(scale.doubled(v)) as i16 }
}

/// Rule 3 to the inputs of a matrix product.
#[inline(always)]
pub(super) fn to_i8(scale: Scale, v: i32) -> i8 {
    scale.by_parts(v).clamp(-127, 127) as i8
}

/// Rule 3 to the residual stream.
#[inline(always)]
pub(super) fn to_i16(scale: Scale, v: i32) -> i16 {
    scale.by_parts(v).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}
