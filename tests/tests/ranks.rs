//! Two processes under `mpirun` train what one process trains: the same loss curve and weights but for the order in which floats are
//! added; and a run that lost a process can be resumed.
//!
//! Needs `mpirun` and a program built with feature `mpi`, named by LDAE_MPI_PROGRAM (`ci.sh mpi` does both).

use ldae_host::run_dir::RunDir;
use ldae_host::train::checkpoint::{Checkpoint, Which};
use ldae_host::train::metrics::{Line, read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUN: &str = "--data drawn:train=128,test=64,side=16,seed=3 --preset xs --image 16 --patch 8 --rank 16 --width 16 --depth 2 \
     --heads 2 --batch 32 --log-every 5 --checkpoint-every 5 --knn-every 20 --pca-patches 2000 --seed 7 --device cpu --shards 4";

fn program() -> PathBuf {
    std::env::var_os("LDAE_MPI_PROGRAM").expect("LDAE_MPI_PROGRAM names a program built with feature mpi").into()
}

/// `ldae train` in `run` by so many processes.
fn train(processes: usize, run: &Path, steps: u32, more: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    // Machines with fewer cores than processes, containers, and no network.
    command.args([
        "--oversubscribe",
        "--allow-run-as-root",
        "--mca",
        "btl",
        "self,vader,tcp",
        "-n",
        &processes.to_string(),
    ]);
    command.arg(program()).arg("train").args(RUN.split_whitespace()).arg("--out").arg(run);
    command.args(["--steps", &steps.to_string()]).args(more).stdin(Stdio::null());
    command
}

fn finished(mut command: Command) {
    let output = command.output().expect("mpirun starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Losses and gradient norms, and the averaged weights.
fn results(run: &Path) -> (Vec<[f64; 2]>, Vec<Vec<f32>>) {
    let dir = RunDir::new(run);
    let lines = read(&dir.metrics()).unwrap();
    let curve = lines.iter().filter_map(|line| match line {
        Line::Train(line) => Some([line.loss, line.grad_norm]),
        Line::Probe(_) => None,
    });
    let weights = Checkpoint::load(&dir.checkpoint("last")).unwrap().weights(Which::Average).unwrap();
    (curve.collect(), weights.tensors().iter().map(|tensor| tensor.values.to_vec()).collect())
}

fn assert_equal_but_for_rounding(a: &Path, b: &Path) {
    let ((curve_a, weights_a), (curve_b, weights_b)) = (results(a), results(b));
    assert_eq!(curve_a.len(), curve_b.len());
    for (x, y) in curve_a.iter().flatten().zip(curve_b.iter().flatten()) {
        assert!((x / y - 1.0).abs() < 1e-4, "{x} against {y}");
    }
    for (x, y) in weights_a.iter().zip(&weights_b) {
        let largest = x.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
        // AdamW divides by the root of the second moment: where a gradient is near zero, rounding is as large as it.
        let worst = x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
        assert!(worst < 2e-3 * largest, "{worst} of {largest}");
    }
}

#[test]
#[ignore = "needs mpirun: ci.sh mpi"]
fn two_processes_train_what_one_trains() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    finished(train(1, &one, 40, &[]));
    finished(train(2, &two, 40, &[]));
    assert_equal_but_for_rounding(&one, &two);
    assert_ne!(std::fs::read(one.join("metrics.jsonl")).unwrap(), [0u8; 0]);
}

#[test]
#[ignore = "needs mpirun: ci.sh mpi"]
fn a_run_that_lost_a_process_ends_and_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| folder.path().join(name));
    finished(train(2, &whole, 300, &[]));
    let child = train(2, &cut, 300, &[]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let last = RunDir::new(&cut).checkpoint("last");
    let began = Instant::now();
    while !last.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no checkpoint after a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    // One of the two processes, by the run directory in its arguments; mpirun itself has other arguments in front.
    let killed = Command::new("pkill")
        .args(["-KILL", "-n", "-f"])
        .arg(format!("^{}.*{}", program().display(), cut.display()))
        .status();
    assert!(killed.unwrap().success(), "no process to kill");
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success(), "the run must not count as finished");
    assert!(!output.stderr.is_empty(), "nothing was said");
    finished(train(2, &cut, 300, &["--resume"]));
    assert_equal_but_for_rounding(&whole, &cut);
}

#[test]
#[ignore = "needs mpirun: ci.sh mpi"]
fn an_error_of_one_process_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "in the way").unwrap();
    let began = Instant::now();
    let output = train(2, folder.path(), 5, &[]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("already holds files") && text.contains("--overwrite"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(30), "the other process went on waiting");
}
