//! A run directory and material with every part present, computed from formulas: enough to test and to look at the page.

use super::material::{Basis, Embedded, Material, Reconstructions};
use super::picture::Picture;
use crate::run_dir::RunDir;
use std::fs;
use std::path::Path;

/// A picture of class `class`: stripes of a class-dependent direction and period, shifted by `shift`.
fn stripes(side: usize, class: usize, shift: usize, blur: f64) -> Picture {
    let angle = class as f64 * 0.7;
    let pixels = (0..side * side)
        .flat_map(|i| {
            let (y, x) = ((i / side) as f64, (i % side) as f64);
            let phase = (x * angle.cos() + y * angle.sin() + shift as f64) * (0.5 + 0.1 * class as f64);
            let v = 127.5 + 110.0 * (1.0 - blur) * phase.sin();
            [v as u8, (v * 0.8) as u8, (255.0 - v) as u8]
        })
        .collect();
    Picture { width: side, height: side, channels: 3, pixels }
}

/// Writes metrics, configuration, quality, evaluation and verdicts of an imagined run.
pub fn write_run(root: &Path) {
    let run = RunDir::new(root);
    fs::create_dir_all(run.export()).unwrap();
    fs::create_dir_all(root.join("eval")).unwrap();
    let mut lines = String::new();
    for step in (10..=3000).step_by(10) {
        let s = f64::from(step);
        let loss = 3.0 * (-s / 400.0).exp() + 0.6 + 0.05 * (s * 0.37).sin();
        lines.push_str(&format!(
            "{{\"step\":{step},\"epoch\":{},\"loss\":{loss:.5},\"lr\":{:.6},\"grad_norm\":{:.4}}}\n",
            step / 100,
            1e-3 * (1.0 - s / 3100.0),
            1.0 + 0.3 * (s * 0.11).cos()
        ));
        if step % 300 == 0 {
            lines.push_str(&format!(
                "{{\"step\":{step},\"knn\":{:.4},\"embedding_std\":{:.4},\"effective_rank\":{:.2}}}\n",
                70.0 - 50.0 * (-s / 900.0).exp(),
                0.9 - 0.2 * (-s / 300.0).exp(),
                40.0 - 20.0 * (-s / 600.0).exp()
            ));
        }
    }
    lines.push_str("{\"step\":3010,\"lo"); // a line being written
    fs::write(run.metrics(), lines).unwrap();
    fs::write(run.config(), "preset = \"xs\"\nseed = 7\ndata = \"drawn\"\n[spec]\nimage = 32\nwidth = 64\n").unwrap();
    let layers: Vec<_> = (0..24).map(|i| serde_json::json!({"name": format!("block{}.{}", i / 6, i % 6), "sqnr_db": 38.0 + f64::from(i * 7 % 13)})).collect();
    let edges: Vec<f64> = (0..=20).map(|i| 0.99 + 0.0005 * f64::from(i)).collect();
    let counts: Vec<i32> = (0..20).map(|i| 500 - (i - 17) * (i - 17)).collect();
    let quality = serde_json::json!({"cosine_median": 0.9996, "cosine_q05": 0.9992, "nn_top1_agreement": 0.97, "nn_top10_agreement": 0.95,
        "knn_float": 71.2, "knn_int": 71.1, "probe_float": 74.5, "probe_int": 74.4, "layers": layers,
        "cosine_histogram": {"edges": edges, "counts": counts}});
    fs::write(run.export().join("quality.json"), quality.to_string()).unwrap();
    fs::write(run.export().join("encoder.ldae"), [1u8; 2000]).unwrap();
    let row = |name: &str, knn: f64, probe: f64| {
        serde_json::json!({"embedding": name, "pooling": "mean-std", "components": 128, "train": 4000, "test": 1000,
            "knn": knn, "probe": probe, "probe_deviation": 0.002})
    };
    let evaluation = serde_json::json!({"source": "run", "classes": 10, "protocol": "features standardised; k-NN: k = 20, cosine",
        "rows": [row("trained, float", 0.712, 0.745), row("raw pixels", 0.31, 0.33)],
        "not_run": [{"embedding": "supervised", "reason": "run `ldae eval --supervised`"}]});
    fs::write(run.eval("run"), evaluation.to_string()).unwrap();
    let device = |name: &str| {
        serde_json::json!({"device": name, "core": name, "kernel": "portable", "verdict": "equal", "pictures": 16, "inputs_equal": 16,
            "taps": 1024, "taps_equal": 1024, "embeddings_equal": 16, "first_difference": null, "trouble": null})
    };
    let verify = serde_json::json!({"devices": [device("qemu:cortex-m4"), device("qemu:rv32imac")],
        "not_run": [{"device": "qemu:cortex-m7", "reason": "install qemu-system-arm"}]});
    fs::write(root.join("verify.json"), verify.to_string()).unwrap();
}

/// The parts that need a model, filled with formulas.
pub fn fill(material: &mut Material) {
    let rows =
        (0..64).map(|k| (0..192).map(|j| ((k * (j / 3 % 8) + (k / 8 + 1) * (j / 24)) as f32 * 0.4).cos()).collect());
    let variances = (0..64).map(|k| 10.0 / (1.0 + f64::from(k)).powi(2)).collect();
    material.basis = Ok(Basis { patch: 8, channels: 3, rank: 32, rows: rows.collect(), variances: Ok(variances) });
    let levels: Vec<(u32, f32)> =
        [10, 100, 250, 500, 1000].iter().map(|t| (*t, std::f32::consts::SQRT_2 * *t as f32 / 1000.0)).collect();
    let blurred =
        |c: usize, scale: f64| levels.iter().map(|l| stripes(32, c, 3, f64::from(l.1) * scale)).collect::<Vec<_>>();
    material.reconstructions = Ok(Reconstructions {
        clean: (0..3).map(|c| stripes(32, c, 3, 0.0)).collect(),
        noised: (0..3).map(|c| blurred(c, 0.7)).collect(),
        predicted: (0..3).map(|c| blurred(c, 0.3)).collect(),
        levels,
    });
    material.samples = Ok(stripes(64, 5, 3, 0.2));
    let n = 200;
    let value = |i: usize, j: usize| ((i % 10 * 3 + j) as f32 * 0.9).sin() + 0.3 * ((i * 31 + j * 17) as f32).sin();
    material.embedded = Ok(Embedded {
        source: "float encoder of the run".into(),
        dim: 16,
        values: (0..n).flat_map(|i| (0..16).map(move |j| value(i, j))).collect(),
        pictures: (0..n).map(|i| stripes(32, i % 10, i / 10, 0.0)).collect(),
        labels: Some((0..n).map(|i| (i % 10) as u16).collect()),
        classes: (0..10).map(|c| format!("stripes {c}")).collect(),
    });
    material.data = vec![("data".into(), "drawn".into()), ("data fingerprint".into(), "0123abcd".into())];
}
