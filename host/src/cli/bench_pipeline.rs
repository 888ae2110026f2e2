//! `ldae bench --pipeline`: speed of the input pipeline on this machine.

use super::{Outcome, Output};
use crate::Result;
use crate::bench::pipeline::{Options, measure};
use crate::train::TrainOptions;

/// Arguments that only `--pipeline` has.
#[derive(clap::Args)]
pub struct Args {
    /// Time reading JPEG files and making batches for --preset, per core
    #[arg(long, conflicts_with_all = ["encoder", "train", "device"], help_heading = "Input pipeline")]
    pub pipeline: bool,
    /// Pictures per second that a device takes: prints the cores that feed it
    #[arg(long, requires = "pipeline", value_name = "RATE", value_parser = rate, help_heading = "Input pipeline")]
    needs: Option<f64>,
    /// Width and height of the JPEG files [default: 433, as many pixels as 500 x 375, ImageNet's mean]
    #[arg(long, requires = "pipeline", value_name = "PIXELS", default_value_t = 433, hide_default_value = true, value_parser = clap::value_parser!(u16).range(8..=1024), help_heading = "Input pipeline")]
    jpeg_side: u16,
    /// JPEG files to draw and read
    #[arg(long, requires = "pipeline", value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(10..), help_heading = "Input pipeline")]
    files: u16,
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|r: &f64| r.is_finite() && *r > 0.0).ok_or_else(|| "a rate is a positive number".into())
}

/// Runs `ldae bench --pipeline` for one of the presets of `ldae bench`.
pub fn run(args: &Args, preset: &[String], out: &Output) -> Result<Outcome> {
    if preset.len() > 1 {
        return Err(crate::Error::new("the input pipeline is timed for one preset at a time").hint("give one --preset"));
    }
    let options = TrainOptions { preset: preset.first().cloned(), ..TrainOptions::default() };
    let found = measure(&Options {
        spec: options.preset()?.spec,
        jpeg_side: args.jpeg_side.into(),
        files: args.files.into(),
        needs: args.needs,
    })?;
    out.facts(&found, &found);
    Ok(Outcome::Passed)
}
