//! A training run that is killed (SIGKILL) at random moments and resumed ends with the same bytes as one that was left
//! alone: `metrics.jsonl`, `last.safetensors`, `best.safetensors`.

use ldae_shared::noise::{Purpose, Stream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: usize = 10;

/// Starts a small run; it lasts about a second and writes a checkpoint every fifth step.
fn start(program: &Path, run: &Path) -> Child {
    let small = "--preset xs --image 16 --patch 8 --rank 16 --width 16 --depth 1 --heads 2 --batch 32 --steps 150 \
                 --log-every 5 --checkpoint-every 5 --knn-every 30 --pca-patches 2000 --seed 7 --device cpu --resume";
    Command::new(program)
        .args(["train", "--data", "drawn:train=128,test=64,side=16,seed=3", "--out"])
        .arg(run)
        .args(small.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

#[test]
fn killed_and_resumed_runs_equal_an_uninterrupted_one() {
    let program = ldae_tests::ldae();
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let began = Instant::now();
    assert!(start(&program, &whole).wait().unwrap().success(), "the uninterrupted run failed");
    let duration = began.elapsed();

    // Other moments every time; the seed is printed so that a failure can be looked into.
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}, one run takes {duration:?}");
    let mut random = Stream::new(seed, Purpose::Order, 0, 0);
    let (mut kills, mut runs, mut resumed_midway) = (0, 0, 0);
    while kills < KILLS {
        let run = folder.path().join(format!("run-{runs}"));
        runs += 1;
        loop {
            let mut child = start(&program, &run);
            if kills < KILLS {
                // Half of the kills come early (while the directory is claimed and the data read), half anywhere.
                let span = if random.below(2) == 0 { 0.3 } else { 1.0 };
                std::thread::sleep(Duration::from_secs_f64(
                    duration.as_secs_f64() * span * f64::from(random.uniform()),
                ));
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap(); // SIGKILL
                    child.wait().unwrap();
                    kills += 1;
                    continue;
                }
            }
            assert!(child.wait().unwrap().success(), "a resumed run failed");
            break;
        }
        let log = std::fs::read_to_string(run.join("train.log")).unwrap();
        resumed_midway += log.lines().filter(|l| l.contains(" of 150:") && !l.contains("step 0 of")).count();
        for file in ["config.toml", "metrics.jsonl", "checkpoints/last.safetensors", "checkpoints/best.safetensors"] {
            let same = std::fs::read(run.join(file)).unwrap() == std::fs::read(whole.join(file)).unwrap();
            assert!(same, "{file} differs after {kills} kills (seed {seed})");
        }
        for folder in [run.clone(), run.join("checkpoints")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name();
                assert!(!name.to_string_lossy().contains(".partial-"), "{name:?} was left behind (seed {seed})");
            }
        }
    }
    // The equality above says nothing if every kill came before the first checkpoint.
    assert!(resumed_midway > 0, "no run went on from a checkpoint (seed {seed})");
    println!("{kills} kills in {runs} runs, {resumed_midway} resumed midway");
}
