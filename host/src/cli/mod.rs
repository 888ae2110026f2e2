//! The program: one verb per file, one place that prints errors and chooses the exit status.
//!
//! Exit status: 0 done or passed, 1 a check failed, 2 could not run.

mod output;

mod bench;
mod bench_pipeline;
mod bench_train;
mod bench_worker;
mod data;
mod demo;
mod embed;
mod eval;
mod export;
mod inspect;
mod pack;
mod report;
mod sample;
mod sweep;
mod train;
mod verify;

pub use output::Output;

use crate::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// How a verb ended when it could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status 0.
    Passed,
    /// Exit status 1: a check (parity, quality, budget) failed.
    CheckFailed,
    /// Exit status 2: the verb printed why it could not do its work.
    CouldNotRun,
}

/// Teach a small Vision Transformer to embed images without labels, put it on edge boards, prove both compute the same.
#[derive(Parser)]
#[command(name = "ldae", version, propagate_version = true)]
struct Cli {
    /// Print facts as one JSON object on standard output (progress stays on standard error).
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the whole chain in minutes: train, evaluate, export, verify, report.
    Demo(demo::Args),
    /// Say what is in a data set: counts, sizes, classes, unreadable files.
    Data(data::Args),
    /// Train an encoder without labels.
    Train(Box<train::Args>),
    /// k-NN and linear probe of a run or an exported encoder, beside the baselines.
    Eval(eval::Args),
    /// Embed pictures into a .npy file with their names.
    Embed(embed::Args),
    /// Fold, calibrate and quantise a run into a .ldae artifact.
    Export(export::Args),
    /// Layers, MACs, flash and exact RAM of a preset, a run or an artifact.
    Inspect(inspect::Args),
    /// Write one core's flash image of an artifact.
    Pack(pack::Args),
    /// Prove that emulated boards compute what this machine computes.
    Verify(verify::Args),
    /// Every runtime of an encoder side by side on this machine, or its exact instructions on emulated cores.
    Bench(bench::Args),
    #[command(hide = true)]
    BenchWorker(bench_worker::Args),
    /// Draw pictures with a run of a recipe that can, as a grid.
    Sample(sample::Args),
    /// A grid over recipes or settings and several seeds: one table, one plot with error bars.
    Sweep(Box<sweep::Args>),
    /// Write report.html of a run.
    Report(report::Args),
}

/// Parses the command line, runs the verb, prints an error with its hint if there is one.
pub fn main() -> ExitCode {
    let cli = Cli::parse(); // clap itself exits with status 2 on a bad command line
    let out = Output::new(cli.json);
    match run(cli.verb, &out) {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::CheckFailed) => ExitCode::from(1),
        Ok(Outcome::CouldNotRun) => ExitCode::from(2),
        Err(error) => {
            out.error(&error);
            ExitCode::from(2)
        }
    }
}

fn run(verb: Verb, out: &Output) -> Result<Outcome> {
    match verb {
        Verb::Demo(a) => demo::run(a, out),
        Verb::Data(a) => data::run(a, out),
        Verb::Train(a) => train::run(*a, out),
        Verb::Eval(a) => eval::run(a, out),
        Verb::Embed(a) => embed::run(a, out),
        Verb::Export(a) => export::run(a, out),
        Verb::Inspect(a) => inspect::run(a, out),
        Verb::Pack(a) => pack::run(a, out),
        Verb::Verify(a) => verify::run(a, out),
        Verb::Bench(a) => bench::run(a, out),
        Verb::BenchWorker(a) => bench_worker::run(&a),
        Verb::Sample(a) => sample::run(a, out),
        Verb::Sweep(a) => sweep::run(*a, out),
        Verb::Report(a) => report::run(a, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What bench/pytorch/compare.py calls.
    #[test]
    fn training_is_timed_with_threads_on_a_device() {
        let parsed = Cli::try_parse_from("ldae bench --train --paced --threads 2 --device cpu --preset m".split(' '));
        assert!(parsed.is_ok());
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
