//! `ldae bench`: every runtime of an encoder on this machine side by side, or its exact instructions on emulated cores.

use super::{Outcome, Output};
use crate::bench::{self, Budget, Judgement, Measurement, Model, runtimes, table};
use crate::error::Context;
use crate::verify::Device;
use crate::{Error, Result};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Arguments of `ldae bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Artifact (.ldae).
    #[arg(required_unless_present_any = ["preset", "train", "pipeline"], conflicts_with = "preset")]
    encoder: Option<PathBuf>,
    /// ONNX files of the same export that do not lie beside the artifact.
    #[arg(conflicts_with = "device")]
    more: Vec<PathBuf>,
    /// Instead of an artifact: presets with random weights, separated by commas.
    #[arg(long, value_delimiter = ',')]
    preset: Vec<String>,
    /// Count the instructions of one inference on emulated cores, separated by commas: qemu:cortex-m7 and others of
    /// `ldae verify`, or qemu:all. Without it: every runtime on this machine.
    #[arg(long, value_delimiter = ',')]
    device: Vec<String>,
    /// With --device: by function, source line and mnemonic.
    #[arg(long, requires = "device")]
    profile: bool,
    /// Print the table in Markdown.
    #[arg(long)]
    md: bool,
    /// Pictures to compare and score the runtimes on: a data set as `ldae data` reads it. Labels give accuracies.
    #[arg(long, default_value = "drawn", conflicts_with_all = ["device", "preset"])]
    data: String,
    /// At most so many training and so many held-out pictures.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(2..), conflicts_with_all = ["device", "preset"])]
    limit: u32,
    /// With --device: exit with status 1 when a count exceeds the recorded one, the embedding differs, or memory is not as
    /// planned.
    #[arg(long, requires = "device")]
    check: bool,
    /// With --device: folder of the firmware sources (firmware-examples), or of finished firmware.
    #[arg(long, value_name = "DIR", requires = "device")]
    firmware: Option<PathBuf>,
    /// With --device: kernel of the cores: best (the artifact is packed for each) or portable (the canonical artifact).
    #[arg(long, value_parser = ["best", "portable"], default_value = "best", requires = "device")]
    kernel: String,
    /// Without --device, or with --train: threads of the measurement [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    training: super::bench_train::Args,
    #[command(flatten)]
    pipeline: super::bench_pipeline::Args,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    if args.training.train {
        return super::bench_train::run(&args.training, &args.preset, &args.device, args.threads, out);
    }
    if args.threads.is_some() && !args.device.is_empty() {
        return Err(Error::new("--threads means nothing to emulated cores")
            .hint("leave --threads or --device out; --train takes both"));
    }
    if args.pipeline.pipeline {
        return super::bench_pipeline::run(&args.pipeline, &args.preset, out);
    }
    if let (Some(path), true) = (&args.encoder, args.device.is_empty()) {
        return side_by_side(path, &args, out);
    }
    let models = match &args.encoder {
        Some(path) => vec![read(path)?],
        None => args.preset.iter().map(|name| Model::of_preset(name)).collect::<Result<_>>()?,
    };
    if args.device.is_empty() { latency(&models, args.threads, out) } else { instructions(&models, &args, out) }
}

fn read(path: &Path) -> Result<Model> {
    let name = path.display().to_string();
    let artifact = std::fs::read(path)
        .context(|| format!("cannot read {name}"))
        .map_err(|e| e.hint("give the .ldae file that `ldae export RUN` wrote"))?;
    Ok(Model { name, artifact })
}

/// What `--device` prints as JSON.
#[derive(Serialize)]
struct Facts<'a> {
    measurements: &'a [Measurement],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    judgements: Vec<Judgement>,
}

fn instructions(models: &[Model], args: &Args, out: &Output) -> Result<Outcome> {
    let devices = Device::list(&args.device)?;
    let options =
        bench::Options { firmware: args.firmware.clone(), profile: args.profile, portable: args.kernel == "portable" };
    let measurements = bench::instructions::measure(models, &devices, &options, out)?;
    let mut judgements = Vec::new();
    if args.check {
        let budget = Budget::recorded()?;
        judgements.extend(measurements.iter().map(|m| budget.judge(m)));
    }
    let mut text = if args.md { table::markdown(&measurements) } else { table::text(&measurements) };
    if args.check {
        let _ = write!(text, "\n\n{}", table::verdicts(&judgements)); // writing to a String does not fail
    }
    let passed = judgements.iter().all(|j| j.faults.is_empty());
    out.facts(&Facts { measurements: &measurements, judgements }, text);
    Ok(if passed { Outcome::Passed } else { Outcome::CheckFailed })
}

fn threads(given: Option<usize>) -> Result<usize> {
    match given {
        Some(0) => Err(Error::new("--threads is 0").hint("give at least 1")),
        Some(n) => Ok(n),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// What `ldae bench ENC` prints as JSON.
#[derive(Serialize)]
struct Comparison {
    #[serde(flatten)]
    found: runtimes::SideBySide,
    threads: usize,
    pictures_per_second: f64,
}

fn side_by_side(path: &Path, args: &Args, out: &Output) -> Result<Outcome> {
    let threads = threads(args.threads)?;
    let files = runtimes::Files::read(path, &args.more)?;
    let options = runtimes::Options { data: args.data.clone(), limit: args.limit as usize };
    let found = runtimes::measure(&files, &options, out)?;
    let pictures_per_second = bench::throughput_of(&files.artifact, threads)?;
    let mut text = if args.md { runtimes::markdown(&found) } else { runtimes::text(&found) };
    // Writing to a String does not fail.
    let _ =
        write!(text, "\n\nthroughput of the integer engine: {pictures_per_second:.0} pictures/s on {threads} threads");
    out.facts(&Comparison { found, threads, pictures_per_second }, text);
    Ok(Outcome::Passed)
}

fn latency(models: &[Model], threads_given: Option<usize>, out: &Output) -> Result<Outcome> {
    let [model] = models else {
        return Err(Error::new("latency is measured for one encoder at a time").hint("give one --preset"));
    };
    let threads = threads(threads_given)?;
    let name = &model.name;
    let t = bench::measure(name, &model.artifact, threads)?;
    let mut text = format!(
        "{name}: {} bytes, {:.2} MMAC a picture\nload and validate  {:>10.1} us (median)\n",
        t.artifact_bytes,
        t.macs as f64 / 1e6,
        t.load_us
    );
    for k in &t.kernels {
        let _ = writeln!(
            text,
            "embed, {:<11} {:>10.1} us (median of {}; 10 % {:.1}, 90 % {:.1}), {:.2} GMAC/s",
            k.kernel,
            k.median_us,
            k.calls,
            k.q10_us,
            k.q90_us,
            k.macs_per_second / 1e9
        );
    }
    let _ = write!(text, "throughput         {:>10.0} pictures/s on {} threads", t.pictures_per_second, t.threads);
    out.facts(&t, text);
    Ok(Outcome::Passed)
}
