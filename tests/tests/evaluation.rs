//! `ldae eval` and `ldae embed` as a user runs them: the same facts for any number of threads, whole files or none, and
//! errors with a cause and a hint.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn ldae(threads: &str, arguments: &[&str]) -> Output {
    let program = ldae_tests::ldae();
    Command::new(program).env("RAYON_NUM_THREADS", threads).args(arguments).output().expect("the program starts")
}

fn facts(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object on standard output")
}

/// Exit status 2, a cause that contains `cause`, and a hint.
fn refuses(arguments: &[&str], cause: &str) {
    let output = ldae("2", arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(text.contains(cause) && text.contains(" hint: "), "{arguments:?}: {text}");
}

/// A run of a few steps on drawn pictures.
fn train(run: &str) {
    let small = "--preset xs --image 16 --patch 8 --rank 16 --width 16 --depth 1 --heads 2 --batch 32 --steps 10 \
                 --pca-patches 2000 --seed 7 --device cpu --data drawn:train=160,test=60,side=16,seed=3";
    let arguments: Vec<&str> = ["train", "--out", run].into_iter().chain(small.split_whitespace()).collect();
    assert!(ldae("2", &arguments).status.success());
}

#[test]
fn evaluates_and_embeds_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run").display().to_string();
    train(&run);

    let one = facts(&ldae("1", &["--json", "eval", &run, "--pooling", "mean,mean-std"]));
    let four = facts(&ldae("4", &["--json", "eval", &run, "--pooling", "mean,mean-std"]));
    assert_eq!(one, four, "results depend on the number of threads");
    let file: Value = serde_json::from_slice(&fs::read(folder.path().join("run/eval/drawn.json")).unwrap()).unwrap();
    assert_eq!(file["rows"], one["rows"]);
    let rows = one["rows"].as_array().unwrap();
    let names: Vec<String> = rows.iter().map(|r| format!("{} {}", r["embedding"], r["pooling"])).collect();
    // Trained, untrained twice, PCA: two poolings each; PCA flat; pixels.
    assert_eq!(rows.len(), 10, "{names:?}");
    for row in rows {
        assert_eq!((row["train"].as_u64(), row["test"].as_u64()), (Some(160), Some(60)));
        assert_eq!(row["probe_seeds"].as_array().unwrap().len(), 3);
    }
    assert_eq!(one["margins"].as_array().unwrap().len(), 2);

    let quick = ["--json", "eval", &run, "--no-probe", "--baselines", "none", "--pooling", "mean", "--name", "labels"];
    let with_labels = facts(&ldae("2", &[&quick[..], &["--supervised", "5"]].concat()));
    let roles: Vec<&str> = with_labels["rows"].as_array().unwrap().iter().filter_map(|r| r["role"].as_str()).collect();
    assert_eq!(roles, ["trained", "yardstick"]);
    assert!(folder.path().join("run/eval/labels.json").is_file());

    let npy = folder.path().join("x.npy");
    let made = facts(&ldae("3", &["--json", "embed", &run, "--pooling", "mean", "--out", &npy.display().to_string()]));
    assert_eq!((made["pictures"].as_u64(), made["components"].as_u64()), (Some(220), Some(16)));
    let bytes = fs::read(&npy).unwrap();
    assert_eq!(bytes.len(), 128 + 220 * 16 * 4);
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    for name in ["x.names.txt", "x.labels.txt"] {
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap().lines().count(), 220);
    }

    let missing = folder.path().join("no/x.npy").display().to_string();
    refuses(&["embed", &run, "--out", &missing], "there is no folder");
    refuses(&["embed", &run, "--codes", "--out", &npy.display().to_string()], "a run has no integer codes");
    refuses(&["eval", &run, "--pooling", "max"], "unknown pooling max");
    refuses(&["eval", &run, "--name", "../x"], "cannot name a file");
    refuses(&["eval", &run, "--data", &folder.path().join("nothing").display().to_string()], "nothing");
    let checkpoint = folder.path().join("run/checkpoints/last.safetensors");
    let mut bytes = fs::read(&checkpoint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&checkpoint, bytes).unwrap();
    refuses(&["eval", &run], "damaged");
}

/// A plain-PPM picture of one colour.
fn picture(path: &Path, grey: u8) {
    let mut bytes = b"P6 16 16 255\n".to_vec();
    bytes.extend((0..16 * 16 * 3).map(|i| grey ^ (i % 32) as u8));
    fs::write(path, bytes).unwrap();
}

#[test]
fn pictures_without_classes_can_be_embedded_but_not_scored() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run").display().to_string();
    train(&run);
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    (0..12).for_each(|i| picture(&pictures.join(format!("p{i}.ppm")), i * 20));
    let pictures = pictures.display().to_string();

    refuses(&["eval", &run, "--data", &pictures], "have no labels");
    assert!(!folder.path().join("run/eval/pictures.json").exists());
    let npy = folder.path().join("p.npy").display().to_string();
    let made = facts(&ldae("2", &["--json", "embed", &run, "--data", &pictures, "--out", &npy]));
    assert_eq!((made["pictures"].as_u64(), &made["labels"]), (Some(12), &Value::Null));
    let names = fs::read_to_string(folder.path().join("p.names.txt")).unwrap();
    assert!(names.lines().any(|n| n == "p3.ppm"), "{names}");
}

#[test]
fn refuses_what_is_no_run_and_no_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.ldae");
    fs::write(&file, b"not an encoder").unwrap();
    let file = file.display().to_string();
    refuses(&["eval", &file, "--data", "drawn"], "is not an encoder this version can run");
    refuses(&["embed", &file, "--data", "drawn", "--out", "x.npy"], "is not an encoder this version can run");
    refuses(&["eval", &folder.path().display().to_string()], "cannot read");
    refuses(&["eval", &folder.path().join("nothing").display().to_string()], "cannot read");
}
