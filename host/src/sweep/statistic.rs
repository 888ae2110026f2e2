//! Mean and deviation over seeds, and when a difference is more than noise.
//!
//! Two means differ when |a − b| > 2·sqrt(s_a²/n_a + s_b²/n_b), with s the sample deviations over n seeds each: twice the
//! standard error of a difference of two samples (Welch). With three seeds this is a coarse rule, about one false alarm in
//! eight to nine comparisons of equal things (Student's t with 4 degrees of freedom); more seeds make it sharper. One seed
//! has no deviation, so nothing is said.

use serde::Serialize;

/// Standard errors that a difference has to exceed.
const ERRORS: f64 = 2.0;

/// Mean and sample deviation of n values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistic {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation; absent for one value.
    pub deviation: Option<f64>,
    /// Number of values.
    pub count: usize,
}

impl Statistic {
    /// Of these values; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let deviation = || (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0)).sqrt();
        let deviation = (values.len() > 1).then(deviation);
        (!values.is_empty()).then_some(Statistic { mean, deviation, count: values.len() })
    }
}

/// What a difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The first is larger.
    Above,
    /// The first is smaller.
    Below,
    /// Nothing: the difference is no larger than noise.
    WithinNoise,
    /// Nothing: one of them has one seed only, so its noise is unknown.
    OneSeed,
}

/// a − b.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The difference of the means.
    pub value: f64,
    /// What counts as noise, where it is known.
    pub noise: Option<f64>,
    /// What it says.
    pub verdict: Verdict,
}

/// Compares two statistics by the rule above.
pub fn difference(a: &Statistic, b: &Statistic) -> Difference {
    let value = a.mean - b.mean;
    let squared = |s: &Statistic| s.deviation.map(|d| d * d / s.count as f64);
    let noise = squared(a).zip(squared(b)).map(|(a, b)| ERRORS * (a + b).sqrt());
    let verdict = match noise {
        None => Verdict::OneSeed,
        Some(noise) if value.abs() <= noise => Verdict::WithinNoise,
        Some(_) if value > 0.0 => Verdict::Above,
        Some(_) => Verdict::Below,
    };
    Difference { value, noise, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let a = Statistic::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((a.mean, a.deviation, a.count), (2.0, Some(1.0), 3));
        assert_eq!(Statistic::of(&[]), None);
        let one = Statistic::of(&[5.0]).unwrap();
        assert_eq!((one.mean, one.deviation), (5.0, None));
        assert_eq!(difference(&a, &one).verdict, Verdict::OneSeed);
        // s²/n = 1/3 each: noise is 2·sqrt(2/3) = 1.633.
        let far = Statistic::of(&[3.7, 4.7, 5.7]).unwrap();
        let d = difference(&far, &a);
        assert!((d.noise.unwrap() - 1.632_993_161_855_452).abs() < 1e-12 && (d.value - 2.7).abs() < 1e-12);
        assert_eq!((d.verdict, difference(&a, &far).verdict), (Verdict::Above, Verdict::Below));
        let near = Statistic::of(&[2.5, 3.5, 4.5]).unwrap();
        assert_eq!(difference(&near, &a).verdict, Verdict::WithinNoise);
        let constant = Statistic::of(&[1.0, 1.0]).unwrap();
        assert_eq!(difference(&constant, &constant).verdict, Verdict::WithinNoise);
    }
}
