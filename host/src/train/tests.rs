//! Whole small runs: learning, determinism, resuming, checkpoints, refusals.

use super::checkpoint::{Checkpoint, Which};
use super::metrics::{self, Line};
use super::ranks::Alone;
use super::*;
use crate::Result;
use crate::cli::Output;
use crate::data::{Augment, Dataset, Split};
use crate::model::Precision;
use crate::model::reference::noise_pictures;
use crate::run_dir::RunDir;
use burn::tensor::Device;
use std::fs;

/// 48 labelled pictures of 8x8x3: the class is the sign of the brightness slope.
fn dataset() -> Dataset {
    let split = |count: usize, seed: u64| {
        let pictures = noise_pictures(8, 3, count, seed);
        let half =
            |p: &[u8], top: bool| -> u32 { p[if top { 0..96 } else { 96..192 }].iter().map(|&b| u32::from(b)).sum() };
        let labels = pictures.iter().map(|p| u16::from(half(p, true) > half(p, false))).collect();
        Split::from_memory(pictures.concat(), 8, 3, Some(labels))
    };
    Dataset {
        classes: vec!["down".to_owned(), "up".to_owned()],
        test: Some(split(24, 2)),
        fingerprint: "slopes".to_owned(),
        ..Dataset::of_pictures("slopes", split(48, 1))
    }
}

fn options() -> TrainOptions {
    TrainOptions {
        data: Some("slopes".to_owned()),
        image: Some(8),
        patch: Some(4),
        rank: Some(12),
        width: Some(16),
        depth: Some(1),
        heads: Some(2),
        batch: Some(16),
        steps: Some(20),
        lr: Some(5e-3),
        log_every: Some(5),
        knn_every: Some(10),
        checkpoint_every: Some(10),
        pca_patches: Some(2000),
        ..TrainOptions::default()
    }
}

fn train(options: TrainOptions, run: &RunDir, mode: Mode) -> Result<TrainSummary> {
    let dataset = dataset();
    let (config, _) = options.resolve(&dataset)?;
    let device = Device::flex();
    let job = Job { config: &config, dataset: &dataset, run, mode, device: &device, ranks: &Alone };
    super::run(&job, &Output::new(false))
}

fn losses(run: &RunDir) -> Vec<f64> {
    let lines = metrics::read(&run.metrics()).unwrap();
    lines.iter().filter_map(|l| if let Line::Train(l) = l { Some(l.loss) } else { None }).collect()
}

#[test]
fn twenty_steps_overfit() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("run"));
    let summary = train(options(), &run, Mode::Fresh).unwrap();
    let losses = losses(&run);
    assert_eq!(losses.len(), 4);
    // The network starts by predicting zero; the mean picture and its slope are learned within 20 steps.
    assert!(losses[3] < 0.6 * losses[0], "{losses:?}");
    assert_eq!((summary.steps, summary.loss), (20, losses[3]));
    assert!(summary.knn.is_some_and(|k| (0.0..=100.0).contains(&k)) && !summary.collapsed);
    assert!(summary.best.is_some_and(|b| b.metric == "knn"));
}

#[test]
fn same_seed_same_run_and_another_seed_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, seed: u64| {
        let run = RunDir::new(folder.path().join(name));
        train(TrainOptions { seed: Some(seed), ..options() }, &run, Mode::Fresh).unwrap();
        (fs::read(run.metrics()).unwrap(), fs::read(run.checkpoint("last")).unwrap())
    };
    let first = run("a", 1);
    assert!(first == run("b", 1), "the same seed gave another run");
    assert!(first.0 != run("c", 2).0, "another seed gave the same run");
}

/// Interrupted after 10 of 20 steps (as a run that has the checkpoint of step 10 and later metrics), then resumed.
#[test]
fn resumed_equals_uninterrupted() {
    let folder = tempfile::tempdir().unwrap();
    let whole = RunDir::new(folder.path().join("whole"));
    train(options(), &whole, Mode::Fresh).unwrap();
    let cut = RunDir::new(folder.path().join("cut"));
    // Step 10 of this run is its last checkpoint; the learning rate depends on all 20 steps, so stop it by hand.
    let dataset = dataset();
    let (config, _) = options().resolve(&dataset).unwrap();
    let device = Device::flex();
    let job = Job { config: &config, dataset: &dataset, run: &cut, mode: Mode::Fresh, device: &device, ranks: &Alone };
    let stopped = super::run::run_until(&job, 13, &Output::new(false));
    assert_eq!(stopped.unwrap().steps, 13);
    assert_eq!(Checkpoint::load(&cut.checkpoint("last")).unwrap().header.step, 10);
    let summary = train(options(), &cut, Mode::Resume).unwrap();
    assert_eq!(summary.steps, 20);
    assert!(fs::read(cut.metrics()).unwrap() == fs::read(whole.metrics()).unwrap());
    for name in ["last", "best"] {
        assert!(fs::read(cut.checkpoint(name)).unwrap() == fs::read(whole.checkpoint(name)).unwrap(), "{name}");
    }
    // A finished run has nothing left to do and says the same.
    let again = train(options(), &cut, Mode::Resume).unwrap();
    assert_eq!((again.steps, again.knn), (20, summary.knn));
    assert!(fs::read(cut.metrics()).unwrap() == fs::read(whole.metrics()).unwrap());
}

