//! Rule 3 by one high product: v·2m·2^(24−t) / 2^32 is v·m / 2^(7+t) rounded down, and one more bit rounds it half up.

use ldae_shared::fixed::{Factor, requantise};

/// A factor, ready to be applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Twice m·2^(24−t), or 0 where that does not fit.
    high: i32,
    /// m·2^16 + t.
    factor: i32,
}

impl Scale {
    /// From the fields of a panel's header.
    #[inline(always)]
    pub(super) const fn new(high: i32, factor: i32) -> Self {
        Scale { high, factor }
    }

    /// From rule 3's pair.
    pub(super) const fn of(factor: Factor) -> Self {
        let (m, t) = (factor.m() as i32, factor.t());
        Scale { high: if t > 9 && t < 26 { m << (25 - t) } else { 0 }, factor: m << 16 | t as i32 }
    }

    #[inline(always)]
    fn apply(self, v: i32) -> i32 {
        if self.high == 0 {
            return self.slowly(v);
        }
        (((i64::from(v) * i64::from(self.high)) >> 32) as i32 + 1) >> 1
    }

    #[cold]
    #[inline(never)]
    fn slowly(self, v: i32) -> i32 {
        requantise(v, (self.factor >> 16) as u16, self.factor as u8)
    }
}

/// Rule 3 to the inputs of a matrix product.
#[inline(always)]
pub(super) fn to_i8(scale: Scale, v: i32) -> i8 {
    scale.apply(v).clamp(-127, 127) as i8
}

/// Rule 3 to the residual stream.
#[inline(always)]
pub(super) fn to_i16(scale: Scale, v: i32) -> i16 {
    scale.apply(v).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}
