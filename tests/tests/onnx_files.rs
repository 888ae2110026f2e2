//! Damaged and changed files of the real exporter: the ONNX loader refuses them or runs them, and never panics.
//! (device/tests/tract.rs does the same for a small file of every operator.)

use ldae_device::tract::TractEncoder;
use std::fs;
use std::process::Command;

fn ldae(arguments: &[&str]) {
    let output = Command::new(ldae_tests::ldae()).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
}

/// Both files of an export of a run of a few steps on pictures of 8 pixels a side.
fn exported() -> [Vec<u8>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run").display().to_string();
    let train = "--preset xs --image 8 --patch 4 --rank 4 --width 8 --depth 1 --heads 2 --batch 16 --steps 3 \
                 --pca-patches 500 --seed 7 --device cpu --data drawn:train=80,test=40,side=8,seed=3";
    ldae(&["train", "--out", &run].into_iter().chain(train.split_whitespace()).collect::<Vec<_>>());
    let files = ["encoder.onnx", "encoder-int8.onnx"].map(|f| folder.path().join(f).display().to_string());
    ldae(&["export", &run, "--onnx", &files[0], "--onnx-int8", &files[1], "--compare", "0"]);
    files.map(|f| fs::read(f).unwrap())
}

#[test]
fn damaged_exports_are_refused_or_run() {
    for file in exported() {
        let whole = TractEncoder::new(&file).unwrap();
        assert!(whole.agreement().worst < 1e-5, "{:?}", whole.agreement());
        for length in (0..file.len()).step_by(7) {
            assert!(TractEncoder::new(&file[..length]).is_err(), "{length} of {} bytes", file.len());
        }
        let (mut bytes, mut ran, mut refused) = (file.clone(), 0, 0);
        for at in (0..file.len()).step_by(5) {
            for change in [1, 0x80, 0xFF] {
                bytes[at] ^= change;
                match TractEncoder::new(&bytes) {
                    Ok(encoder) => {
                        let pixels = vec![0x5A; encoder.spec().pixels() as usize];
                        let mut out = vec![0f32; encoder.spec().embedding() as usize];
                        encoder.embed(&pixels, &mut out).unwrap();
                        ran += 1;
                    }
                    Err(_) => refused += 1,
                }
                bytes[at] ^= change;
            }
        }
        println!("{} bytes: {ran} changed files ran, {refused} were refused", file.len());
        assert!(ran > 0 && refused > 0);
    }
}
