//! Small whole sweeps on drawn pictures: results, resumption, shards, failures, refusals; and statements by hand.

use super::*;
use crate::cli::Output;
use crate::eval::embedder::Role;
use crate::eval::evaluation::{Protocol, Row};
use crate::train::TrainOptions;
use burn::tensor::Device;
use std::path::Path;

fn base() -> TrainOptions {
    TrainOptions {
        data: Some("drawn:train=80,test=40,side=16,seed=3".to_owned()),
        image: Some(16),
        patch: Some(8),
        width: Some(16),
        depth: Some(1),
        heads: Some(2),
        batch: Some(16),
        steps: Some(10),
        log_every: Some(5),
        pca_patches: Some(500),
        pooling: Some("mean".to_owned()),
        ..TrainOptions::default()
    }
}

fn grid(ranks: &[i64]) -> Grid {
    let values = ranks.iter().map(|&k| toml::Value::Integer(k)).collect();
    Grid { name: "test".into(), axes: vec![Axis { name: "rank".into(), values }], seeds: Vec::new() }
}

fn protocol() -> Protocol {
    Protocol { k: 5, ..Protocol::default() }
}

/// Runs the sweep; timings, which no two runs share, are set to zero.
fn sweep(root: &Path, grid: &Grid, options: &TrainOptions, shard: Option<&str>) -> crate::Result<Vec<CellResult>> {
    sweep_over_t(root, grid, options, shard, &[])
}

fn sweep_over_t(
    root: &Path,
    grid: &Grid,
    options: &TrainOptions,
    shard: Option<&str>,
    times: &[u16],
) -> crate::Result<Vec<CellResult>> {
    let cells = cells(grid, options, &[1, 2]).unwrap();
    let (protocol, device) = (protocol(), Device::flex());
    let shard = shard.map(|s| s.parse().unwrap());
    let job = Sweep { root, cells: &cells, protocol: &protocol, times, shard, overwrite: false, device: &device };
    let mut results = run(&job, &mut Pictures::default(), &Output::silent())?;
    for result in &mut results {
        if let Outcome::Done(m) = &mut result.outcome {
            assert!(m.seconds > 0.0);
            m.seconds = 0.0;
        }
    }
    Ok(results)
}

#[test]
fn shards_add_up_to_the_whole_and_nothing_is_run_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let grid = grid(&[4, 12]);
    let all = sweep(&whole, &grid, &base(), None).unwrap();
    let names: Vec<&str> = all.iter().map(|r| r.cell.as_str()).collect();
    assert_eq!(names, ["rank-4_seed-1", "rank-12_seed-1", "rank-4_seed-2", "rank-12_seed-2"]);
    for r in &all {
        let m = r.measured().unwrap();
        assert_eq!((m.steps, m.t, m.loss.is_some()), (10, 10, true));
        let roles = |role| m.rows.iter().filter(|row| row.role == role).count();
        // Untrained twice, PCA flat and pooled, pixels.
        assert_eq!((roles(Role::Trained), roles(Role::Baseline)), (1, 5), "{:?}", m.rows);
        assert_eq!(m.rows.iter().filter(|row| row.embedding == "raw pixels").count(), 1);
    }

    assert_eq!(sweep(&parts, &grid, &base(), Some("2/3")).unwrap().len(), 1);
    assert_eq!(sweep(&parts, &grid, &base(), Some("1/3")).unwrap().len(), 3);
    // The rest is trained, what is there is read.
    let log = |cell: &str| std::fs::read(parts.join(cell).join("train.log")).unwrap();
    let before = log("rank-12_seed-1");
    assert_eq!(sweep(&parts, &grid, &base(), None).unwrap(), all);
    assert_eq!(log("rank-12_seed-1"), before);
    assert_eq!(sweep(&parts, &grid, &base(), None).unwrap(), all);

    // A result that is lost is measured again from the run; more seeds or values extend the sweep.
    std::fs::remove_file(parts.join("results/rank-4_seed-2.json")).unwrap();
    assert_eq!(sweep(&parts, &grid, &base(), None).unwrap(), all);

    // Asked for more scores, the cells are scored again, not trained again.
    let more = sweep_over_t(&parts, &grid, &base(), None, &[0, 700]).unwrap();
    for (more, less) in more.iter().zip(&all) {
        let (more, less) = (more.measured().unwrap(), less.measured().unwrap());
        assert_eq!((&more.rows, more.loss), (&less.rows, less.loss));
        let places: Vec<(u16, &str)> = more.curves[0].points.iter().map(|p| (p.at, p.input.as_str())).collect();
        assert_eq!(places, [(0, "clean"), (0, "noised"), (700, "clean"), (700, "noised")]);
        // No noise at t = 0.
        assert_eq!(more.curves[0].points[0].row.knn, more.curves[0].points[1].row.knn);
    }

    // Other settings under the same names are refused before anything is trained.
    for other in [TrainOptions { lr: Some(0.1), ..base() }, TrainOptions { steps: Some(11), ..base() }] {
        let error = sweep(&parts, &grid, &other, None).unwrap_err();
        assert!(error.to_string().contains("other settings") && error.advice().is_some(), "{error}");
    }
    let cells = cells(&grid, &base(), &[1, 2]).unwrap();
    write(&parts, &summarise("test", "drawn", "", &cells, &more)).unwrap();
    let figure =
        std::fs::read_to_string(parts.join(format!("sweep-t-{}.svg", cells[0].setting.replace(' ', "-")))).unwrap();
    assert!(figure.starts_with("<svg") && figure.contains("time step t"));
}