/// Gradients of a batch cut into parts are those of the whole batch but for rounding, so the curves agree.
#[test]
fn shards_do_not_change_the_curve() {
    let folder = tempfile::tempdir().unwrap();
    let curve = |shards: usize| {
        let run = RunDir::new(folder.path().join(shards.to_string()));
        train(TrainOptions { shards: Some(shards), ..options() }, &run, Mode::Fresh).unwrap();
        losses(&run)
    };
    let one = curve(1);
    for shards in [2, 5] {
        for (a, b) in curve(shards).iter().zip(&one) {
            // f32 rounding of the gradients, amplified by 20 steps of Adam.
            assert!((a / b - 1.0).abs() < 1e-3, "{shards} shards: {a} against {b}");
        }
    }
}

#[test]
fn checkpoint_round_trip_and_damage() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("run"));
    train(options(), &run, Mode::Fresh).unwrap();
    let path = run.checkpoint("last");
    let bytes = fs::read(&path).unwrap();
    let checkpoint = Checkpoint::load(&path).unwrap();
    let copy = folder.path().join("copy.safetensors");
    checkpoint.save(&copy).unwrap();
    assert!(fs::read(&copy).unwrap() == bytes);
    let (current, average) = (checkpoint.weights(Which::Current).unwrap(), checkpoint.weights(Which::Average).unwrap());
    assert_eq!(current.get("encoder.embed.weight").unwrap().shape, [48, 16]);
    assert_ne!(current.get("encoder.embed.weight"), average.get("encoder.embed.weight"));
    assert_eq!(current.get("pca.basis"), average.get("pca.basis"));

    // One flipped bit anywhere, a cut file, another format, a file that is none: an error with a hint, never a run.
    let field = br#"\"step\":2"#;
    let step = bytes.windows(field.len()).position(|w| w == field).unwrap() + field.len();
    for at in [0, 8, 40, step, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let error = Checkpoint::load(&path).expect_err("a flipped bit was accepted");
        assert!(error.advice().is_some());
    }
    for length in [0, 7, 100, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(Checkpoint::load(&path).is_err());
        assert!(train(options(), &run, Mode::Resume).is_err());
    }
    assert!(Checkpoint::load(&run.config()).is_err());
    fs::write(&path, &bytes).unwrap();
    assert_eq!(train(options(), &run, Mode::Resume).unwrap().steps, 20);
}

#[test]
fn directories_are_not_overwritten_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("run"));
    let short = || TrainOptions { steps: Some(2), log_every: None, ..options() };
    train(short(), &run, Mode::Fresh).unwrap();
    let error = train(short(), &run, Mode::Fresh).unwrap_err();
    assert!(error.advice().unwrap().contains("--resume"));
    let other = TrainOptions { lr: Some(1e-3), ..short() };
    let error = train(other.clone(), &run, Mode::Resume).unwrap_err();
    assert!(error.to_string().contains("learning_rate"), "{error}");
    fs::write(run.root().join("mine.txt"), "stays").unwrap();
    train(other, &run, Mode::Overwrite).unwrap();
    assert!(run.root().join("mine.txt").exists());

    let foreign = RunDir::new(folder.path());
    assert!(train(short(), &foreign, Mode::Resume).is_err());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(train(short(), &RunDir::new(file.join("run")), Mode::Fresh).unwrap_err().advice().is_some());
}

#[test]
fn a_loss_that_explodes_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("run"));
    let wild = TrainOptions { lr: Some(1e30), clip: Some(0.0), ..options() };
    let error = train(wild, &run, Mode::Fresh).unwrap_err();
    assert!(error.to_string().contains("no longer finite"), "{error}");
    assert!(error.advice().unwrap().contains("--lr"));
    assert!(!run.checkpoint("last").exists());
}

#[test]
fn options_resolve_with_reasons() {
    let dataset = dataset();
    let refused = |options: TrainOptions| options.resolve(&dataset).unwrap_err();
    assert!(
        refused(TrainOptions { preset: Some("xxl".to_owned()), ..options() }).advice().unwrap().contains("vit-tiny")
    );
    assert!(refused(TrainOptions { patch: Some(3), ..options() }).advice().is_some());
    assert!(refused(TrainOptions { rank: Some(49), ..options() }).advice().is_some());
    assert!(refused(TrainOptions { heads: Some(3), ..options() }).advice().is_some());
    assert!(refused(TrainOptions { steps: Some(0), ..options() }).advice().is_some());
    assert!(refused(TrainOptions { lr: Some(f64::NAN), ..options() }).advice().is_some());
    assert!(refused(TrainOptions { ema: Some(1.5), ..options() }).advice().is_some());
    // The preset's rank 32 is clipped to the 12 values of a 2x2 patch, and the user is told; a rank that was asked for is not.
    let (config, note) = TrainOptions { patch: Some(2), rank: None, ..options() }.resolve(&dataset).unwrap();
    assert_eq!(config.model.rank, 12);
    assert!(note.unwrap().contains("rank 32"));
    // Command line over file over preset.
    let file = TrainOptions { lr: Some(0.5), augment: Some(Augment::None), ..TrainOptions::default() };
    let (config, _) = options().or(file).resolve(&dataset).unwrap();
    assert_eq!((config.optimiser.learning_rate, config.data.augment), (5e-3, Augment::None));
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), config);
    assert_eq!(Plan::new(&config, 2).unwrap().steps_per_epoch, 3);
}

