//! Cosines without rounding: compared as fractions of integers, reported in Q15.
//!
//! Bounds, with E ≤ 2^13 components: |query · other| ≤ 2^7·2^15·2^13 = 2^35 (the other vector may be a sum of 255
//! examples), squared norms ≤ 2^27 (codes) and 2^43 (sums), so every product below stays under 2^113.

use core::cmp::Ordering;

/// Cosine 1 in Q15.
pub const ONE: i32 = 1 << 15;

/// Σ code². At most 2^14·2^13.
pub(super) fn norm2<const E: usize>(codes: &[i8; E]) -> u32 {
    codes.iter().map(|&c| u32::from(c.unsigned_abs()).pow(2)).sum()
}

/// How far a query reaches along the direction of another vector: query · other / |other|. For one query this orders
/// vectors exactly as the cosine does. Compared by cross-multiplication: no division, no rounding.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    /// query · other.
    dot: i64,
    /// |other|².
    norm2: u64,
}

impl Projection {
    /// On nothing: below every positive projection, above every negative one.
    pub(super) const ZERO: Projection = Projection { dot: 0, norm2: 0 };

    /// Of `query` on an embedding of squared norm `norm2`.
    pub(super) fn on_codes<const E: usize>(query: &[i8; E], codes: &[i8; E], norm2: u32) -> Self {
        let dot: i32 = query.iter().zip(codes).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
        Projection { dot: i64::from(dot), norm2: u64::from(norm2) }
    }

    /// Of `query` on a sum of embeddings.
    pub(super) fn on_sums<const E: usize>(query: &[i8; E], sums: &[i16; E], norm2: u64) -> Self {
        // Blocks of 64 terms of at most 2^22 stay in 32 bits: small cores have no 64-bit accumulator.
        let block = |(a, b): (&[i8], &[i16])| -> i64 {
            i64::from(a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>())
        };
        Projection { dot: query.chunks(64).zip(sums.chunks(64)).map(block).sum(), norm2 }
    }

    /// The cosine in Q15 for a query of squared norm `query`: 2^15 · dot / sqrt(query · norm2), rounded to nearest, halves
    /// away from zero; 0 when either norm is 0. Found by bisection: y is right when (2y − 1)² · N ≤ 2^32 · dot².
    pub(super) fn cosine(self, query: u32) -> i32 {
        let product = u128::from(query) * u128::from(self.norm2);
        if product == 0 {
            return 0;
        }
        let target = square(self.dot) << 32;
        let (mut low, mut high) = (0, ONE + 1); // the cosine is at least `low` and below `high`
        while high - low > 1 {
            let middle = (low + high) / 2;
            let odd = (2 * middle - 1).unsigned_abs();
            let reached = u128::from(u64::from(odd) * u64::from(odd)) * product <= target;
            *(if reached { &mut low } else { &mut high }) = middle;
        }
        if self.dot < 0 { -low } else { low }
    }
}

fn square(value: i64) -> u128 {
    let value = u128::from(value.unsigned_abs());
    value * value
}

impl Ord for Projection {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.dot.signum();
        sign.cmp(&other.dot.signum()).then_with(|| {
            let (own, others) =
                (square(self.dot) * u128::from(other.norm2), square(other.dot) * u128::from(self.norm2));
            if sign < 0 { others.cmp(&own) } else { own.cmp(&others) }
        })
    }
}

impl PartialOrd for Projection {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Projection {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Projection {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cosine_is_rounded_to_nearest_halves_away_from_zero() {
        let cosine = |dot, query, norm2| Projection { dot, norm2 }.cosine(query);
        assert_eq!(cosine(25, 25, 25), ONE);
        assert_eq!(cosine(-25, 25, 25), -ONE);
        assert_eq!(cosine(0, 25, 25), 0);
        assert_eq!(cosine(0, 0, 0), 0);
        // 2^15/65536 is exactly one half; one less than that rounds down.
        assert_eq!((cosine(1, 65536, 65536), cosine(-1, 65536, 65536)), (1, -1));
        assert_eq!(cosine(1, 65537, 65536), 0);
        // 3/65536 of 2^15 is 1.5.
        assert_eq!((cosine(3, 65536, 65536), cosine(-3, 65536, 65536)), (2, -2));
        // The largest values: all codes of 8192 components at −128.
        assert_eq!(cosine(1 << 27, 1 << 27, 1 << 27), ONE);
        assert_eq!(cosine(-(1 << 35), 1 << 27, 1 << 43), -ONE);
    }

    #[test]
    fn equal_directions_of_different_lengths_are_equal() {
        let short = Projection { dot: 7, norm2: 50 };
        let long = Projection { dot: 21, norm2: 450 };
        assert_eq!(short, long);
        assert!(Projection { dot: -7, norm2: 50 } < Projection { dot: -6, norm2: 50 });
        assert!(Projection { dot: -1, norm2: 1 } < Projection { dot: 0, norm2: 0 });
        assert_eq!(Projection { dot: 0, norm2: 0 }, Projection { dot: 0, norm2: 9 });
    }

    proptest! {
        /// Against f64 wherever f64 can tell them apart.
        #[test]
        fn the_order_is_that_of_the_real_numbers(a in (-(1i64 << 35)..1 << 35, 1u64..1 << 43), b in (-(1i64 << 35)..1 << 35, 1u64..1 << 43)) {
            let real = |p: (i64, u64)| p.0 as f64 / (p.1 as f64).sqrt();
            let (x, y) = (real(a), real(b));
            prop_assume!((x - y).abs() > 1e-9 * (x.abs() + y.abs()));
            let exact = Projection { dot: a.0, norm2: a.1 }.cmp(&Projection { dot: b.0, norm2: b.1 });
            prop_assert_eq!(exact, x.total_cmp(&y));
        }

        #[test]
        fn the_cosine_is_the_nearest_step(codes in prop::array::uniform5(any::<i8>()), query in prop::array::uniform5(any::<i8>())) {
            let (n, q) = (norm2(&codes), norm2(&query));
            let y = Projection::on_codes(&query, &codes, n).cosine(q);
            let dot: i64 = query.iter().zip(&codes).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
            let real = if n == 0 || q == 0 { 0.0 } else { 32768.0 * dot as f64 / (f64::from(n) * f64::from(q)).sqrt() };
            prop_assert!((f64::from(y) - real).abs() <= 0.5 + 1e-6, "{} {}", y, real);
        }
    }
}
