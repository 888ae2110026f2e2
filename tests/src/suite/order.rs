//! An embedding depends on its picture alone: not on what was embedded before, not on its place in a batch.

use super::{Found, Models, Outcome, Suite, on_each};
use crate::model::{Model, drawn};
use crate::runtime::Runtime;
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::sync::LazyLock;

/// The same picture first, last and between others, in one batch and alone.
pub(super) const ORDER: Suite =
    Suite { name: "order", about: "the same bits for a picture wherever it stands, and run after run", run: order };

pub(super) static MODEL: LazyLock<Models> = LazyLock::new(|| {
    let spec = EncoderSpec::from_numbers((16, 3, 4), (12, 24, 3), (2, 2), Pooling::Grid2x2);
    Ok(vec![("small".to_owned(), Model::new(spec, 64, 10)?)])
});

fn order(runtime: &dyn Runtime) -> Outcome {
    on_each(&MODEL, |model| {
        let [_, set] = drawn(&model.spec, 1, 4, 11)?;
        let e = model.spec.embedding() as usize;
        // Places of the four pictures in three batches of one size.
        let batches = [[0, 1, 2, 3, 0, 1], [3, 0, 0, 2, 1, 3], [1, 1, 3, 0, 2, 0]];
        let mut seen: [Option<Vec<f32>>; 4] = [const { None }; 4];
        let mut compared = 0;
        runtime.with(model, &mut |session| {
            for batch in batches.iter().chain(&batches) {
                let pictures: Vec<&[u8]> = batch.iter().map(|i| set.image(*i)).collect();
                for (place, (&i, got)) in batch.iter().zip(session.embed_all(&pictures, e)?).enumerate() {
                    compared += 1;
                    let first = seen[i].get_or_insert_with(|| got.clone());
                    if first.iter().zip(&got).any(|(a, b)| a.to_bits() != b.to_bits()) {
                        return Err(format!("picture {i} has other bits at place {place} of {batch:?}"));
                    }
                }
            }
            Ok(())
        })?;
        Ok(Found { worst: 0.0, compared })
    })
}
