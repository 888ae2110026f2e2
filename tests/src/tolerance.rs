//! How far an embedding may lie from its reference: one table, a reason in every row.

use crate::runtime::Form;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Largest |component − reference| of a picture over the root mean square of its reference; the worst picture counts.
    Scaled,
    /// 1 − cosine between embedding and reference; the worst picture counts.
    Angle,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// What the runtime computes with.
    pub form: Form,
    /// What is measured.
    pub measure: Measure,
    /// The suite, or any.
    pub suite: Option<&'static str>,
    /// Largest accepted value.
    pub limit: f64,
    /// Why this much.
    pub reason: &'static str,
}

/// The table. A row that names the suite goes before one for any suite.
pub const TOLERANCES: &[Tolerance] = &[
    Tolerance {
        form: Form::Integer,
        measure: Measure::Scaled,
        suite: None,
        limit: 0.0,
        reason: "the portable kernels define every bit",
    },
    Tolerance {
        form: Form::Float,
        measure: Measure::Scaled,
        suite: None,
        limit: 1e-5,
        reason: "f32 sums in another order",
    },
    Tolerance {
        form: Form::Float,
        measure: Measure::Angle,
        suite: None,
        limit: 1e-9,
        reason: "the square of the scaled distance",
    },
    Tolerance { form: Form::Integer, measure: Measure::Angle, suite: None, limit: 1e-2, reason: "TODO" },
];

/// The row for a runtime's form in a suite.
///
/// # Panics
/// The table has none.
pub fn tolerance(form: Form, measure: Measure, suite: &str) -> &'static Tolerance {
    let rows = || TOLERANCES.iter().filter(|t| t.form == form && t.measure == measure);
    let own = rows().find(|t| t.suite == Some(suite));
    own.or_else(|| rows().find(|t| t.suite.is_none())).expect("a row for every form and measure")
}

impl Measure {
    /// Distance of an embedding from its reference. An embedding of zeros is as far as its largest component.
    pub fn of(self, got: &[f32], reference: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        if got.len() != reference.len() {
            return f64::NAN;
        }
        match self {
            Measure::Scaled => {
                let rms = (dot(reference, reference) / reference.len() as f64).sqrt();
                let differences = got.iter().zip(reference).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
                // `max` would hide NaN.
                let largest =
                    differences.fold(0.0, |m: f64, d| if m.is_nan() || d.is_nan() { f64::NAN } else { m.max(d) });
                if rms > 0.0 { largest / rms } else { largest }
            }
            Measure::Angle => 1.0 - dot(got, reference) / (dot(got, got) * dot(reference, reference)).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        assert_eq!(Measure::Scaled.of(&[3.0, 4.5], &[3.0, 4.0]), 0.5 / 12.5f64.sqrt());
        assert_eq!(Measure::Scaled.of(&[0.25, 0.0], &[0.0, 0.0]), 0.25);
        assert!(Measure::Angle.of(&[2.0, 0.0], &[1.0, 0.0]).abs() < 1e-12);
        assert_eq!(Measure::Angle.of(&[0.0, 1.0], &[1.0, 0.0]), 1.0);
        for measure in [Measure::Scaled, Measure::Angle] {
            assert!(measure.of(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
            assert!(measure.of(&[1.0], &[1.0, 1.0]).is_nan());
        }
    }
}
