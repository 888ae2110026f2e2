//! One training step of every recipe against PyTorch (tests/pytorch/step.py): weights and inputs out, losses and gradients
//! compared there. `ci.sh pytorch` runs it; LDAE_PYTHON names a Python that has torch.

use super::tests::{CLASSES, Case, N, RESIDUAL, T, case, variants};
use crate::recipe;
use crate::train::batch::Step;
use crate::train::step::{Parts, mean_gradients};
use crate::train::workers::Workers;
use burn::tensor::{Device, Tensor};
use serde_json::{Value, json};
use std::process::Command;

fn entry<const D: usize>(tensor: Tensor<D>) -> Value {
    let shape = tensor.dims().to_vec();
    json!({ "shape": shape, "values": tensor.into_data().try_to_vec::<f32>().unwrap() })
}

fn named(weights: &crate::model::Weights) -> Value {
    let entries = weights.parameters().map(|t| (t.name.clone(), json!({ "shape": t.shape, "values": t.values })));
    Value::Object(entries.collect())
}

/// A case with its inputs and our losses and gradients.
fn written(recipe: &recipe::Recipe) -> Value {
    let case: Case = case(recipe);
    let step = Step { epoch: 3, samples: vec![4, 1, 0, 5] };
    let (device, workers, batches) = (Device::flex(), Workers::new(1).unwrap(), case.batches());
    let shared = case.objective.shared(&workers, 1, &case.state, &batches, &step);
    let parts = Parts { count: 2, recompute: false };
    let result = mean_gradients(&workers, parts, 4, &case.parameters, |range, leaves| {
        case.objective.losses(leaves, &shared, &batches, &step, range)
    });
    let spec = *case.weights.spec();
    let names = case.weights.parameters().map(|t| t.name.clone());
    let gradients =
        names.zip(result.gradients).map(|(name, g)| (name, json!(g.into_data().try_to_vec::<f32>().unwrap())));
    let sample = case.objective.denoising().map(|d| d.sample(&batches, 3, &step.samples, &device));
    let t: Option<Vec<f32>> = sample.as_ref().map(|s| s.t.iter().map(|&t| t as f32).collect());
    let orders: Vec<Vec<u32>> = step.samples.iter().map(|&s| batches.token_order(3, s, N)).collect();
    let k = case.tokenizer.encode.len() / case.tokenizer.mean.len();
    let matrix = |values: &[f32]| json!({ "shape": [k, case.tokenizer.mean.len()], "values": values });
    let basis = case.weights.get("pca.basis").unwrap();
    let views = [0, 1].map(|view| entry(batches.view(3, &step.samples, view, &device)));
    json!({
        "method": recipe.method,
        "spec": {
            "grid": spec.encoder.grid(), "width": spec.encoder.width, "depth": spec.encoder.depth,
            "heads": spec.encoder.heads, "decoder_width": spec.decoder_width, "decoder_depth": spec.decoder_depth,
            "decoder_heads": spec.decoder_heads, "classes": CLASSES,
        },
        "residual": RESIDUAL,
        "t_embed": T,
        "basis": { "shape": basis.shape, "values": basis.values },
        "tokenizer": {
            "mean": { "shape": [case.tokenizer.mean.len()], "values": case.tokenizer.mean },
            "encode": matrix(&case.tokenizer.encode), "decode": matrix(&case.tokenizer.decode),
            "scale": case.tokenizer.scale,
        },
        "parameters": named(&case.weights),
        "average": named(&case.average),
        "batch": {
            "clean": entry(batches.clean(3, &step.samples, &device)),
            "noise": entry(batches.noise(3, &step.samples, &device)),
            "t": t.map(|t| json!({ "shape": [t.len()], "values": t })),
            "classes": sample.as_ref().and_then(|s| s.classes.clone()).map(entry),
            "kept": sample.as_ref().and_then(|s| s.kept.clone()).map(entry),
            "orders": orders,
            "labels": batches.labels(&step.samples),
            "views": views,
        },
        "losses": result.losses.into_data().try_to_vec::<f32>().unwrap(),
        "gradients": Value::Object(gradients.collect()),
    })
}

#[test]
#[ignore = "needs Python with torch: ci.sh pytorch"]
fn a_step_of_every_recipe_is_pytorchs() {
    let folder = tempfile::tempdir().unwrap();
    let recipes = recipe::NAMES.iter().map(|name| recipe::named(name).unwrap()).chain(variants());
    for recipe in recipes {
        let path = folder.path().join(format!("{}.json", recipe.name.replace(' ', "-")));
        std::fs::write(path, serde_json::to_vec(&written(&recipe)).unwrap()).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/pytorch/step.py");
    let python = std::env::var_os("LDAE_PYTHON").unwrap_or("python3".into());
    let status = Command::new(python).arg(script).arg(folder.path()).status().unwrap();
    assert!(status.success(), "PyTorch disagrees");
}
