//! Every operation of the encoder has a case: something that only it decides is changed, the embedding must move with it, and move
//! as the reference's does. [`uncovered`] finds stages of the engine, and operators of the ONNX files, without a case.

use super::{Models, Outcome, Suite, agrees};
use crate::model::{Model, drawn};
use crate::runtime::Runtime;
use ldae_device::TapId;
use ldae_host::eval::quality::scaled_error;
use ldae_host::onnx::Description;
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// One case for each operation.
pub(super) const OPERATIONS_SUITE: Suite = Suite {
    name: "operations",
    about: "a change that one operation decides moves the embedding as it must",
    run: operations,
};

/// A small shape with one block: W 12, two heads, four tokens.
const SPEC: EncoderSpec = EncoderSpec::from_numbers((8, 3, 4), (6, 12, 2), (1, 2), Pooling::MeanStd);
const W: usize = SPEC.width as usize;
const CALIBRATION: usize = 64;
/// A case must move the embedding by at least this (scaled), else it would not notice the operation missing: one code of the
/// integer embedding, 5/127, which is far above the float tolerance.
const LEAST_CHANGE: f64 = 5.0 / 127.0;

/// What a case changes.
enum Change {
    /// A parameter's values.
    Parameter(&'static str, fn(&mut [f32])),
    /// The picture.
    Picture(fn(&mut [u8])),
    /// The pictures it is calibrated on: the means and deviations of the embedding.
    Calibration,
}

/// An operation with its case.
struct Operation {
    name: &'static str,
    /// Stages of the engine (names of taps without their block) that it is.
    taps: &'static [&'static str],
    /// Operators of the ONNX files that it is made of.
    operators: &'static [&'static str],
    change: Change,
}

const fn operation(
    name: &'static str,
    taps: &'static [&'static str],
    operators: &'static [&'static str],
    change: Change,
) -> Operation {
    Operation { name, taps, operators, change }
}

/// Operators of a layer, with float weights or with integers.
const LAYER: &[&str] = &["MatMul", "Add", "DequantizeLinear"];
/// Operators that cut rows into heads and join them.
const HEADS: &[&str] = &["MatMul", "Add", "DequantizeLinear", "Reshape", "Transpose"];
const SUM: &[&str] = &["Add"];
const NORM: &[&str] = &["LayerNormalization"];

const QKV: &str = "encoder.blocks.0.qkv.weight";
/// Shift and scale before attention, gate after it, the same for the MLP: 6·W.
const MODULATION: &str = "encoder.blocks.0.modulation.bias";

/// Changes the columns of query (0), key (1) or value (2) in a [W, 3W] matrix.
fn part(values: &mut [f32], part: usize, change: impl Fn(&mut f32)) {
    values.chunks_exact_mut(3 * W).for_each(|row| row[part * W..(part + 1) * W].iter_mut().for_each(&change));
}

fn scaled(values: &mut [f32], factor: f32) {
    values.iter_mut().for_each(|v| *v *= factor);
}

/// Adds 1 and takes 1 away in turn.
fn shifted(values: &mut [f32]) {
    values.iter_mut().enumerate().for_each(|(i, v)| *v += if i % 2 == 0 { 1.0 } else { -1.0 });
}

/// All of them, in order of computation.
const OPERATIONS: &[Operation] = &[
    operation(
        "pixels to patches",
        &["pixels", "patches"],
        &["Cast", "Sub", "Reshape", "Transpose"],
        Change::Picture(|p| p.reverse()),
    ),
    // A quarter: a mean that is far from the patches cancels in f32, which is rounding, not projection.
    operation(
        "projection",
        &["latents"],
        LAYER,
        Change::Parameter("pca.mean", |v| {
            v.iter_mut().zip([0.25, -0.25].into_iter().cycle()).for_each(|(v, s)| *v += s)
        }),
    ),
    operation("embedding", &["embed"], LAYER, Change::Parameter("encoder.embed.weight", |v| v.reverse())),
    // Without positions, tokens in another order would pool to the same embedding.
    operation("positions", &["stream"], SUM, Change::Picture(|p| p.rotate_left(SPEC.pixels() as usize / 2))),
    operation("first LayerNorm", &["norm1"], NORM, Change::Parameter(MODULATION, |v| shifted(&mut v[..2 * W]))),
    operation("queries", &["q"], HEADS, Change::Parameter(QKV, |v| part(v, 0, |w| *w *= -4.0))),
    operation("keys", &["k"], HEADS, Change::Parameter(QKV, |v| part(v, 1, |w| *w *= -4.0))),
    operation("values", &["v"], HEADS, Change::Parameter(QKV, |v| part(v, 2, |w| *w = -*w))),
    // Scores twelve times as large: probabilities near 0 and 1.
    operation(
        "softmax",
        &["logits", "probabilities", "attention"],
        &["MatMul", "Softmax"],
        Change::Parameter(QKV, |v| part(v, 0, |w| *w *= 12.0)),
    ),
    operation(
        "projection of heads",
        &["proj"],
        HEADS,
        Change::Parameter("encoder.blocks.0.proj.weight", |v| v.reverse()),
    ),
    operation("first sum", &["residual1"], SUM, Change::Parameter(MODULATION, |v| shifted(&mut v[2 * W..3 * W]))),
    operation("second LayerNorm", &["norm2"], NORM, Change::Parameter(MODULATION, |v| shifted(&mut v[3 * W..5 * W]))),
    operation("first MLP layer", &["fc1"], LAYER, Change::Parameter("encoder.blocks.0.fc1.weight", |v| v.reverse())),
    // Inputs where GELU bends, instead of around zero.
    operation(
        "GELU",
        &["gelu"],
        &["Gelu"],
        Change::Parameter("encoder.blocks.0.fc1.bias", |v| v.iter_mut().for_each(|b| *b -= 2.0)),
    ),
    operation("second MLP layer", &["fc2"], LAYER, Change::Parameter("encoder.blocks.0.fc2.weight", |v| v.reverse())),
    operation("second sum", &["residual2"], SUM, Change::Parameter(MODULATION, |v| shifted(&mut v[5 * W..]))),
    // What the last LayerNorm divides by.
    operation(
        "last LayerNorm",
        &["final-norm"],
        NORM,
        Change::Parameter("encoder.blocks.0.fc2.bias", |v| scaled(v, 20.0)),
    ),
    operation(
        "pooling",
        &["pooled"],
        &["ReduceMean", "Sub", "Mul", "Sqrt", "Concat", "Reshape", "Slice"],
        Change::Picture(|p| p.iter_mut().for_each(|v| *v = 128 + (*v - *v / 4) / 8)),
    ),
    operation("standardisation", &["codes"], &["Sub", "Mul"], Change::Calibration),
];

