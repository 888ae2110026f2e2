//! `ldae demo`: the whole chain in minutes on a CPU: train, export, evaluate, verify, report.
//!
//! Every stage is the one that its verb runs, on one data set that is loaded once. The same seed gives the same
//! `metrics.jsonl`. What this machine lacks (an emulator) is named and does not fail the demo; a device that computes
//! anything else than this machine does.

use super::{Outcome, Output};
use crate::data::{self, Augment, Dataset};
use crate::error::Context;
use crate::eval::comparison::{Request, compare};
use crate::eval::evaluation::{Evaluation, Protocol};
use crate::eval::subject::Subject;
use crate::export::{self, Exported, Files};
use crate::run_dir::RunDir;
use crate::train::checkpoint::{Checkpoint, Which};
use crate::train::ranks::Alone;
use crate::train::{self, Job, Mode, TrainConfig, TrainOptions, TrainSummary};
use crate::verify::{self, Device, Pictures, Verdict, VerifyReport};
use crate::{Result, atomic, report};
use ldae_shared::spec::EncoderSpec;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Where the demo writes without `--out`; an older demo there is replaced.
const DEFAULT_OUT: &str = "runs/demo";
/// Emulated cores that the demo compares with (the acceptance list of the project).
const DEVICES: [&str; 3] = ["qemu:cortex-m4", "qemu:cortex-m7", "qemu:rv32imac"];
/// Pictures compared on each of them.
const VERIFY_PICTURES: usize = 16;
/// Calibration pictures and test vectors of the export, as `ldae export` has them.
const CALIBRATION: usize = 1024;
const VECTORS: usize = 2;
/// Pictures of each split in the quality report.
const COMPARE: usize = 2000;

/// Arguments of `ldae demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures: a folder, a tar archive, CIFAR or IDX; without it the program draws its own.
    #[arg(long, default_value = DEMO_DATA)]
    data: String,
    /// Run directory to write [default: runs/demo, replacing an older demo]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace the run in --out.
    #[arg(long)]
    overwrite: bool,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Training steps; fewer are quicker and worse.
    #[arg(long)]
    steps: Option<u64>,
    /// auto (a GPU if there is one), cpu, cuda or cuda:INDEX
    #[arg(long, default_value = "auto")]
    device: String,
}

/// Pictures of the demo.
const DEMO_DATA: &str = "drawn";
/// Training of the demo, chosen by measurement on `drawn`: 192 000 pictures, about three CPU minutes.
const STEPS: u64 = 3000;
const BATCH: usize = 64;
/// Two parts a batch keep two cores busy.
const SHARDS: usize = 2;
const LEARNING_RATE: f64 = 3e-3;
/// Time step at which the demo's encoder embeds drawn pictures. METHOD.md section 1 probes photographs best near t = 10; on
/// `drawn` k-NN of the demo's encoder is 46.1, 51.1, 64.6, 67.9 and 61.9 % at t = 10, 100, 300, 600 and 900
/// (`ldae eval runs/demo --t T`).
const T_DRAWN: u32 = 600;

/// The demo's training settings. Pictures that the user brings are treated as `ldae train` would: t = 10, mirrored.
fn options(args: &Args) -> TrainOptions {
    let drawn = args.data == DEMO_DATA || args.data.starts_with("drawn:");
    TrainOptions {
        data: Some(args.data.clone()),
        preset: Some("xs".to_owned()),
        seed: Some(args.seed),
        steps: Some(args.steps.unwrap_or(STEPS)),
        batch: Some(BATCH),
        shards: Some(SHARDS),
        lr: Some(LEARNING_RATE),
        ema: Some(0.999),
        // A mirrored tile may be one of another class.
        augment: drawn.then_some(Augment::None),
        t_embed: drawn.then_some(T_DRAWN),
        upscale: Some(true),
        ..TrainOptions::default()
    }
}

