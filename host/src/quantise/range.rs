//! Error-minimising ranges: a histogram of magnitudes, and the clip that loses least in the mean square.

/// Bins of a histogram. 2048 give the clip a resolution of 0.05 % of the largest value.
const BINS: usize = 2048;
/// Candidates for the clip, as parts of the largest value.
const STEPS: usize = 160;

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
}
