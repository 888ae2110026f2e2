//! How far an embedding may lie from its reference: one table, a reason in every row.

use crate::runtime::Form;
use ldae_host::eval::quality::{cosine, scaled_error};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Largest |component − reference| over the root mean square of the references, over all pictures of a model.
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
    row(Form::Integer, Measure::Scaled, None, 0.0, "the portable kernels define every bit"),
    row(Form::Float, Measure::Scaled, None, 1e-5, "f32 sums in another order"),
    row(
        Form::Float,
        Measure::Scaled,
        Some("extreme weights"),
        5e-5,
        "scores four times as large: a saturated softmax amplifies rounding (measured 1.3e-5)",
    ),
    row(Form::WeightOnly, Measure::Scaled, None, 1e-5, "f32 sums in another order; the weights are the same integers"),
    row(Form::WeightOnly, Measure::Scaled, Some("extreme weights"), 5e-5, "as for float weights (measured 1.1e-5)"),
    row(
        Form::WeightOnlyRewritten,
        Measure::Scaled,
        None,
        2e-1,
        "onnxruntime's fused product rounds activations to 8 bits (measured 1.2e-1)",
    ),
    row(Form::Float, Measure::Angle, None, 1e-9, "about the square of the scaled distance (measured 5e-13)"),
    row(Form::WeightOnly, Measure::Angle, None, 1e-3, "weights of 8 bits, random networks (measured 2e-4)"),
    row(Form::WeightOnlyRewritten, Measure::Angle, None, 1e-3, "the same, activations of 8 bits too (measured 2e-4)"),
    row(Form::Integer, Measure::Angle, None, 5e-3, "8 bits throughout, random networks (measured 1e-3)"),
];

const fn row(form: Form, measure: Measure, suite: Option<&'static str>, limit: f64, reason: &'static str) -> Tolerance {
    Tolerance { form, measure, suite, limit, reason }
}

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
    /// Distance of embeddings from their references; NaN where a value is no number or the lengths differ.
    pub fn of(self, got: &[Vec<f32>], references: &[Vec<f32>]) -> f64 {
        match self {
            Measure::Scaled => scaled_error(&got.concat(), &references.concat()),
            Measure::Angle => {
                got.iter().zip(references).map(|(a, b)| 1.0 - cosine(a, b)).fold(0.0, |most: f64, next| {
                    // `f64::max` would hide NaN.
                    if most.is_nan() || next.is_nan() { f64::NAN } else { most.max(next) }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        let of = |measure: Measure, got: &[f32], reference: &[f32]| measure.of(&[got.to_vec()], &[reference.to_vec()]);
        assert_eq!(of(Measure::Scaled, &[3.0, 4.5], &[3.0, 4.0]), 0.5 / 12.5f64.sqrt());
        assert!(of(Measure::Angle, &[2.0, 0.0], &[1.0, 0.0]).abs() < 1e-12);
        assert_eq!(of(Measure::Angle, &[0.0, 1.0], &[1.0, 0.0]), 1.0);
        for measure in [Measure::Scaled, Measure::Angle] {
            assert!(of(measure, &[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
        }
    }

    #[test]
    fn every_form_has_a_row_for_every_measure() {
        for form in [Form::Float, Form::WeightOnly, Form::WeightOnlyRewritten, Form::Integer] {
            for measure in [Measure::Scaled, Measure::Angle] {
                assert!(!tolerance(form, measure, "any").reason.is_empty());
            }
        }
    }
}
