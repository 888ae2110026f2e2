//! Fixed-point steps that define the bits of an embedding: NUMERICS.md rule 3 (requantisation), the integer square
//! root and the reciprocals of rules 5 and 6. Pure functions of integers: no float, no overflow, no panic.

use core::num::NonZeroU32;

/// Largest magnitude of an accumulator that is requantised (rule 2): 2^23 − 1, so that `v·2^8` fits in an i32.
pub const ACC_LIMIT: i32 = (1 << 23) - 1;

/// A factor `m / 2^(8+t)` of rule 3: `2^14 ≤ m < 2^15`, `1 ≤ t ≤ 30`, so factors from 2^-24 up to (not including) 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    m: u16,
    t: u8,
}

impl Factor {
    /// 2^-24, the smallest factor.
    pub const SMALLEST: Factor = Factor { m: 1 << 14, t: 30 };

    /// Accepts exactly the normalised pairs of rule 3.
    pub const fn new(m: u16, t: u8) -> Option<Self> {
        if m >= 1 << 14 && m < 1 << 15 && t >= 1 && t <= 30 { Some(Factor { m, t }) } else { None }
    }

    /// 15-bit multiplier m.
    pub const fn m(self) -> u16 {
        self.m
    }

    /// Shift t.
    pub const fn t(self) -> u8 {
        self.t
    }

    /// m·2^(24−t), whose rounded high product with v is rule 3 ([`high_factor`]).
    #[inline(always)]
    pub const fn high(self) -> Option<i32> {
        high_factor(self.m, self.t)
    }

    /// Rule 3 before the clamp: one rounding, half up, of `v·m / 2^(8+t)`. Needs |v| ≤ 2^23 (the loader proves it).
    #[inline(always)]
    pub const fn scale(self, v: i32) -> i32 {
        requantise(v, self.m, self.t)
    }

    /// Rule 3 to the inputs of a matrix product: −127..=127.
    #[inline(always)]
    pub fn to_i8(self, v: i32) -> i8 {
        self.scale(v).clamp(-127, 127) as i8
    }

    /// Rule 3 to the residual stream.
    #[inline(always)]
    pub fn to_i16(self, v: i32) -> i16 {
        self.scale(v).clamp(i16::MIN as i32, i16::MAX as i32) as i16
    }
}

/// m·2^(24−t): rule 3 is one rounding, half up, of v·m / 2^(8+t), so it is the rounded high half of v times this (SMMULR,
/// VRMULH). `None` where 24 − t is not in 0..=16, that is for factors below 2^-18 or of 1/2 and more: those take the rule as
/// it is written.
#[inline(always)]
pub const fn high_factor(m: u16, t: u8) -> Option<i32> {
    if t >= 8 && t <= 24 { Some((m as i32) << (24 - t)) } else { None }
}

/// Rule 3 before the clamp, on raw fields: q = ⌊v·m / 2^8⌋, (q + 2^(t−1)) >> t.
/// `t` is masked to 1..=31 so that no input can panic; [`Factor`] guarantees the range.
#[inline(always)]
pub const fn requantise(v: i32, m: u16, t: u8) -> i32 {
    let q = ((v as i64 * m as i64) >> 8) as i32;
    let t = t & 31;
    // t = 0 cannot occur in a Factor; `>> 1` of 1 << 0 gives 0 and keeps this total.
    q.wrapping_add((1i32 << t) >> 1) >> t
}

/// ⌊√v⌋.
#[inline]
pub const fn isqrt_u32(v: u32) -> u32 {
    v.isqrt()
}

/// ⌊√v⌋.
#[inline]
pub const fn isqrt_u64(v: u64) -> u64 {
    v.isqrt()
}

/// One token's LayerNorm (rule 5) reduced to integers: `y = clamp(rule3(128·x − mean128, factor))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormToken {
    /// Mean of the token times 128, rounded half up.
    pub mean128: i32,
    /// 127 divided by 128 ranges ([`NormRange`], in units of the stream); `None` for a constant token, which gives zeros.
    pub factor: Option<Factor>,
}

/// Range of a LayerNorm's codes (rule 5) in sixteenths of a standard deviation, ±1 to ±15.9. The codes of the value y
/// are 127·y/range. A token of W values lies within ±√(W − 1), and one channel far above the others reaches that end:
/// ±5 clipped a fifth of the tokens of one trained encoder (docs/RESULTS.md, scenes96).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormRange(u8);

impl NormRange {
    /// ±5, the range of artifacts that state none.
    pub const FIVE: NormRange = NormRange(80);

    /// From sixteenths of a deviation. Below ±1 the factor could leave rule 3's range: refused.
    pub const fn new(sixteenths: u8) -> Option<Self> {
        if sixteenths >= 16 { Some(NormRange(sixteenths)) } else { None }
    }

    /// Sixteenths of a standard deviation.
    pub const fn sixteenths(self) -> u8 {
        self.0
    }
}

/// What one LayerNorm's tokens share: the width, and 127·W/(128·range) as n·2^e with 2^15 ≤ n < 2^16 (one rounding).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormScale {
    width: NonZeroU32,
    n: u32,
    e: i32,
}

impl NormScale {
    /// Of rows of `width` values (at most 2^14: the format ends at 2048).
    pub const fn new(width: NonZeroU32, range: NormRange) -> Self {
        // 127·16·W·2^k/(128·r) = 127·W·2^k/(8·r) with k = 32 has at least 27 significant bits for every W ≥ 1.
        let (wide, by) = ((127 * width.get() as u64) << 32, 8 * range.0 as u64);
        // `by` is at least 128; the maximum is for the compiler, so that it sees no division by zero.
        let value = (wide + by / 2) / if by == 0 { 1 } else { by };
        let bits = 64 - value.leading_zeros() as i32; // value in [2^(bits-1), 2^bits)
        let shift = bits - 16;
        let n = (value + (1 << (shift - 1))) >> shift;
        // Rounding may carry to 2^16: halve and raise the exponent.
        let (n, e) = if n == 1 << 16 { (1 << 15, shift - 32 + 1) } else { (n as u32, shift - 32) };
        NormScale { width, n, e }
    }
}

