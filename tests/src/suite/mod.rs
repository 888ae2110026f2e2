//! What is compared: suites, each on models and pictures of its own, each reaching every runtime.

mod concurrency;
mod extremes;
pub mod operations;
mod order;
mod pictures;
mod shapes;
mod sizes;
mod vectors;

use crate::model::Model;
use crate::reference::Reference;
use crate::runtime::Runtime;
use crate::tolerance::{Measure, tolerance};

/// A set of checks that every runtime has to pass.
pub struct Suite {
    /// Name in the table.
    pub name: &'static str,
    /// What it checks.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(&dyn Runtime) -> Outcome,
}

/// What a suite found on one runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// Largest measured distance from the reference.
    pub worst: f64,
    /// Embeddings compared.
    pub compared: usize,
}

/// Or what failed.
pub type Outcome = Result<Found, String>;

impl Found {
    fn and(self, other: Found) -> Found {
        Found { worst: self.worst.max(other.worst), compared: self.compared + other.compared }
    }
}

/// All suites, in the order of the table.
pub const SUITES: &[Suite] = &[
    pictures::PICTURES,
    pictures::VIT_TINY,
    pictures::QUALITY,
    shapes::ODD_SHAPES,
    shapes::POOLINGS,
    extremes::PICTURES,
    extremes::WEIGHTS,
    extremes::FILLS,
    vectors::VECTORS,
    operations::OPERATIONS_SUITE,
    order::ORDER,
    sizes::WRONG_SIZES,
    concurrency::CONCURRENCY,
];

/// A model with a name for messages.
type Named = (String, Model);

/// Models that are made once for all runtimes, or why they could not be made.
type Models = Result<Vec<Named>, String>;

/// Runs `check` on every model.
fn on_each(models: &Models, mut check: impl FnMut(&Model) -> Outcome) -> Outcome {
    let models = models.as_ref().map_err(|e| format!("the models cannot be made: {e}"))?;
    let mut found = Found::default();
    for (name, model) in models {
        found = found.and(check(model).map_err(|e| format!("{name}: {e}"))?);
    }
    Ok(found)
}

/// Embeds `pictures` and compares them with the runtime's own reference.
fn agrees(runtime: &dyn Runtime, suite: &str, model: &Model, pictures: &[&[u8]]) -> Outcome {
    measured(runtime, (suite, Measure::Scaled), runtime.reference(), model, pictures)
}

/// Embeds `pictures` and compares them with `reference`.
fn measured(
    runtime: &dyn Runtime,
    (suite, measure): (&str, Measure),
    reference: Reference,
    model: &Model,
    pictures: &[&[u8]],
) -> Outcome {
    let wanted = reference.embed(model, pictures)?;
    let limit = tolerance(runtime.form(), measure, suite).limit;
    let mut worst = 0.0;
    runtime.with(model, &mut |session| {
        let got = session.embed_all(pictures, model.spec.embedding() as usize)?;
        if got.len() != wanted.len() {
            return Err(format!("{} embeddings of {} pictures", got.len(), wanted.len()));
        }
        worst = within(measure.of(&got, &wanted), limit, reference.name())?;
        Ok(())
    })?;
    Ok(Found { worst, compared: pictures.len() })
}

/// The distance, or an error that states it. NaN is not within any limit.
fn within(distance: f64, limit: f64, reference: &str) -> Result<f64, String> {
    if distance <= limit { Ok(distance) } else { Err(format!("{distance:.1e} from {reference}, accepted {limit:.0e}")) }
}