/// The unchanged model first, then one for each change of a model.
static MODELS: LazyLock<Models> = LazyLock::new(|| {
    let usual = ("usual".to_owned(), Model::new(SPEC, CALIBRATION, 14)?);
    let changed = OPERATIONS.iter().filter_map(|o| {
        let model = match &o.change {
            Change::Parameter(parameter, change) => Model::changed(SPEC, CALIBRATION, 14, &|name, values| {
                if name == *parameter {
                    change(values);
                }
            }),
            // Fewer pictures than components leave means and deviations far from the usual ones.
            Change::Calibration => Model::new(SPEC, 4, 14),
            Change::Picture(_) => return None,
        };
        Some(model.map(|m| (o.name.to_owned(), m)))
    });
    std::iter::once(Ok(usual)).chain(changed).collect()
});

fn operations(runtime: &dyn Runtime) -> Outcome {
    let models = MODELS.as_ref().map_err(|e| format!("the models cannot be made: {e}"))?;
    let (usual, changed) = models.split_first().ok_or("no models")?;
    let [_, set] = drawn(&SPEC, 1, 3, 15)?;
    let pictures: Vec<&[u8]> = (0..3).map(|i| set.image(i)).collect();
    let before = runtime.reference().embed(&usual.1, &pictures)?;
    let mut found = agrees(runtime, OPERATIONS_SUITE.name, &usual.1, &pictures)?;
    let mut changed = changed.iter();
    for operation in OPERATIONS {
        let at = |e| format!("{}: {e}", operation.name);
        let other: Vec<Vec<u8>> = match operation.change {
            Change::Picture(change) => pictures
                .iter()
                .map(|p| {
                    let mut p = p.to_vec();
                    change(&mut p);
                    p
                })
                .collect(),
            _ => Vec::new(),
        };
        let (model, pictures) = if other.is_empty() {
            (&changed.next().ok_or("a case has no model")?.1, pictures.clone())
        } else {
            (&usual.1, other.iter().map(Vec::as_slice).collect())
        };
        let after = runtime.reference().embed(model, &pictures)?;
        // Every picture has to move.
        let scaled = |(a, b): (&Vec<f32>, &Vec<f32>)| scaled_error(b, a);
        let moved = before.iter().zip(&after).map(scaled).fold(f64::INFINITY, f64::min);
        if moved.is_nan() || moved < LEAST_CHANGE {
            return Err(at(format!("the change moves the reference by {moved:.1e} only: no case")));
        }
        found = found.and(agrees(runtime, OPERATIONS_SUITE.name, model, &pictures).map_err(at)?);
    }
    Ok(found)
}

/// Stages of the engine and operators of the ONNX files that no case covers, and those of cases that neither has.
///
/// # Errors
/// The models cannot be made.
pub fn uncovered() -> Result<Vec<String>, String> {
    let stage = |index| TapId::from_index(index, SPEC.depth).map(|id| id.to_string());
    let name = |tap: String| tap.split_once('.').map_or(tap.clone(), |(_, stage)| stage.to_owned());
    let mut there: BTreeSet<String> = (0..SPEC.taps()).filter_map(stage).map(name).collect();
    // Every pooling, both forms of weights.
    for (_, model) in super::vectors::MODELS.as_ref()? {
        let float = model.float()?;
        for file in [&float.onnx, &float.onnx_int8] {
            there.extend(Description::read(file).map_err(|e| e.to_string())?.operators);
        }
    }
    let cases = OPERATIONS.iter().flat_map(|o| o.taps.iter().chain(o.operators));
    let covered: BTreeSet<String> = cases.map(|t| (*t).to_owned()).collect();
    Ok(there.symmetric_difference(&covered).cloned().collect())
}
