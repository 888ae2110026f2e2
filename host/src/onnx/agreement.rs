//! onnxruntime on exported files against Burn: the training network's own forward pass, on real pictures, for presets and
//! odd shapes. Weights are random with random gates, so that every path of the graph counts.

use super::testing::{Case, T, origin};
use super::{embedding, float32, int8};
use crate::data::{self, LoadOptions, Split};
use crate::eval::Features;
use crate::eval::agreement::Agreement;
use crate::quantise::dead_leaves;
use crate::runtime::Network;
use ldae_shared::spec::{EncoderSpec, Pooling, preset};
use ndarray::{Array2, Array4};
use ndarray_npy::write_npy;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pictures compared.
const COMPARED: usize = 100;
/// Pictures that ranges and standardisation are measured on.
const CALIBRATION: usize = 32;
/// Shapes in which something is odd: the patch, one channel, a width that is no multiple of 4, a grid of odd side, one
/// block, one head, heads of 2, full rank.
const ODD: [(&str, EncoderSpec); 6] = [
    ("odd-grid", EncoderSpec::from_numbers((15, 3, 5), (11, 14, 2), (2, 3), Pooling::Grid2x2)),
    ("odd-grey", EncoderSpec::from_numbers((21, 1, 3), (5, 18, 3), (1, 1), Pooling::MeanStd)),
    ("odd-mean", EncoderSpec::from_numbers((28, 1, 4), (16, 30, 5), (3, 2), Pooling::Mean)),
    ("odd-one-head", EncoderSpec::from_numbers((35, 3, 7), (40, 50, 1), (2, 4), Pooling::MeanStd)),
    ("odd-small-heads", EncoderSpec::from_numbers((32, 3, 8), (1, 34, 17), (1, 3), Pooling::Mean)),
    ("odd-wide-grid", EncoderSpec::from_numbers((32, 3, 4), (16, 64, 2), (4, 4), Pooling::Grid2x2)),
];

/// Real pictures where they are at hand (`LDAE_DATA`, or ../shared/data/cifar10 beside the repository), else dead leaves. Not `drawn`:
/// its pictures have equal mean and covariance, so that embeddings of a random encoder hardly differ and rounding counts more.
fn pictures(spec: &EncoderSpec) -> (Split, Split) {
    let real = std::env::var_os("LDAE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cifar10"), PathBuf::from);
    let shaped = |split: &Split, count| split.limit(count).resized(spec.image.into(), spec.channels.into());
    if !real.is_dir() {
        println!("pictures: dead leaves");
        let split = dead_leaves::pictures(CALIBRATION + COMPARED);
        let part = |range: std::ops::Range<usize>| {
            let pixels = range.flat_map(|i| split.image(i).to_vec()).collect();
            Split::from_memory(pixels, split.side(), split.channels(), None)
                .resized(spec.image.into(), spec.channels.into())
        };
        return (part(0..CALIBRATION), part(CALIBRATION..split.len()));
    }
    let dataset = data::load(&real.display().to_string(), &LoadOptions::default()).expect("pictures");
    println!("pictures: {}", dataset.name);
    (shaped(&dataset.train, CALIBRATION), shaped(dataset.held_out(), COMPARED))
}

/// bench/onnxruntime/check.py on a file; panics unless it agrees.
fn check(model: &Path, pictures: &Path, expected: &Path) {
    let python = std::env::var_os("LDAE_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/onnxruntime/check.py");
    let output = Command::new(python)
        .arg(script)
        .arg(model)
        .args([Path::new("--pictures"), pictures, Path::new("--expected"), expected])
        .output()
        .expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(output.status.success(), "{}: {text}{}", model.display(), String::from_utf8_lossy(&output.stderr));
}

fn agrees(name: &str, spec: EncoderSpec) {
    let (training, compared) = pictures(&spec);
    let case = Case::new(spec, &training);
    let origin = origin(&compared);
    let folder = tempfile::tempdir().expect("a folder");
    let place = |file: &str| folder.path().join(format!("{name}{file}"));
    std::fs::write(place(".onnx"), float32(&case.plain, &case.head, &origin).expect("small")).expect("written");
    std::fs::write(place("-int8.onnx"), int8(&case.weight_only, &case.head, &origin).expect("small")).expect("written");
    let side = usize::from(spec.image);
    let bytes = (0..compared.len()).flat_map(|i| compared.image(i).to_vec()).collect();
    let shape = (compared.len(), side, side, usize::from(spec.channels));
    write_npy(place(".pictures.npy"), &Array4::from_shape_vec(shape, bytes).expect("whole pictures")).expect("written");

    let save = |file: &str, f: &Features| {
        let array = Array2::from_shape_vec((f.rows(), f.dim()), f.values().to_vec()).expect("whole rows");
        write_npy(place(file), &array).expect("written");
    };
    let of = |embed: &dyn Fn(&[u8]) -> Vec<f32>| {
        let rows: Vec<Vec<f32>> = (0..compared.len()).map(|i| embed(compared.image(i))).collect();
        Features::new(rows.len(), spec.embedding() as usize, rows.concat()).expect("finite")
    };
    let network = Network::new(&case.weights, T, spec.pooling, &case.head, "cpu").expect("the CPU is there");
    let by_burn = of(&|picture| network.embed_batch(&[picture]).expect("a picture of the encoder's size"));
    let dequantised = case.weight_only.dequantised();
    let by_integers = of(&|picture| embedding(&dequantised, &case.head, picture));
    save(".burn.npy", &by_burn);
    save("-int8.float.npy", &by_integers);
    for (what, features) in [
        ("folded", &of(&|picture| embedding(&case.plain, &case.head, picture))),
        ("equalised", &of(&|picture| embedding(&case.equalised, &case.head, picture))),
        ("int8 weights", &by_integers),
    ] {
        println!("{name}: {what} against Burn: {}", Agreement::of(features, &by_burn).expect("same pictures"));
    }
    check(&place(".onnx"), &place(".pictures.npy"), &place(".burn.npy"));
    check(&place("-int8.onnx"), &place(".pictures.npy"), &place("-int8.float.npy"));
}

#[test]
#[ignore = "needs Python with onnx and onnxruntime; `./ci.sh onnx` runs it"]
fn onnxruntime_agrees_with_burn_on_odd_shapes() {
    for (name, spec) in ODD {
        agrees(name, spec);
    }
}

#[test]
#[ignore = "needs Python with onnx and onnxruntime; `./ci.sh onnx` runs it"]
fn onnxruntime_agrees_with_burn_on_presets() {
    for name in ["s", "vit-tiny"] {
        agrees(name, preset(name).expect("a preset").spec);
    }
}
