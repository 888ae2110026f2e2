//! Runs the ONNX export of an encoder on Linux-class boards, through tract (feature `tract`, std).
//!
//! pixels u8 `[image, image, C]` in, embedding f32 `[E]` in standard deviations out: what `code · 5/127` of the `.ldae` artifact
//! approximates. Everything between is in the graph. Weights are f32, or int8 with a scale for each output channel; tract
//! computes in f32 either way, so embeddings agree closely, not bit for bit, between machines.
//!
//! The loader is a validator: bytes are scanned, decoded, and every operator and shape is checked against the spec in the
//! file's properties before tract sees any of it. Then the embedded test vectors are run. Refused are, among others,
//! files that quantise activations: tract rewrites quantise-dequantise pairs around a softmax into a table, and is silently
//! wrong.
//!
//! ```
//! # fn demo(file: &[u8], pixels: &[u8], embedding: &mut [f32]) -> Option<()> {
//! use ldae_device::tract::TractEncoder;
//!
//! let encoder = TractEncoder::new(file).ok()?; // checks, optimises, runs the test vectors, once
//! encoder.embed(pixels, embedding).ok()?;
//! # Some(()) }
//! ```

mod attributes;
mod budget;
mod check;
mod error;
mod metadata;
mod ops;
mod scan;
mod value;

pub use error::{Label, RunError, TractError};
pub use metadata::Weights;

use budget::Budget;
use ldae_shared::spec::EncoderSpec;
use metadata::Vectors;
use std::sync::Arc;
use std::vec; // named by `tvec!`
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, TValue, TVec, Tensor, TractResult,
    TypedRunnableModel, tvec,
};

/// Operator set of an export: the meanings that the checks assume.
pub const OPSET: i64 = 20;
/// Largest file: protobuf's own limit.
const MAX_FILE: usize = i32::MAX as usize;
/// Largest accepted difference between tract and a test vector, in root mean squares of the expected embedding.
///
/// Measured worst: 3.1e-6, on exports of nine shapes up to vit-tiny on x86-64 (docs/RESULTS.md, "Linux boards"). That leaves a
/// factor of 30 for other processors and deeper encoders, and implies a cosine above 1 - 1e-8. A wrong computation (the
/// quantise-dequantise fault) is off by more than 1.
const AGREEMENT: f32 = 1e-4;

/// A checked encoder, ready to run.
#[derive(Clone, Debug)]
pub struct TractEncoder {
    plan: Arc<TypedRunnableModel>,
    spec: EncoderSpec,
    weights: Weights,
    artifact: [u8; 32],
    agreement: Agreement,
}

/// What the test vectors gave at load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Vectors that were run.
    pub vectors: usize,
    /// Largest absolute difference, in root mean squares of the expected embedding.
    pub worst: f32,
}

impl TractEncoder {
    /// Checks the bytes of a `.onnx` file that `ldae export` wrote, prepares it, and runs its test vectors.
    ///
    /// # Errors
    /// The file is damaged, foreign, of another version, larger than its spec implies, or gives wrong embeddings here.
    pub fn new(file: &[u8]) -> Result<Self, TractError> {
        if file.len() > MAX_FILE {
            return Err(TractError::FileSize { found: file.len(), most: MAX_FILE });
        }
        scan::scan(file)?;
        // What remains to refuse is text that is not UTF-8.
        let mut model: ModelProto = prost::Message::decode(file).map_err(|_| TractError::Protobuf { offset: 0 })?;
        let metadata = metadata::read(&model)?;
        opset(&model)?;
        let spec = metadata.spec;
        let budget = Budget::of(&spec)?;
        let most = usize::try_from(budget.file_bytes(metadata.vector_text)).unwrap_or(MAX_FILE);
        if file.len() > most {
            return Err(TractError::FileSize { found: file.len(), most });
        }
        let graph = model.graph.as_mut().ok_or(TractError::Graph { what: "there is none" })?;
        check::graph(graph, &spec, &budget)?;
        let dequantises = graph.node.iter().any(|n| n.op_type == ops::DEQUANTIZE);
        if dequantises != (metadata.weights == Weights::Int8) {
            return Err(TractError::Metadata { key: "ldae.weights" });
        }
        strip(graph);
        // tract copies the properties, of which it needs none.
        model.metadata_props.clear();
        let plan = prepare(&model, &spec)?;
        drop(model);
        let mut encoder = TractEncoder {
            plan,
            spec,
            weights: metadata.weights,
            artifact: metadata.artifact,
            agreement: Agreement { vectors: 0, worst: 0.0 },
        };
        encoder.agreement = encoder.run_vectors(&metadata.vectors)?;
        Ok(encoder)
    }

