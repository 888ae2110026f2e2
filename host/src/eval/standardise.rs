//! Standardisation of features: the affine-free BatchNorm of the probe protocol (paper A; METHOD.md section 1) and
//! NUMERICS.md rule 9. Each component is shifted by its mean and divided by its deviation, both measured on the
//! *training* features only; the same numbers are then applied to the held-out features.
//!
//! Cosine similarity on standardised features is what the literature calls centred cosine: a component shared by all
//! pictures no longer hides the differences between them.

use super::Features;
use crate::Result;
use rayon::prelude::*;

/// Rows summed by one task: a fixed number, so that the sums do not depend on the number of threads.
const CHUNK: usize = 1024;

/// A component whose deviation is below this part of its largest mean or deviation is constant up to f32 rounding
/// (2^-20 is 8 units in the last place of an f32); dividing by it would only amplify rounding errors.
const CONSTANT: f64 = 1.0 / (1 << 20) as f64;

/// Mean and reciprocal deviation per component.
#[derive(Clone, Debug)]
pub struct Standardiser {
    mean: Vec<f32>,
    factor: Vec<f32>,
}

impl Standardiser {
    /// Measures mean and (population) deviation of each component of `train`, in f64 and two passes.
    pub fn fit(train: &Features) -> Self {
        let n = train.rows() as f64;
        let mut mean = column_sums(train, |_, v| v);
        mean.iter_mut().for_each(|m| *m /= n);
        let mut variance = column_sums(train, |c, v| (v - mean[c]) * (v - mean[c]));
        variance.iter_mut().for_each(|v| *v /= n);
        let factor = mean.iter().zip(&variance).map(|(&m, v)| factor(m, v.sqrt())).collect();
        Standardiser { mean: mean.iter().map(|&m| m as f32).collect(), factor }
    }

    /// From means and deviations measured elsewhere; a constant component becomes 0.
    pub fn new(mean: &[f32], deviation: &[f32]) -> Self {
        let factor = mean.iter().zip(deviation).map(|(&m, &d)| factor(m.into(), d.into())).collect();
        Standardiser { mean: mean.to_vec(), factor }
    }

    /// From means and reciprocal deviations, as [`Standardiser::means`] and [`Standardiser::factors`] give them.
    pub fn with_factors(mean: Vec<f32>, factor: Vec<f32>) -> Self {
        Standardiser { mean, factor }
    }

    /// Standardises in place. Constant components of the training features become 0.
    pub fn apply(&self, features: &mut Features) {
        assert_eq!(features.dim(), self.mean.len(), "features of another embedding");
        features.values_mut().par_chunks_mut(self.mean.len()).for_each(|row| self.apply_to(row));
    }

    /// Standardises one vector in place.
    pub fn apply_to(&self, row: &mut [f32]) {
        for ((v, m), f) in row.iter_mut().zip(&self.mean).zip(&self.factor) {
            *v = (*v - m) * f;
        }
    }

    /// Mean of each component.
    pub fn means(&self) -> &[f32] {
        &self.mean
    }

    /// Reciprocal deviation of each component, 0 for a constant one.
    pub fn factors(&self) -> &[f32] {
        &self.factor
    }
}

/// Reciprocal of a deviation, 0 for that of a component that is constant up to rounding.
fn factor(mean: f64, deviation: f64) -> f32 {
    if deviation <= CONSTANT * mean.abs() || deviation < f64::from(f32::MIN_POSITIVE) {
        0.0
    } else {
        (1.0 / deviation) as f32
    }
}

/// Standardises both sets with the statistics of `train`.
///
/// # Errors
/// The two sets have different numbers of components.
pub fn standardise(train: &mut Features, test: &mut Features) -> Result<()> {
    if train.dim() != test.dim() {
        return Err(super::different_dims(train.dim(), test.dim()));
    }
    let s = Standardiser::fit(train);
    s.apply(train);
    s.apply(test);
    Ok(())
}

/// Sum over rows of `term(component, value)`, per component: chunks in parallel, their sums added in row order.
fn column_sums(features: &Features, term: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f64> {
    let dim = features.dim();
    let partial: Vec<Vec<f64>> = features
        .values()
        .par_chunks(CHUNK * dim)
        .map(|rows| {
            let mut sums = vec![0.0; dim];
            for row in rows.chunks_exact(dim) {
                for (c, (s, &v)) in sums.iter_mut().zip(row).enumerate() {
                    *s += term(c, f64::from(v));
                }
            }
            sums
        })
        .collect();
    partial.into_iter().fold(vec![0.0; dim], |mut total, sums| {
        total.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
        total
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn train_statistics_are_applied_to_both_sets() {
        // Component 0: 1, 3 (mean 2, deviation 1); component 1 constant; component 2: -2, 2 (mean 0, deviation 2).
        let mut train = Features::new(2, 3, vec![1.0, 7.0, -2.0, 3.0, 7.0, 2.0]).unwrap();
        let mut test = Features::new(1, 3, vec![4.0, 9.0, 1.0]).unwrap();
        standardise(&mut train, &mut test).unwrap();
        assert_eq!(train.values(), [-1.0, 0.0, -1.0, 1.0, 0.0, 1.0]);
        assert_eq!(test.values(), [2.0, 0.0, 0.5]);
    }

    #[test]
    fn rounding_of_a_constant_is_no_deviation() {
        let s = Standardiser::new(&[1.0, 1.0, 0.0, 0.0], &[1e-7, 1e-3, 1e-7, 0.0]);
        assert_eq!(s.factors()[0], 0.0);
        assert!((s.factors()[1] / 1e3 - 1.0).abs() < 1e-6 && s.factors()[2] > 9e6);
        assert_eq!(s.factors()[3], 0.0);
    }

    #[test]
    fn many_chunks_give_zero_mean_and_unit_variance() {
        let (n, d) = (3 * CHUNK + 17, 5);
        let values: Vec<f32> = (0..n * d).map(|i| ((i * 7919) % 1009) as f32 * 0.25 + 1000.0).collect();
        let mut f = Features::new(n, d, values).unwrap();
        Standardiser::fit(&f.clone()).apply(&mut f);
        for c in 0..d {
            let column: Vec<f64> = (0..n).map(|i| f64::from(f.row(i)[c])).collect();
            let mean = column.iter().sum::<f64>() / n as f64;
            let variance = column.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{c}: {mean} {variance}");
        }
    }

    #[test]
    fn refuses_sets_of_different_width() {
        let mut a = Features::new(1, 2, vec![0.0; 2]).unwrap();
        let mut b = Features::new(1, 3, vec![0.0; 3]).unwrap();
        assert!(standardise(&mut a, &mut b).is_err());
    }
}
