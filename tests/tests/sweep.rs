//! `ldae sweep` as a user runs it: killed (SIGKILL) and started again it ends with the results of one that was left alone;
//! exit statuses and refusals.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const GRID: &str = "seeds = [1, 2]\n[base]\ndata = \"drawn:train=128,test=64,side=16,seed=3\"\nimage = 16\npatch = 8\nwidth = 16\n\
                    depth = 1\nheads = 2\nbatch = 32\nsteps = 60\nlog-every = 5\ncheckpoint-every = 5\nknn-every = 30\n\
                    pca-patches = 2000\n[axes]\nrank = [8, 16]\n";

fn command(folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new(ldae_tests::ldae());
    command.current_dir(folder).args(["sweep", "--json", "--device", "cpu", "--out", out]).args(more);
    command
}

fn sweep(folder: &Path, out: &str, more: &[&str]) -> Output {
    command(folder, out, more).output().expect("the program starts")
}

/// The facts without what depends on the clock.
fn facts(output: &Output) -> Value {
    let mut facts: Value = serde_json::from_slice(&output.stdout).expect("one JSON object on standard output");
    for setting in facts["settings"].as_array_mut().unwrap() {
        setting["seconds"] = Value::Null;
    }
    facts
}

#[test]
fn a_killed_sweep_goes_on_to_the_same_results() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("grid.toml"), GRID).unwrap();
    let began = Instant::now();
    let whole = sweep(folder.path(), "whole", &["--grid", "grid.toml"]);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let duration = began.elapsed();
    assert_eq!(facts(&whole)["measured"], 4);

    // Killed at moments spread over the sweep: some cells are done by then, one is half trained.
    let mut midway = 0;
    for kill in 1..=5 {
        let mut child = command(folder.path(), "cut", &["--grid", "grid.toml"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(duration.mul_f64(f64::from(kill) / 12.0).min(Duration::from_secs(60)));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
            midway += 1;
        }
    }
    assert!(midway > 0, "every sweep ended before it was killed");
    let cut = sweep(folder.path(), "cut", &["--grid", "grid.toml"]);
    assert!(cut.status.success(), "{}", String::from_utf8_lossy(&cut.stderr));
    assert_eq!(facts(&cut), facts(&whole));
    for cell in ["rank-8_seed-1", "rank-16_seed-1", "rank-8_seed-2", "rank-16_seed-2"] {
        let read = |out: &str| fs::read(folder.path().join(out).join(cell).join("metrics.jsonl")).unwrap();
        assert!(read("cut") == read("whole"), "{cell}");
    }
    for name in ["sweep.html", "sweep.md", "sweep.json", "sweep.svg", "sweep-rank.svg"] {
        assert!(folder.path().join("cut").join(name).is_file(), "{name}");
    }
}

#[test]
fn statuses_and_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("failing.toml", &GRID.replace("rank = [8, 16]", "rank = [8, 500]"));
    let shard = sweep(folder.path(), "out", &["--grid", "failing.toml", "--shard", "1/2"]);
    assert_eq!(shard.status.code(), Some(0), "the cells of rank 8 are the first shard's");
    let failing = sweep(folder.path(), "out", &["--grid", "failing.toml", "--md"]);
    assert_eq!(failing.status.code(), Some(1));
    assert_eq!(facts(&failing)["failed"].as_array().unwrap().len(), 2);

    write("unlabelled.toml", "[base]\ndata = \"pictures\"\nupscale = true\n");
    fs::create_dir(folder.path().join("pictures")).unwrap();
    for i in 0..12u8 {
        let pixels = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8 * i, y as u8, i]));
        pixels.save(folder.path().join(format!("pictures/{i}.png"))).unwrap();
    }
    let refused = [
        (&["--grid", "no.toml"][..], "cannot read no.toml"),
        (&["--grid", "unlabelled.toml"], "have no labels"),
        (&["--ranks"], "no pictures given"),
        (&["--ranks", "--shard", "3/2"], "is no shard"),
        (&["--grid", "failing.toml", "--steps", "61"], "other settings"),
    ];
    for (arguments, cause) in refused {
        let output = sweep(folder.path(), "out", arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(cause), "{arguments:?}: {text}");
    }
    assert_eq!(sweep(folder.path(), "out", &[]).status.code(), Some(2), "no grid was named");
}
