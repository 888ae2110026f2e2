//! Every step against wide-integer arithmetic or against exact rationals, at the edges and at random.

use super::*;
use proptest::prelude::*;

/// Rule 3 as stated: one rounding, half up, of v·m / 2^(8+t), in 128-bit arithmetic.
fn rule3_wide(v: i32, m: u16, t: u8) -> i128 {
    let product = v as i128 * m as i128;
    let q = product.div_euclid(256);
    (q + (1i128 << (t - 1))).div_euclid(1i128 << t)
}

#[test]
fn rule3_over_its_edges() {
    let vs =
        [0, 1, -1, 127, -127, 128, 255, 256, -256, ACC_LIMIT, -ACC_LIMIT, 1 << 22, -(1 << 22), -(1 << 23), 1 << 23];
    for m in [1 << 14, (1 << 14) + 1, 20_000, (1 << 15) - 1] {
        for t in 1..=30 {
            for v in vs {
                let want = rule3_wide(v, m, t);
                assert_eq!(requantise(v, m, t) as i128, want, "v {v} m {m} t {t}");
                // "exactly one rounding, half up": the same as rounding the exact quotient.
                let exact = (v as i128 * m as i128 + (1i128 << (7 + t))).div_euclid(1i128 << (8 + t));
                assert_eq!(want, exact);
            }
        }
    }
}

proptest! {
    #[test]
    fn rule3_at_random(v in -(1i32 << 23)..=(1 << 23), m in (1u16 << 14)..(1 << 15), t in 1u8..=30) {
        prop_assert_eq!(requantise(v, m, t) as i128, rule3_wide(v, m, t));
        let f = Factor::new(m, t).unwrap();
        prop_assert_eq!(f.to_i8(v) as i128, rule3_wide(v, m, t).clamp(-127, 127));
        prop_assert_eq!(f.to_i16(v) as i128, rule3_wide(v, m, t).clamp(-32768, 32767));
    }

    #[test]
    fn roots(v: u64) {
        let r = isqrt_u64(v) as u128;
        prop_assert!(r * r <= v as u128 && (r + 1) * (r + 1) > v as u128);
        let r = isqrt_u32(v as u32) as u64;
        prop_assert!(r * r <= (v as u32) as u64 && (r + 1) * (r + 1) > (v as u32) as u64);
    }

    #[test]
    fn norm_is_the_rounded_normalisation(xs in prop::collection::vec(any::<i16>(), 1..300)) {
        check_norm(&xs)?;
    }

    #[test]
    fn norm_of_small_deviations(xs in prop::collection::vec(-3i16..=3, 2..300), offset in -30000i16..=30000) {
        let xs: std::vec::Vec<i16> = xs.iter().map(|x| x + offset).collect();
        check_norm(&xs)?;
    }

    #[test]
    fn rows_never_exceed_one(es in prop::collection::vec(any::<u16>(), 1..5000)) {
        let sum: u32 = es.iter().map(|&e| e as u32).sum();
        prop_assume!(sum > 0);
        let r = row_reciprocal(sum);
        let mut total = 0u64;
        for &e in &es {
            let p = r.apply(e) as u64;
            // Never above the exact probability, and within the two truncations below it.
            let exact = e as f64 * 32768.0 / sum as f64;
            prop_assert!(p as f64 <= exact + 1e-9, "p {p} exact {exact}");
            prop_assert!(p as f64 > exact * (1.0 - 1.0 / 8192.0) - 1.0, "p {p} exact {exact}");
            total += p;
        }
        prop_assert!(total <= 32768);
    }
}

/// Both ends, the default and one between.
const RANGES: [u8; 4] = [16, 80, 109, 255];

fn check_norm(xs: &[i16]) -> Result<(), TestCaseError> {
    RANGES.iter().try_for_each(|&sixteenths| check_norm_over(xs, NormRange::new(sixteenths).unwrap()))
}

fn check_norm_over(xs: &[i16], range: NormRange) -> Result<(), TestCaseError> {
    let w = xs.len() as f64;
    let per_deviation = 127.0 * 16.0 / range.sixteenths() as f64; // codes
    let sum: i32 = xs.iter().map(|&x| x as i32).sum();
    let squares: u64 = xs.iter().map(|&x| (x as i64 * x as i64) as u64).sum();
    let token = norm_token(sum, squares, NormScale::new(NonZeroU32::new(xs.len() as u32).unwrap(), range));
    let mean = sum as f64 / w;
    let v = w * squares as f64 - (sum as f64) * (sum as f64);
    let exact_v = xs.len() as i128 * squares as i128 - sum as i128 * sum as i128;
    if exact_v == 0 {
        prop_assert!(token.factor.is_none());
        prop_assert!(xs.iter().all(|&x| token.apply(x) == 0));
        return Ok(());
    }
    prop_assert!(token.factor.is_some());
    let sd = v.sqrt() / w;
    for &x in xs {
        let exact = ((x as f64 - mean) / sd * per_deviation).clamp(-127.0, 127.0);
        // 2^-14 of the value (factor), half a mean128 step over 128 deviations, half a code.
        let slack = 0.5 + exact.abs() / 8192.0 + per_deviation / (128.0 * sd) * 0.51 + 1e-6;
        prop_assert!(
            (token.apply(x) as f64 - exact).abs() <= slack,
            "{x}: {} against {exact}, sd {sd}",
            token.apply(x)
        );
    }
    Ok(())
}

#[test]
fn norm_extremes_keep_the_factor_in_range() {
    for width in 1..=2048usize {
        let w = NonZeroU32::new(width as u32).unwrap();
        // One-hot by one step: the smallest variance there is; and half +max, half -max: the largest.
        for (sum, squares) in
            [(1i32, 1u64), (((width / 2) as i32) * 32767 - ((width - width / 2) as i32) * 32768, (width as u64) << 30)]
        {
            for sixteenths in RANGES {
                let range = NormRange::new(sixteenths).unwrap();
                let token = norm_token(sum, squares.max(1), NormScale::new(w, range));
                if width > 1 {
                    // The shift was not clamped: the factor is the one that the variance asks for.
                    let v = width as f64 * squares as f64 - (sum as f64).powi(2);
                    let exact = 127.0 * 16.0 * width as f64 / (128.0 * range.sixteenths() as f64 * v.sqrt());
                    let factor = token.factor.unwrap();
                    let real = factor.m() as f64 / 2f64.powi(8 + factor.t() as i32);
                    assert!((real / exact - 1.0).abs() < 1.0 / 8192.0, "{width} {sixteenths}: {real} {exact}");
                }
            }
        }
    }
}

#[test]
fn ranges_below_one_deviation_are_refused() {
    assert!((0..16).all(|r| NormRange::new(r).is_none()));
    assert!((16..=255).all(|r| NormRange::new(r).is_some_and(|n| n.sixteenths() == r)));
}

#[test]
fn pooled_sums_fit_rule_3() {
    for tokens in 1..=4096u32 {
        let a = pool_shift(tokens);
        let top = (127u64 * tokens as u64) << a;
        assert!(top < 1 << 22, "{tokens}");
        assert!(a == 20 || top << 1 >= 1 << 22, "{tokens}");
    }
}
