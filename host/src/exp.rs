//! The exponential of everything that the host computes in f32 on slices.

/// e^x within 2e-7 relative, for x clamped to -87..88 (below it 1.6e-38, above it 1.7e38). Plain f32 arithmetic without
/// branches, so that the compiler uses vector instructions and every machine computes the same.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2; e^r by the polynomial of the Cephes library's `expf` (Moshier, 1989), 2^n by
/// writing the exponent.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5·2^23: adding it rounds to an integer
    const LN_2_HIGH: f32 = 0.693_359_4; // 355/512, exact products with |n| < 2^14
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const C: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5];
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = ((((C[0] * r + C[1]) * r + C[2]) * r + C[3]) * r + C[4]) * r + C[5];
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    (p * r * r + r + 1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_close_to_the_exact_one_everywhere() {
        let mut x = -86.99f32;
        while x < 88.0 {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2e-7, "{x}: {} {exact}", exp(x));
            x += 0.000_37;
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38 && exp(f32::INFINITY) > 1e38);
        assert!(exp(f32::NAN).is_nan());
    }
}
