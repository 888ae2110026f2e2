//! `ldae bench ENC` and `ldae verify ENC --device tract,onnxruntime` as a user runs them, on a run of a few steps.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn ldae(arguments: &[&str]) -> Output {
    Command::new(ldae_tests::ldae()).args(arguments).output().expect("the program starts")
}

fn facts(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object on standard output")
}

/// A run of a few steps with all three files exported.
fn exported(folder: &Path) -> PathBuf {
    let run = folder.join("run").display().to_string();
    let small = "--preset xs --image 16 --patch 4 --rank 16 --width 16 --depth 2 --heads 2 --batch 32 --steps 10 \
                 --pca-patches 2000 --seed 7 --device cpu --data drawn:train=640,test=60,side=16,seed=3";
    let arguments: Vec<&str> = ["train", "--out", &run].into_iter().chain(small.split_whitespace()).collect();
    assert!(ldae(&arguments).status.success());
    let output = ldae(&["export", &run, "--onnx", "--onnx-int8", "--compare", "0", "--calibration", "512"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("run/export/encoder.ldae")
}

fn row<'v>(facts: &'v Value, name: &str) -> &'v Value {
    let rows = facts["rows"].as_array().expect("rows");
    rows.iter().find(|r| r["name"] == name).unwrap_or_else(|| panic!("no row {name} in {facts}"))
}

#[test]
fn every_runtime_is_a_row_and_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = exported(folder.path());
    let path = encoder.display().to_string();
    let data = "drawn:train=60,test=40,side=16,seed=3";
    let found = facts(&ldae(&["--json", "bench", &path, "--data", data, "--limit", "30"]));

    let portable = row(&found, "integer portable");
    for name in ["integer portable", "tract f32", "tract int8 weights"] {
        let m = &row(&found, name)["measured"];
        let (q10, median, q90) = (m["q10_us"].as_f64(), m["median_us"].as_f64(), m["q90_us"].as_f64());
        assert!(q10 > Some(0.0) && q10 <= median && median <= q90, "{name}: {m}");
        assert!(m["calls"].as_u64() >= Some(40) && m["load_ms"].as_f64() > Some(0.0), "{name}: {m}");
        assert!(m["scores"]["probe"].as_f64().is_some(), "{name}: {m}");
    }
    assert!(portable["measured"]["agreement"]["cosine_q05"].as_f64() > Some(0.99), "{portable}");
    let float = row(&found, "tract f32");
    assert!(float["measured"]["agreement"]["scaled_error"].as_f64() < Some(1e-4), "{float}");
    assert!(found["reference"].as_str().unwrap().contains("the run's float network at step 10"), "{found}");
    // Where onnxruntime is missing, its rows say so and what to do.
    for name in ["onnxruntime f32", "onnxruntime int8 weights", "onnxruntime dynamic int8"] {
        let row = row(&found, name);
        assert!(row["measured"].is_object() != row["hint"].is_string(), "{row}");
    }

    let verified = facts(&ldae(&["--json", "verify", &path, "--device", "tract,tract:int8,host", "--limit", "8"]));
    assert_eq!(verified["verdict"], "equal");
    for float in verified["float"].as_array().unwrap() {
        assert_eq!(float["agrees"], true, "{float}");
    }
}

#[test]
fn what_is_missing_or_foreign_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = exported(folder.path());
    let alone = folder.path().join("alone.ldae");
    fs::copy(&encoder, &alone).unwrap();
    let found = facts(&ldae(&["--json", "bench", &alone.display().to_string(), "--limit", "8"]));
    assert!(found["reference"].is_null() && row(&found, "integer portable")["measured"].is_object());
    let float = row(&found, "tract f32");
    assert!(float["measured"].is_null() && float["hint"].as_str().unwrap().contains("--onnx"), "{float}");

    // Named explicitly, a file of another artifact is an error; a damaged one too.
    let onnx = encoder.with_file_name("encoder.onnx");
    let mut bytes = fs::read(&onnx).unwrap();
    bytes.truncate(1000);
    let cut = folder.path().join("cut.onnx");
    fs::write(&cut, bytes).unwrap();
    let output = ldae(&["bench", &alone.display().to_string(), &cut.display().to_string()]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("cut.onnx") && text.contains(" hint: "), "{text}");

    // Outside its run there is no network to compare with.
    let output = ldae(&["verify", &alone.display().to_string(), "--device", "tract"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("no run directory") && text.contains(" hint: "), "{text}");
}
