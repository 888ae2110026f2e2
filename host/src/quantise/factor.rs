//! Real numbers to rule 3: factors, and linear layers whose accumulators are proven to fit (rule 2).

use super::Dense;
use ldae_shared::fixed::{ACC_LIMIT, Factor};
use ldae_shared::format::LinearDesc;

/// Largest real factor that the writer uses; rule 3 goes up to (not including) 64.
pub(super) const MAX_FACTOR: f64 = 63.99;
/// Smallest real factor.
const MIN_FACTOR: f64 = 1.0 / (1 << 24) as f64;

/// Real value of a factor.
pub(super) fn value(f: Factor) -> f64 {
    f64::from(f.m()) / f64::powi(2.0, 8 + i32::from(f.t()))
}

/// True for the largest factor that the writer uses: what a row wants may be larger.
pub(super) fn is_capped(f: Factor) -> bool {
    value(f) >= MAX_FACTOR * (1.0 - 1.0 / 8192.0)
}

/// The smallest factor that is at least `f` (clamped to rule 3's range), so that a scale derived back from it never
/// makes a weight exceed 127.
pub(super) fn at_least(f: f64) -> Factor {
    rounded(f, f64::ceil)
}

/// The factor nearest to `f` (clamped to rule 3's range).
pub(super) fn nearest(f: f64) -> Factor {
    rounded(f, f64::round)
}

fn rounded(f: f64, round: impl Fn(f64) -> f64) -> Factor {
    let f = f.clamp(MIN_FACTOR, MAX_FACTOR);
    // m = f·2^(8+t) in [2^14, 2^15): t = 6 − floor(log2 f).
    let mut t = 6 - f.log2().floor() as i32;
    let mut m = round(f * f64::powi(2.0, 8 + t));
    if m >= 32768.0 {
        t -= 1;
        m = 16384.0;
    }
    // The logarithm of a power of two may come out a hair low: then m is just below 2^14.
    Factor::new(m.max(16384.0) as u16, t.clamp(1, 30) as u8).unwrap_or(Factor::SMALLEST)
}

/// A layer to quantise: `real output = Σ w·(scale_in·code) + b`, to codes of `scale_out`.
pub(super) struct Quantise<'a> {
    /// Weights already multiplied by per-input scales, if inputs have different ones.
    pub dense: &'a Dense,
    /// Value of one input code.
    pub scale_in: f64,
    /// Value of one output code, per output.
    pub scale_out: &'a dyn Fn(usize) -> f64,
    /// Every input code stands for `code + offset`.
    pub offset: f64,
    /// Largest magnitude of an input code: 127, or 128 for pixels.
    pub top: i64,
}

impl Quantise<'_> {
    /// Rows independently: the smallest weight scale that represents the row and keeps 127·Σ|w| + |bias| ≤ 2^23 − 1.
    pub(super) fn run(&self) -> LinearDesc {
        let d = self.dense;
        let mut out = LinearDesc { bias: Vec::new(), factor: Vec::new(), weights: Vec::new() };
        for (j, (row, &bias)) in d.weights.chunks_exact(d.inputs).zip(&d.bias).enumerate() {
            let (factor, weights, bias) = self.row(row, f64::from(bias), (self.scale_out)(j));
            out.bias.push(bias);
            out.factor.push(factor);
            out.weights.extend(weights);
        }
        out
    }

    fn row(&self, row: &[f32], bias: f64, scale_out: f64) -> (Factor, Vec<i8>, i32) {
        let largest = row.iter().fold(0f64, |m, &w| m.max(f64::from(w).abs()));
        // Scale of the weights from the wanted range, then enlarged until rule 2 holds.
        let mut scale = largest / 127.0;
        loop {
            let factor = at_least(self.scale_in * scale / scale_out);
            // The scale that the factor stands for: ≥ `scale`, unless the factor is at its cap. A capped row saturates its
            // output whatever its weights' size, so those are made smaller then, and the bias keeps what fits.
            let exact = value(factor) * scale_out / self.scale_in;
            let capped = is_capped(factor);
            let divisor = if capped { exact.max(scale) } else { exact };
            let weights: Vec<i8> =
                row.iter().map(|&w| (f64::from(w) / divisor).round().clamp(-127.0, 127.0) as i8).collect();
            let magnitude: i64 = weights.iter().map(|&w| i64::from(w).abs()).sum();
            let total: i64 = weights.iter().map(|&w| i64::from(w)).sum();
            let wanted = bias / (self.scale_in * exact) + self.offset * total as f64;
            let room = i64::from(ACC_LIMIT) - self.top * magnitude;
            if room >= 0 && (wanted.abs() <= room as f64 || capped) {
                let bias = (wanted.round() as i64).clamp(-room, room) as i32;
                return (factor, weights, bias);
            }
            scale = (divisor * 1.1).max(MIN_FACTOR * scale_out / self.scale_in);
        }
    }
}

/// Room for the bias of row `j` of a quantised layer under rule 2.
pub(super) fn bias_room(layer: &LinearDesc, j: usize, top: i64) -> i64 {
    let inputs = layer.weights.len() / layer.bias.len();
    let magnitude: i64 = layer.weights[j * inputs..(j + 1) * inputs].iter().map(|&w| i64::from(w).abs()).sum();
    i64::from(ACC_LIMIT) - top * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn factors_bracket(exponent in -23.9f64..5.99) {
            let f = f64::powf(2.0, exponent);
            let up = value(at_least(f));
            prop_assert!(up >= f && up <= f * (1.0 + 1.0 / 16000.0));
            prop_assert!((value(nearest(f)) / f - 1.0).abs() < 1.0 / 30000.0);
        }

        #[test]
        fn rows_obey_rule_2(
            row in prop::collection::vec(-3f32..3.0, 1..600),
            magnitude in -12f32..12.0,
            bias in -100f32..100.0,
            offset in -100f64..100.0,
        ) {
            let weights: Vec<f32> = row.iter().map(|w| w * magnitude.exp2()).collect();
            let dense = Dense { inputs: row.len(), outputs: 1, weights, bias: vec![bias] };
            let q = Quantise { dense: &dense, scale_in: 0.04, scale_out: &|_| 0.01, offset, top: 127 }.run();
            prop_assert!(bias_room(&q, 0, 127) >= i64::from(q.bias[0]).abs());
            prop_assert!(q.weights.iter().all(|&w| w > -128));
        }
    }

    /// Weights so large that the factor is at its cap, in rows so long that 127·Σ|w| alone exceeds rule 2's bound.
    #[test]
    fn long_rows_at_the_cap_obey_rule_2() {
        for inputs in [520, 600, 2000] {
            let dense = Dense { inputs, outputs: 1, weights: vec![3000.0; inputs], bias: vec![-38.0] };
            let q = Quantise { dense: &dense, scale_in: 0.04, scale_out: &|_| 0.01, offset: 47.0, top: 127 }.run();
            assert!(bias_room(&q, 0, 127) >= i64::from(q.bias[0]).abs());
            assert!(q.weights.iter().all(|&w| w > 0));
        }
    }

    #[test]
    fn a_dead_row_keeps_its_bias() {
        let dense = Dense { inputs: 4, outputs: 1, weights: vec![0.0; 4], bias: vec![0.5] };
        let q = Quantise { dense: &dense, scale_in: 0.04, scale_out: &|_| 0.01, offset: 0.0, top: 127 }.run();
        assert_eq!(q.factor[0].scale(q.bias[0]), 50);
    }
}