/// Facts of a demo (`--json`).
#[derive(Serialize)]
struct Facts {
    run: PathBuf,
    train: TrainSummary,
    export: Exported,
    /// Absent without labels.
    evaluation: Option<Evaluation>,
    verify: VerifyReport,
    report: PathBuf,
    seconds: Vec<(&'static str, f64)>,
    passed: bool,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let run = RunDir::new(args.out.clone().unwrap_or_else(|| DEFAULT_OUT.into()));
    let mode = if args.overwrite || args.out.is_none() { Mode::Overwrite } else { Mode::Fresh };
    let mut clock = Clock::start();

    out.line(format!("demo on {}, run directory {}", args.data, run.root().display()));
    let options = options(&args);
    let dataset = data::load(&args.data, &options.load_options()?)?;
    let (config, note) = options.resolve(&dataset)?;
    note.iter().for_each(|n| out.note(n));
    clock.lap("load");

    let device = train::device::choose(&args.device)?;
    out.line(format!("train    {} steps of {} pictures", config.optimiser.steps, config.optimiser.batch));
    let job = Job { config: &config, dataset: &dataset, run: &run, mode, device: &device, ranks: &Alone };
    let train = train::run(&job, out)?;
    out.line(format!("         loss {:.5}, {:.0} s", train.loss, clock.lap("train")));

    let exported = export(&run, &config, &dataset, out)?;
    out.line(format!("export   {} bytes, {:.0} s", exported.bytes, clock.lap("export")));

    let evaluation = evaluate(&run, &config, &dataset, out)?;
    out.line(format!("evaluate {:.0} s", clock.lap("evaluate")));

    let verify = verify_devices(&run, &exported, &config.model_spec()?.encoder, &args.data, out)?;
    out.line(format!("verify   {:.0} s", clock.lap("verify")));

    let material = report::collect(&run, Some(&args.data), out)?;
    report::write(&material, &run.report(), &run.card())?;
    clock.lap("report");

    let passed = verify.devices.iter().all(|d| d.verdict == Verdict::Equal);
    let facts = Facts {
        run: run.root().to_owned(),
        train,
        export: exported,
        evaluation,
        verify,
        report: run.report(),
        seconds: clock.laps,
        passed,
    };
    let text = facts.text(&config);
    out.facts(&facts, text);
    Ok(if passed { Outcome::Passed } else { Outcome::CheckFailed })
}

fn export(run: &RunDir, config: &TrainConfig, dataset: &Dataset, out: &Output) -> Result<Exported> {
    let checkpoint = Checkpoint::load(&run.checkpoint("last"))?;
    let weights = checkpoint.weights(Which::Average)?;
    let options = export::Options {
        t: config.schedule.t_embed as u16,
        pooling: weights.spec().encoder.pooling,
        calibration: CALIBRATION,
        vectors: VECTORS,
        compare: COMPARE,
        facts: super::export::facts(config, &checkpoint),
    };
    let files = Files { artifact: run.export().join("encoder.ldae"), onnx: None, onnx_int8: None };
    let exported = export::export(&weights, dataset, &options, files, out)?;
    export::save_quality(&exported)?;
    Ok(exported)
}

/// k-NN of the trained encoder, float and integer, beside the baselines, in the pooling that was exported.
fn evaluate(run: &RunDir, config: &TrainConfig, dataset: &Dataset, out: &Output) -> Result<Option<Evaluation>> {
    if dataset.train.labels().is_none() || dataset.held_out().labels().is_none() {
        out.warn("the pictures have no labels, so k-NN is not measured: put them in one folder per class to see it");
        return Ok(None);
    }
    let request = Request {
        poolings: vec![config.model_spec()?.encoder.pooling],
        t: config.schedule.t_embed as u16,
        protocol: Protocol { probe: false, ..Protocol::default() },
        ..Request::default()
    };
    let evaluation = compare(&Subject::open(run.root(), "last")?, dataset, &request, out)?;
    save(&run.eval("demo"), &evaluation)?;
    Ok(Some(evaluation))
}

fn verify_devices(
    run: &RunDir,
    exported: &Exported,
    spec: &EncoderSpec,
    data: &str,
    out: &Output,
) -> Result<VerifyReport> {
    let bytes = std::fs::read(&exported.path).context(|| format!("cannot read {}", exported.path.display()))?;
    let devices = DEVICES.iter().map(|d| d.parse()).collect::<Result<Vec<Device>>>()?;
    let pictures = Pictures::of_data(data, spec, VERIFY_PICTURES)?;
    let options = verify::Options { skip_missing: true, ..verify::Options::default() };
    let found = verify::run(&bytes, &devices, &pictures, &options, out)?;
    save(&run.root().join("verify.json"), &found)?;
    Ok(found)
}

fn save<T: Serialize>(path: &std::path::Path, facts: &T) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display()))?;
    }
    let json = serde_json::to_vec_pretty(facts).context(|| format!("cannot write {} as JSON", path.display()))?;
    atomic::write(path, &json)
}

impl Facts {
    fn text(&self, config: &TrainConfig) -> String {
        let mut t = String::from("\nk-NN accuracy on held-out pictures (k = 20, cosine, standardised)\n");
        match &self.evaluation {
            None => t.push_str("  not measured: the pictures have no labels\n"),
            Some(evaluation) => {
                for row in &evaluation.rows {
                    let _ = writeln!(
                        t,
                        "  {:<24} {:<9} {:>5} values {:>7.2} %",
                        row.embedding,
                        row.pooling,
                        row.components,
                        100.0 * row.knn
                    );
                }
                let _ =
                    writeln!(t, "  {:<24} {:<9} {:>12} {:>7.2} %", "chance", "", "", 100.0 / evaluation.classes as f64);
            }
        }
        if let Some(q) = &self.export.quality {
            let gate = if q.passed { "met" } else { "MISSED" };
            let _ =
                writeln!(t, "integer against float: centred cosine, 5 % quantile {:.5} (gates {gate})", q.cosine_q05);
        }
        let _ = writeln!(t, "host against device, {} pictures, {} taps each", self.verify.pictures, self.verify.taps);
        for d in &self.verify.devices {
            let verdict = match d.verdict {
                Verdict::Equal => "equal bit for bit",
                Verdict::Differs => "DIFFERENT",
                Verdict::DidNotFinish => "DID NOT FINISH",
            };
            let first = d.first_difference.as_ref().map(|f| format!(", first at {}", f.tap_name)).unwrap_or_default();
            let trouble = d.trouble.as_ref().map(|m| format!(": {m}")).unwrap_or_default();
            let _ = writeln!(t, "  {:<24} {verdict}{first}{trouble}", d.device);
        }
        for d in &self.verify.not_run {
            let _ = writeln!(t, "  {:<24} not run: {}; {}", d.device, d.reason, d.hint);
        }
        let total: f64 = self.seconds.iter().map(|s| s.1).sum();
        let _ = write!(t, "report {}\nseed {}, {:.0} s in all", self.report.display(), config.optimiser.seed, total);
        t
    }
}

/// Seconds of each stage.
struct Clock {
    last: Instant,
    laps: Vec<(&'static str, f64)>,
}

impl Clock {
    fn start() -> Self {
        Clock { last: Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self, stage: &'static str) -> f64 {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        self.laps.push((stage, seconds));
        seconds
    }
}
