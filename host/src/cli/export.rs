//! `ldae export`: a run to a quantised encoder with its quality report.

use super::{Outcome, Output};
use crate::data;
use crate::export::{self, Files, Options};
use crate::run_dir::RunDir;
use crate::train::TrainConfig;
use crate::train::checkpoint::{Checkpoint, Which};
use crate::{Error, Result};
use ldae_shared::spec::Pooling;
use std::path::PathBuf;

/// Arguments of `ldae export`.
#[derive(clap::Args)]
pub struct Args {
    /// Run directory made by `ldae train`.
    run: PathBuf,
    /// Where to write the artifact. Default: RUN/export/encoder.ldae.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also write the float encoder as ONNX. Without FILE: RUN/export/encoder.onnx.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    onnx: Option<Option<PathBuf>>,
    /// Also write an ONNX file with the artifact's integer weights. Without FILE: RUN/export/encoder-int8.onnx.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    onnx_int8: Option<Option<PathBuf>>,
    /// Calibration and comparison pictures. Default: the run's own data.
    #[arg(long)]
    data: Option<String>,
    /// Time step to fold into the weights, 0 to 1000. Default: the run's.
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1000))]
    t: Option<u16>,
    /// Pooling of the exported encoder: mean, mean-std or grid2x2. Default: the run's.
    #[arg(long)]
    pooling: Option<String>,
    /// Calibration pictures (training split).
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    calibration: u32,
    /// Test vectors inside the artifact.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=64))]
    vectors: u32,
    /// Pictures of each split that the quality report compares; 0 for no report.
    #[arg(long, default_value_t = 10_000)]
    compare: u32,
    /// Which checkpoint: last or best.
    #[arg(long, value_parser = ["last", "best"], default_value = "last")]
    checkpoint: String,
}

/// Runs the verb: exit status 1 when a quality gate is missed (the artifact is written all the same).
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let run = RunDir::new(&args.run);
    let config = TrainConfig::load(&run)?;
    let checkpoint = Checkpoint::load(&run.checkpoint(&args.checkpoint))?;
    let weights = checkpoint.weights(Which::Average)?;
    let pooling = match &args.pooling {
        None => weights.spec().encoder.pooling,
        Some(name) => Pooling::from_name(name).ok_or_else(|| {
            Error::new(format!("unknown pooling `{name}`")).hint("use --pooling mean, mean-std or grid2x2")
        })?,
    };
    let source = args.data.as_deref().unwrap_or(&config.data.source);
    let dataset = data::load(source, &config.load_options())?;
    if args.data.is_none() {
        config.check_dataset(&dataset)?;
    }
    let options = Options {
        t: args.t.unwrap_or(config.schedule.t_embed as u16),
        pooling,
        calibration: args.calibration as usize,
        vectors: args.vectors as usize,
        compare: args.compare as usize,
        facts: facts(&config, &checkpoint),
    };
    let place = |given: Option<PathBuf>, name: &str| given.unwrap_or_else(|| run.export().join(name));
    let files = Files {
        artifact: place(args.out, "encoder.ldae"),
        onnx: args.onnx.map(|given| place(given, "encoder.onnx")),
        onnx_int8: args.onnx_int8.map(|given| place(given, "encoder-int8.onnx")),
    };
    let exported = export::export(&weights, &dataset, &options, files, out)?;
    export::save_quality(&exported)?;
    let passed = exported.quality.as_ref().is_none_or(|q| q.passed);
    out.facts(&exported, &exported);
    Ok(if passed { Outcome::Passed } else { Outcome::CheckFailed })
}

/// Training facts that travel with the artifact.
pub(super) fn facts(config: &TrainConfig, checkpoint: &Checkpoint) -> Vec<(String, String)> {
    let header = &checkpoint.header;
    let mut facts = vec![
        ("recipe".to_owned(), config.recipe.name.clone()),
        ("preset".to_owned(), config.preset.clone()),
        ("train_step".to_owned(), header.step.to_string()),
        ("train_epoch".to_owned(), format!("{:.2}", header.epoch)),
        ("seed".to_owned(), header.seed.to_string()),
        ("config_sha256".to_owned(), header.config_sha256.clone()),
    ];
    if let Some(best) = &header.best {
        facts.push((format!("best_{}", best.metric), format!("{:.4}", best.value)));
    }
    facts
}