#[test]
fn supervised_training_learns_the_labels() {
    let dataset = dataset();
    let (config, _) = options().resolve(&dataset).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = RunDir::new(folder.path().join("labels"));
    let train =
        |steps, place: &RunDir| supervised(&config, &dataset, (steps, 10), place, &Device::flex(), &Output::silent());
    let weights = train(60, &place).unwrap();
    // Taken over when it is there, trained to the same end when it is not.
    assert_eq!(weights.tensors(), train(60, &place).unwrap().tensors());
    let again = train(60, &RunDir::new(folder.path().join("again"))).unwrap();
    assert_eq!(weights.tensors(), again.tensors());
    let lines = metrics::read(&place.metrics()).unwrap();
    let losses: Vec<f64> =
        lines.iter().filter_map(|l| if let Line::Train(l) = l { Some(l.loss) } else { None }).collect();
    // Two classes: ln 2 is guessing.
    assert!(losses[0] > 0.5 && losses[losses.len() - 1] < 0.35, "{losses:?}");
    let unlabelled = Dataset { train: Split::from_memory(vec![0; 48 * 192], 8, 3, None), ..self::dataset() };
    let error = supervised(&config, &unlabelled, (1, 10), &place, &Device::flex(), &Output::silent()).unwrap_err();
    assert!(error.to_string().contains("needs labels"), "{error}");
}

/// Loss of each interval of a run with these options on these devices.
fn curve(folder: &std::path::Path, name: &str, options: TrainOptions, devices: usize) -> Vec<f64> {
    let run = RunDir::new(folder.join(name));
    let dataset = dataset();
    let (config, _) = options.resolve(&dataset).unwrap();
    let result = replicas::Replicas::new(vec![Device::flex(); devices]).run(|replica| {
        let (device, mode) = (replica.device(), Mode::Fresh);
        let job = Job { config: &config, dataset: &dataset, run: &run, mode, device, ranks: replica };
        super::run(&job, &Output::silent())
    });
    assert_eq!(result.unwrap().steps, 20);
    losses(&run)
}

#[test]
fn two_devices_and_recomputed_activations_change_nothing_but_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let plain = curve(folder.path(), "plain", options(), 1);
    let two = curve(folder.path(), "two", options(), 2);
    let recomputed = curve(folder.path(), "recompute", TrainOptions { recompute: Some(true), ..options() }, 1);
    for other in [two, recomputed] {
        for (a, b) in plain.iter().zip(&other) {
            assert!((a / b - 1.0).abs() < 1e-4, "{plain:?} {other:?}");
        }
    }
}

/// Eight bits of mantissa in the products: the curve bends by less than a percent.
#[test]
fn bf16_follows_f32() {
    let folder = tempfile::tempdir().unwrap();
    let full = curve(folder.path(), "f32", options(), 1);
    let half = curve(folder.path(), "bf16", TrainOptions { precision: Some(Precision::Bf16), ..options() }, 1);
    assert_ne!(full, half);
    for (a, b) in full.iter().zip(&half) {
        assert!((a / b - 1.0).abs() < 0.01, "{full:?} {half:?}");
    }
}

#[test]
fn reconstructions_follow_the_noise() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("run"));
    train(TrainOptions { steps: Some(150), ..options() }, &run, Mode::Fresh).unwrap();
    let checkpoint = Checkpoint::load(&run.checkpoint("last")).unwrap();
    let pictures = noise_pictures(8, 3, 2, 1);
    let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
    let result = reconstruct(&checkpoint, &pictures, &[1, 300, 900]).unwrap();
    assert_eq!(result, reconstruct(&checkpoint, &pictures, &[1, 300, 900]).unwrap());
    let distance = |a: &[u8], b: &[u8]| -> f64 {
        a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>() / a.len() as f64
    };
    for (levels, picture) in result.iter().zip(&pictures) {
        let noise: Vec<f64> = levels.iter().map(|level| distance(&level.noisy, picture)).collect();
        assert!(noise[0] < noise[1] && noise[1] < noise[2], "{noise:?}");
        // At the strongest noise the prediction is far closer to the clean picture than what the network saw.
        assert!(distance(&levels[2].predicted, picture) < 0.5 * noise[2]);
    }
    assert!(reconstruct(&checkpoint, &[&[0u8; 5]], &[1]).is_err());
}