    /// Shape.
    pub const fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    /// How the file stores the weights.
    pub const fn weights(&self) -> Weights {
        self.weights
    }

    /// Identity (SHA-256) of the `.ldae` artifact of the same export.
    pub const fn artifact_identity(&self) -> &[u8; 32] {
        &self.artifact
    }

    /// How well the test vectors agreed at load.
    pub const fn agreement(&self) -> Agreement {
        self.agreement
    }

    /// Embeds one picture: `pixels` u8 [image, image, C], row, column, channel; the first E values of `out` receive the
    /// embedding in standard deviations.
    ///
    /// # Errors
    /// A buffer of the wrong size; values that are not finite. Then nothing was written.
    pub fn embed(&self, pixels: &[u8], out: &mut [f32]) -> Result<(), RunError> {
        let expected = self.spec.pixels() as usize;
        if pixels.len() != expected {
            return Err(RunError::Pixels { expected, found: pixels.len() });
        }
        let (needed, found) = (self.spec.embedding() as usize, out.len());
        let out = out.get_mut(..needed).ok_or(RunError::Output { needed, found })?;
        let outputs = self.run(pixels).map_err(|_| RunError::Tract)?;
        let view = outputs.first().and_then(|o| o.try_as_plain_ram().ok());
        let embedding = view.as_ref().and_then(|v| v.as_slice::<f32>().ok()).filter(|e| e.len() == needed);
        let embedding = embedding.filter(|e| e.iter().all(|v| v.is_finite())).ok_or(RunError::Tract)?;
        out.copy_from_slice(embedding);
        Ok(())
    }

    fn run(&self, pixels: &[u8]) -> TractResult<TVec<TValue>> {
        let side = usize::from(self.spec.image);
        let input = Tensor::from_shape(&[1, side, side, self.spec.channels.into()], pixels)?;
        self.plan.run(tvec!(input.into()))
    }

    /// Runs the test vectors; an error at the first that disagrees.
    fn run_vectors(&self, vectors: &Vectors) -> Result<Agreement, TractError> {
        let mut out = std::vec![0f32; self.spec.embedding() as usize];
        let mut agreement = Agreement { vectors: 0, worst: 0.0 };
        for (vector, (pixels, expected)) in vectors.iter().enumerate() {
            self.embed(pixels, &mut out).map_err(|_| TractError::Tract { stage: "first run" })?;
            let worst = scaled_difference(&out, &expected);
            if worst > AGREEMENT || worst.is_nan() {
                return Err(TractError::Disagrees { vector, worst });
            }
            agreement = Agreement { vectors: vector + 1, worst: agreement.worst.max(worst) };
        }
        Ok(agreement)
    }
}

/// Largest absolute difference, in root mean squares of `expected`.
fn scaled_difference(found: &[f32], expected: &[f32]) -> f32 {
    let mean_square = expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32;
    let largest =
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, |m: f32, d| if d > m { d } else { m });
    let whole = found.len() == expected.len() && expected.iter().all(|v| v.is_finite());
    if whole { largest / mean_square.sqrt() } else { f32::NAN }
}

fn opset(model: &ModelProto) -> Result<(), TractError> {
    match model.opset_import.as_slice() {
        [only] if only.version == OPSET && matches!(only.domain.as_str(), "" | "ai.onnx") => Ok(()),
        found => Err(TractError::Opset { found: found.first().map_or(0, |o| o.version) }),
    }
}

/// Leaves tract only what was checked: node names then are those of their outputs, which are unique.
fn strip(graph: &mut GraphProto) {
    graph.doc_string.clear();
    for node in &mut graph.node {
        node.name.clear();
        node.doc_string.clear();
    }
}

fn prepare(model: &ModelProto, spec: &EncoderSpec) -> Result<Arc<TypedRunnableModel>, TractError> {
    let side = usize::from(spec.image);
    let input = InferenceFact::dt_shape(u8::datum_type(), tvec!(1, side, side, usize::from(spec.channels)));
    let failed = |stage| move |_| TractError::Tract { stage };
    tract_onnx::onnx()
        .model_for_proto_model(model)
        .map_err(failed("reading"))?
        .with_input_fact(0, input)
        .map_err(failed("input"))?
        .into_optimized()
        .map_err(failed("optimising"))?
        .into_runnable()
        .map_err(failed("planning"))
}