#[test]
fn a_cell_that_fails_is_recorded_and_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let grid = grid(&[4000, 4]);
    let results = sweep(folder.path(), &grid, &base(), None).unwrap();
    let failed = results.iter().filter(|r| r.measured().is_none()).count();
    assert_eq!((results.len(), failed), (4, 2));
    let cells = cells(&grid, &base(), &[1, 2]).unwrap();
    let summary = summarise("test", "drawn", "", &cells, &results);
    assert_eq!((summary.measured, summary.missing, summary.failed.len()), (2, 0, 2));
    assert!(summary.failed[0].error.contains("not possible"), "{:?}", summary.failed[0]);
    assert_eq!(summary.settings[0].score(), None);
    assert_eq!(summary.best, Some(1));
    write(folder.path(), &summary).unwrap();
    let page = std::fs::read_to_string(folder.path().join("sweep.html")).unwrap();
    assert!(page.contains("failed: rank-4000_seed-1") && !page.contains("NaN"));
    for file in ["sweep.md", "sweep.json", "sweep.svg", "sweep-rank.svg"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
}

fn row(embedding: &str, role: Role, probe: f64, knn: f64) -> Row {
    Row {
        embedding: embedding.into(),
        role,
        pooling: "mean".into(),
        components: 4,
        train: 10,
        test: 10,
        knn,
        probe: Some(probe),
        probe_deviation: Some(0.0),
        probe_seeds: vec![probe],
        learning_rate: None,
        precision: 0.0,
        average_precision: None,
        few_label: Vec::new(),
    }
}

fn result(cell: &Cell, probe: f64, loss: (f64, f64)) -> CellResult {
    let rows = vec![
        row("trained, float", Role::Trained, probe, probe / 2.0),
        row("untrained, zero gates", Role::Baseline, 0.30, 0.2),
        row("untrained, random gates", Role::Baseline, 0.31, 0.2),
        row("PCA-4 latents", Role::Baseline, 0.25, 0.2),
        row("raw pixels", Role::Baseline, 0.2, 0.2),
    ];
    let measured = Measured {
        config_sha256: String::new(),
        protocol: String::new(),
        fingerprint: String::new(),
        steps: 1,
        parameters: 7,
        t: 10,
        loss: Some(loss),
        seconds: 2.0,
        rows,
        curves: Vec::new(),
    };
    CellResult::new(cell, Outcome::Done(Box::new(measured)))
}

