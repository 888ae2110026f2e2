//! `ldae bench --train`: speed of training steps on this machine.

use super::{Outcome, Output};
use crate::bench::training::Bench;
use crate::model::Precision;
use crate::train::{TrainOptions, device};
use crate::{Error, Result};
use serde_json::json;
use std::io::{BufRead, Write};

/// Arguments that only `--train` has.
#[derive(clap::Args)]
pub struct Args {
    /// Time training steps instead of inference: --preset and --device as in `ldae train`
    #[arg(long, conflicts_with = "encoder", help_heading = "Training")]
    pub train: bool,
    /// Pictures of a step [default: 128]
    #[arg(long, requires = "train", help_heading = "Training")]
    batch: Option<usize>,
    /// Steps to time, after two to warm up
    #[arg(long, requires = "train", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Training")]
    steps: u32,
    /// Width W [default: the preset's, as all that follow]
    #[arg(long, requires = "train", help_heading = "Training")]
    width: Option<u16>,
    /// Encoder blocks L
    #[arg(long, requires = "train", help_heading = "Training")]
    depth: Option<u16>,
    /// Attention heads H
    #[arg(long, requires = "train", help_heading = "Training")]
    heads: Option<u16>,
    /// PCA rank K
    #[arg(long, requires = "train", help_heading = "Training")]
    rank: Option<u16>,
    /// Decoder blocks [default: as the encoder]
    #[arg(long, requires = "train", help_heading = "Training")]
    decoder_depth: Option<usize>,
    /// Parts a batch is cut into for the cores of a CPU
    #[arg(long, requires = "train", help_heading = "Training")]
    shards: Option<usize>,
    /// Parts a batch is cut into on a GPU
    #[arg(long, requires = "train", help_heading = "Training")]
    accumulate: Option<usize>,
    /// Of the blocks' products
    #[arg(long, requires = "train", help_heading = "Training")]
    precision: Option<Precision>,
    /// Gradient checkpointing
    #[arg(long, requires = "train", help_heading = "Training")]
    recompute: bool,
    /// Recipe
    #[arg(long, requires = "train", help_heading = "Training")]
    recipe: Option<String>,
    /// Prints the shape as JSON, then takes as many steps as each line of standard input says and prints their seconds
    #[arg(long, requires = "train", hide = true)]
    paced: bool,
}

/// Runs `ldae bench --train` with the preset, device and threads of `ldae bench`.
pub fn run(args: &Args, preset: &[String], on: &[String], threads: Option<usize>, out: &Output) -> Result<Outcome> {
    if preset.len() > 1 || on.len() > 1 {
        return Err(Error::new("training is timed for one preset on one device at a time")
            .hint("give one --preset, and one --device: auto, cpu or cuda"));
    }
    let options = TrainOptions {
        preset: preset.first().cloned(),
        batch: args.batch,
        width: args.width,
        depth: args.depth,
        heads: args.heads,
        rank: args.rank,
        decoder_depth: args.decoder_depth,
        shards: args.shards,
        accumulate: args.accumulate,
        precision: args.precision,
        recompute: args.recompute.then_some(true),
        recipe: args.recipe.clone(),
        ..TrainOptions::default()
    };
    let threads = match threads {
        Some(0) => return Err(Error::new("--threads is 0").hint("give at least 1")),
        Some(n) => n,
        None => rayon::current_num_threads(),
    };
    let mut bench = Bench::new(&options, threads, device::choose(on.first().map_or("auto", String::as_str))?)?;
    if args.paced {
        return paced(&mut bench);
    }
    let bar = out.progress("steps", u64::from(args.steps) + 2);
    bench.steps(2);
    bench.forget();
    for _ in 0..args.steps {
        bar.inc(1);
        bench.steps(1);
    }
    bar.finish_and_clear();
    let report = bench.report();
    out.facts(&report, &report);
    Ok(Outcome::Passed)
}

/// For programs that alternate with another trainer (bench/pytorch).
fn paced(bench: &mut Bench) -> Result<Outcome> {
    let print = |value: serde_json::Value| {
        println!("{value}");
        std::io::stdout().flush().map_err(|e| Error::new("cannot write the timings").caused_by(e))
    };
    let spec = *bench.spec();
    let e = spec.encoder;
    print(json!({
        "image": e.image, "channels": e.channels, "patch": e.patch, "rank": e.rank, "width": e.width, "depth": e.depth,
        "heads": e.heads, "mlp_ratio": e.mlp_ratio, "condition": spec.condition_width(),
        "decoder_depth": spec.decoder_depth, "decoder_width": spec.decoder_width, "decoder_heads": spec.decoder_heads,
    }))?;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Error::new("cannot read how many steps to take").caused_by(e))?;
        let count =
            line.trim().parse().map_err(|e| Error::new(format!("`{line}` is no number of steps")).caused_by(e))?;
        print(json!(bench.steps(count)))?;
    }
    Ok(Outcome::Passed)
}
