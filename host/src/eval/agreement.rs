//! How closely two sets of standardised embeddings of the same pictures agree.

use super::Features;
use super::quality::{cosine, quantile, scaled_error};
use crate::{Error, Result};
use serde::Serialize;

/// Agreement of embeddings with expected ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Pictures compared.
    pub pictures: usize,
    /// Largest difference of a component, in root mean squares of the expected embeddings.
    pub scaled_error: f64,
    /// Mean centred cosine.
    pub cosine_mean: f64,
    /// Median.
    pub cosine_median: f64,
    /// 5 % quantile.
    pub cosine_q05: f64,
    /// Smallest.
    pub cosine_min: f64,
}

impl Agreement {
    /// Compares `got` with `expected`, row by row.
    ///
    /// # Errors
    /// The sets have other sizes.
    pub fn of(got: &Features, expected: &Features) -> Result<Self> {
        if (got.rows(), got.dim()) != (expected.rows(), expected.dim()) {
            return Err(Error::new(format!(
                "{} embeddings of {} components against {} of {}",
                got.rows(),
                got.dim(),
                expected.rows(),
                expected.dim()
            ))
            .hint("compare embeddings of the same pictures by the same encoder"));
        }
        let mut cosines: Vec<f64> = (0..got.rows()).map(|i| cosine(got.row(i), expected.row(i))).collect();
        cosines.sort_by(f64::total_cmp);
        Ok(Agreement {
            pictures: got.rows(),
            scaled_error: scaled_error(got.values(), expected.values()),
            cosine_mean: cosines.iter().sum::<f64>() / cosines.len() as f64,
            cosine_median: quantile(&cosines, 0.5),
            cosine_q05: quantile(&cosines, 0.05),
            cosine_min: cosines[0],
        })
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "largest error {:.1e}, centred cosine median {:.6}, ", self.scaled_error, self.cosine_median)?;
        write!(f, "5 % quantile {:.6}, smallest {:.6} ({} pictures)", self.cosine_q05, self.cosine_min, self.pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let expected = Features::new(2, 2, vec![3.0, 4.0, 0.0, 5.0]).unwrap();
        let got = Features::new(2, 2, vec![3.0, 4.0, 5.0, 0.0]).unwrap();
        let a = Agreement::of(&got, &expected).unwrap();
        // Root mean square sqrt(50/4); the second row is turned by a right angle.
        assert_eq!(a.scaled_error, 5.0 / (50f64 / 4.0).sqrt());
        assert_eq!((a.cosine_min, a.cosine_median, a.pictures), (0.0, 0.0, 2));
        assert_eq!(Agreement::of(&got, &got).unwrap().scaled_error, 0.0);
        assert!(Agreement::of(&got, &Features::new(1, 2, vec![1.0; 2]).unwrap()).is_err());
    }
}
