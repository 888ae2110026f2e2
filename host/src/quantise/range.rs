//! Error-minimising ranges: a histogram of magnitudes, and the clip that loses least in the mean square.

use super::float::gelu;

/// Bins of a histogram. 2048 give the clip a resolution of 0.05 % of the largest value.
const BINS: usize = 2048;
/// Candidates for the clip, as parts of the largest value.
const STEPS: usize = 160;

/// Candidates for either end of a GELU input range.
const GELU_STEPS: usize = 48;

/// Magnitudes |x| of a tensor, counted between 0 and the largest.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    largest: f32,
    counts: Vec<u64>,
}

impl Histogram {
    /// For magnitudes up to `largest`, which was measured before.
    pub(super) fn new(largest: f32) -> Self {
        Histogram { largest, counts: vec![0; BINS] }
    }

    /// Counts values.
    pub(super) fn add<'a>(&mut self, values: impl Iterator<Item = &'a f32>) {
        if self.largest > 0.0 {
            let factor = BINS as f32 / self.largest;
            for v in values {
                let bin = (v.abs() * factor) as usize;
                self.counts[bin.min(BINS - 1)] += 1;
            }
        }
    }

    /// Adds another histogram of the same range.
    pub(super) fn merge(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// The clip c that minimises the mean square error of rounding to codes of c/`codes` and clamping at c: 127 for
    /// magnitudes of symmetric codes, 254 for distances from the lower end of an offset range.
    pub(super) fn best_clip(&self, codes: f64) -> f32 {
        if self.largest <= 0.0 {
            return f32::MIN_POSITIVE.max(1e-6); // a tensor of zeros: any scale represents it
        }
        let width = f64::from(self.largest) / BINS as f64;
        let error = |clip: f64| -> f64 {
            let step = clip / codes;
            let rounding = step * step / 12.0;
            let cost = |(i, &count): (usize, &u64)| {
                let excess = ((i as f64 + 0.5) * width - clip).max(0.0);
                count as f64 * (excess * excess + rounding)
            };
            self.counts.iter().enumerate().map(cost).sum()
        };
        let clips = (1..=STEPS).map(|i| f64::from(self.largest) * i as f64 / STEPS as f64);
        let best = clips.map(|c| (error(c), c)).min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(self.largest, |(_, c)| c as f32)
    }
}

impl Histogram {
    /// For GELU inputs counted as distances from `lowest`: the range [a, b] of 254 steps that minimises the mean square
    /// error *behind* the GELU, where a step costs its slope and large negative inputs all give nearly zero. The codes
    /// index a table (rule 7), so their range need not be symmetric.
    pub(super) fn best_gelu_range(&self, lowest: f32) -> (f32, f32) {
        if self.largest <= 0.0 {
            return (lowest - 1.0, lowest + 1.0); // a constant: any range that holds it
        }
        let width = f64::from(self.largest) / BINS as f64;
        let y = |x: f64| f64::from(gelu(x as f32));
        let inputs: Vec<f64> = (0..BINS).map(|i| f64::from(lowest) + (i as f64 + 0.5) * width).collect();
        let outputs: Vec<f64> = inputs.iter().map(|&x| y(x)).collect();
        let slopes: Vec<f64> = inputs.iter().map(|&x| ((y(x + 1e-2) - y(x - 1e-2)) / 2e-2).powi(2)).collect();
        let total = f64::from(self.largest);
        let error = |a: f64, b: f64| -> f64 {
            let (rounding, low, high) = (((b - a) / 254.0).powi(2) / 12.0, y(a), y(b));
            let cost = |i: usize| match inputs[i] {
                x if x < a => (outputs[i] - low).powi(2),
                x if x > b => (outputs[i] - high).powi(2),
                _ => slopes[i] * rounding,
            };
            self.counts.iter().enumerate().filter(|(_, c)| **c > 0).map(|(i, &c)| c as f64 * cost(i)).sum()
        };
        let mut best = (f64::MAX, f64::from(lowest), f64::from(lowest) + total);
        for low in 0..GELU_STEPS {
            for high in low + 1..=GELU_STEPS {
                let at = |i: usize| f64::from(lowest) + total * i as f64 / GELU_STEPS as f64;
                let cost = error(at(low), at(high));
                if cost < best.0 {
                    best = (cost, at(low), at(high));
                }
            }
        }
        (best.1 as f32, best.2 as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_is_clipped_and_a_uniform_tensor_is_not() {
        let mut uniform = Histogram::new(1.0);
        let values: Vec<f32> = (0..10_000).map(|i| i as f32 / 10_000.0).collect();
        uniform.add(values.iter());
        assert!(uniform.best_clip(127.0) > 0.95);
        let mut outlier = Histogram::new(100.0);
        outlier.add(values.iter().cycle().take(1_000_000));
        outlier.add([100.0].iter());
        assert!(outlier.best_clip(127.0) < 20.0, "{}", outlier.best_clip(127.0));
        assert!(Histogram::new(0.0).best_clip(127.0) > 0.0);
    }

    #[test]
    fn inputs_that_gelu_kills_get_no_codes() {
        // Mostly far negative, some around zero: codes must go where the slope is.
        let mut h = Histogram::new(24.0);
        let values: Vec<f32> = (0..24_000).map(|i| i as f32 / 1000.0).collect(); // x = value − 20: −20..4
        h.add(values.iter());
        let (a, b) = h.best_gelu_range(-20.0);
        assert!(a > -6.0 && a < -1.0 && b > 3.0, "{a} {b}");
    }
}