/// Exact sums of a token to its [`NormToken`]: one integer square root and one division a token (rule 5).
///
/// `sum` = Σx and `squares` = Σx² over the W values x (i16). V = W·Σx² − (Σx)² = (W·σ)² is normalised by an even
/// shift to 32 bits, so that its root has 16 significant bits; the factor is exact to 2^-14 of itself.
pub fn norm_token(sum: i32, squares: u64, scale: NormScale) -> NormToken {
    let NormScale { width, n, e } = scale;
    let w = width.get();
    // 128·Σx/W, half up, in 32-bit divisions: with Σx = W·q + r it is 128·q + ⌊(256·r + W)/2W⌋. |Σx| ≤ W·2^15 and W ≤ 2^14
    // make the shifted sum positive and below 2^31.
    let shifted = (sum as u32).wrapping_add(w << 15);
    let (q, r) = (shifted / width, shifted % width);
    let mean128 = (128 * q + ((256 * r + w) >> 1) / width) as i32 - (128 << 15);
    let v = (u64::from(w) * squares).saturating_sub((i64::from(sum) * i64::from(sum)) as u64);
    if v == 0 {
        return NormToken { mean128, factor: None };
    }
    // Normalise to v32 in [2^30, 2^32): v = v32·2^(2a).
    let up = v.leading_zeros() & !1; // even shift that makes the top pair of bits non-zero
    let v32 = ((v << up) >> 32) as u32;
    let a = (32 - up as i32) / 2;
    let root = isqrt_u32(v32).max(1 << 15); // in [2^15, 2^16); W·σ = root·2^a
    // factor = n·2^e / (root·2^a): one division with a 15-bit quotient.
    let (num, shift) = if n >= root { (n << 14, 14) } else { (n << 15, 15) };
    let m = match NonZeroU32::new(root) {
        Some(root) => num / root,
        None => 1 << 14, // not reached: root ≥ 2^15
    };
    // factor = m·2^(e − a − shift) = m / 2^(8+t)  →  t = shift + a − e − 8
    let t = (shift + a - e - 8).clamp(1, 30) as u8;
    NormToken { mean128, factor: Factor::new((m as u16).clamp(1 << 14, (1 << 15) - 1), t) }
}

impl NormToken {
    /// The normalised value of one element: i8 over ±range.
    #[inline(always)]
    pub fn apply(self, x: i16) -> i8 {
        match self.factor {
            Some(f) => f.to_i8(i32::from(x) * 128 - self.mean128),
            None => 0,
        }
    }
}

/// Reciprocal of a softmax row sum (rule 6): `p = (e·r) >> shift` with Σp ≤ 2^15 for the entries e that sum to `sum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowReciprocal {
    r: u32,
    shift: u32,
}

/// One division a row. `sum` is Σe over the row's table entries (u16 each, at least one non-zero, below 2^30).
///
/// s is the smallest shift for which ⌈sum/2^s⌉ ≤ 2^16; r = ⌊2^31/⌈sum/2^s⌉⌋, at most 65535, so e·r fits in 32 bits and
/// every p is rounded down: Σp ≤ 2^15 always.
#[inline]
pub fn row_reciprocal(sum: u32) -> RowReciprocal {
    let sum = sum.max(1);
    let bits = 32 - sum.leading_zeros();
    if bits <= 16 {
        // Short rows: scale the sum up instead, so that r keeps 16 bits.
        let up = 16 - bits;
        let scaled = NonZeroU32::new(sum << up).unwrap_or(NonZeroU32::MIN);
        let r = ((1u32 << 31) / scaled).min(65_535);
        return RowReciprocal { r, shift: 16 - up };
    }
    let down = bits - 16;
    let scaled = (sum >> down) + u32::from(sum & ((1 << down) - 1) != 0);
    let scaled = NonZeroU32::new(scaled).unwrap_or(NonZeroU32::MIN);
    let r = ((1u32 << 31) / scaled).min(65_535);
    RowReciprocal { r, shift: 16 + down }
}

impl RowReciprocal {
    /// r·2^(32−shift): a probability is the high half of its entry times this. `None` where that needs more than 32 bits
    /// (row sums below 2^15, which no checked table gives).
    #[inline(always)]
    pub const fn high(self) -> Option<u32> {
        if self.shift >= 16 && self.shift <= 32 { Some(((self.r as u64) << (32 - self.shift)) as u32) } else { None }
    }

    /// Multiplier r, at most 65535.
    pub const fn multiplier(self) -> u16 {
        self.r as u16
    }

    /// Right shift of e·r, 1..=30 for sums below 2^30.
    pub const fn shift(self) -> u32 {
        self.shift
    }

    /// Probability of one table entry, 15 bits (0..=32767 where the sum is at least 2^15).
    #[inline(always)]
    pub fn apply(self, entry: u16) -> u16 {
        ((u32::from(entry) * self.r) >> (self.shift & 31)) as u16
    }
}

/// Left shift of pooled sums (rule 9) before they are requantised: the largest a with 127·tokens·2^a < 2^22.
pub const fn pool_shift(tokens: u32) -> u32 {
    let mut a = 0;
    while a < 20 && (127 * tokens as u64) << (a + 1) < 1 << 22 {
        a += 1;
    }
    a
}

#[cfg(test)]
mod tests;