#[test]
fn statements_by_hand() {
    let cells = cells(&grid(&[8, 16, 32]), &base(), &[1, 2]).unwrap();
    // Rank 8: 0.50, 0.52; rank 16: 0.505, 0.525 (the best); rank 32: 0.30, 0.301, whose loss rose once.
    let probes = [0.50, 0.505, 0.30, 0.52, 0.525, 0.301];
    let results: Vec<CellResult> = cells
        .iter()
        .zip(probes)
        .map(|(cell, p)| result(cell, p, if cell.name == "rank-32_seed-2" { (1.0, 1.1) } else { (1.0, 0.5) }))
        .collect();
    let s = summarise("ranks", "drawn", "protocol", &cells, &results);
    assert_eq!((s.best, s.measured, s.missing, s.score), (Some(1), 6, 0, "linear probe"));
    let best = &s.settings[1];
    assert!((best.probe.unwrap().mean - 0.515).abs() < 1e-12 && (best.knn.unwrap().mean - 0.2575).abs() < 1e-12);
    assert!((best.untrained.unwrap().mean - 0.31).abs() < 1e-12);
    assert_eq!((best.loss_fell, s.settings[2].loss_fell), (Some(true), Some(false)));
    let statements = s.statements();
    let expected = [
        // Deviations 0.01414 each: noise 2·sqrt(2·0.0002/2) = 0.02828.
        "best: rank 16, linear probe 51.50 ± 1.41 %",
        "within noise of the best: rank 8 (-0.50, noise 2.83)",
        // Deviation of rank 32 is 0.000707: noise 2·sqrt(0.0001 + 0.00000025) = 0.02002.
        "below the best: rank 32 (-21.45, noise 2.00)",
        "does NOT beat its untrained encoder: rank 32",
        "loss did NOT fall: rank 32",
        "claim: the rank curve has an inner maximum: within noise (rank 16 against the ends, closest rank 8: +0.50, noise 2.83)",
    ];
    assert_eq!(statements, expected);
    let table = text(&s);
    let line = "  rank 16      2  51.50 ± 1.41  25.75 ± 0.71  31.00 ± 0.00  25.00 ± 0.00  20.00 ± 0.00          +20.50";
    assert!(table.contains(line), "{table}");
    let md = markdown(&s);
    assert!(md.contains("| rank 32 | 2 | 30.05 ± 0.07 |") && md.contains("* best: rank 16"), "{md}");

    // One seed says nothing about noise; missing cells are named.
    let one = summarise("ranks", "drawn", "protocol", &cells, &results[..3]);
    let statements = one.statements();
    assert_eq!(statements[0], "best: rank 16, linear probe 50.50 %");
    assert_eq!(
        statements[1],
        "behind the best by, one seed, no noise estimate, so no claim: rank 8 (-0.50); rank 32 (-20.50)"
    );
    assert!(statements.contains(&"not above its untrained encoder (one seed): rank 32".to_owned()), "{statements:?}");
    assert_eq!(statements.last().unwrap(), "3 of 6 cells have no result yet");
    assert!(!statements.iter().any(|s| s.contains("below the best")));
}

#[test]
fn numeric_axes_are_drawn_as_curves() {
    let axis = |name: &str, values: &[&str]| Axis {
        name: name.into(),
        values: values.iter().map(|v| toml::Value::String((*v).into())).collect(),
    };
    let ranks = grid(&[8, 16, 128]).axes.remove(0);
    let two = Grid { name: "two".into(), axes: vec![axis("preset", &["xs", "s"]), ranks], seeds: Vec::new() };
    let cells = cells(&two, &base(), &[1, 2]).unwrap();
    let results: Vec<CellResult> = cells.iter().map(|c| result(c, 0.4 + 0.01 * c.index as f64, (1.0, 0.5))).collect();
    let s = summarise("two", "drawn", "", &cells, &results);
    let curves = figures::curves(&s);
    assert_eq!(curves.len(), 1, "presets are no numbers");
    let (name, svg) = &curves[0];
    assert_eq!((name.as_str(), svg.matches("<polyline").count(), svg.matches("<path").count()), ("rank", 2, 6));
    assert!(svg.contains(">128<") && svg.contains("preset s"), "{svg}");
}
