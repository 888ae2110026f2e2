//! The test vectors that files carry: what a board checks at start must hold on every runtime here.

use super::{Found, Models, Outcome, Suite, on_each, within};
use crate::model::Model;
use crate::runtime::{Form, Runtime};
use crate::tolerance::{Measure, tolerance};
use ldae_host::eval::artifact::CODE_UNIT;
use ldae_host::onnx::Description;
use ldae_shared::format::Artifact;
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::sync::LazyLock;

/// The pictures and embeddings inside the file that the runtime reads.
pub(super) const VECTORS: Suite =
    Suite { name: "test vectors", about: "the pictures inside a file give the embeddings inside it", run: vectors };

pub(super) static MODELS: LazyLock<Models> = LazyLock::new(|| {
    [Pooling::Mean, Pooling::MeanStd, Pooling::Grid2x2]
        .map(|p| (p.name(), EncoderSpec::from_numbers((20, 3, 4), (12, 24, 3), (2, 2), p)))
        .into_iter()
        .map(|(name, spec)| Ok((name.to_owned(), Model::new(spec, 64, 16)?)))
        .collect()
});

/// A picture and its embedding.
type Vector = (Vec<u8>, Vec<f32>);

/// What the file of a form promises.
fn promised(model: &Model, form: Form) -> Result<Vec<Vector>, String> {
    let of_onnx = |file: &[u8]| Description::read(file).map(|d| d.vectors).map_err(|e| e.to_string());
    match form {
        Form::Float => of_onnx(&model.float()?.onnx),
        Form::WeightOnly | Form::WeightOnlyRewritten => of_onnx(&model.float()?.onnx_int8),
        Form::Integer => {
            let artifact = Artifact::parse_anywhere(&model.artifact).map_err(|e| e.to_string())?;
            let components = |codes: &[u8]| codes.iter().map(|c| f32::from(*c as i8) * CODE_UNIT).collect();
            Ok(artifact.vectors().iter().map(|v| (v.pixels.to_vec(), components(v.codes))).collect())
        }
    }
}

fn vectors(runtime: &dyn Runtime) -> Outcome {
    on_each(&MODELS, |model| {
        let promised = promised(model, runtime.form())?;
        if promised.is_empty() {
            return Err("the file has no test vectors".to_owned());
        }
        let limit = tolerance(runtime.form(), Measure::Scaled, VECTORS.name).limit;
        let mut worst = 0.0;
        runtime.with(model, &mut |session| {
            let mut got = Vec::new();
            for (pixels, wanted) in &promised {
                let mut embedding = vec![f32::NAN; wanted.len()];
                session.embed(pixels, &mut embedding)?;
                got.push(embedding);
            }
            let wanted: Vec<Vec<f32>> = promised.iter().map(|(_, embedding)| embedding.clone()).collect();
            worst = within(Measure::Scaled.of(&got, &wanted), limit, "the file's embeddings")?;
            Ok(())
        })?;
        Ok(Found { worst, compared: promised.len() })
    })
}
