//! `ldae train`.

use super::{Outcome, Output};
use crate::data::{self, Dataset};
use crate::run_dir::RunDir;
use crate::train::ranks::Ranks;
use crate::train::replicas::Replicas;
use crate::train::{self, Job, Mode, Plan, TrainConfig, TrainOptions, TrainSummary};
use crate::{Error, Result};
use std::path::PathBuf;

/// Arguments of `ldae train`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    options: TrainOptions,
    /// Run directory to write
    #[arg(long, required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// TOML file with any of these options; the command line has precedence
    #[arg(long)]
    config: Option<PathBuf>,
    /// auto (a GPU if there is one), cpu, cuda or cuda:INDEX; several GPUs as cuda:0,1
    #[arg(long, default_value = "auto")]
    device: String,
    /// Go on with the run in --out (without --data: with its own settings)
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the run in --out
    #[arg(long)]
    overwrite: bool,
    /// Print size, cost and memory, then stop
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb: one of several processes under `mpirun`, if the program was built with feature `mpi`.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    #[cfg(feature = "mpi")]
    {
        let ranks = train::ranks::Mpi::join()?;
        let quiet = Output::silent();
        let result = train(args, &ranks, if ranks.leads() { out } else { &quiet });
        if let Err(error) = &result
            && ranks.count() > 1
        {
            // The others wait for this process: they are ended, and what the last checkpoint holds can be resumed.
            out.error(error);
            ranks.abort();
        }
        result
    }
    #[cfg(not(feature = "mpi"))]
    train(args, &train::ranks::Alone, out)
}

fn train(args: Args, ranks: &dyn Ranks, out: &Output) -> Result<Outcome> {
    let mode = match (args.resume, args.overwrite) {
        (true, _) => Mode::Resume,
        (_, true) => Mode::Overwrite,
        _ => Mode::Fresh,
    };
    let devices = match args.device.contains(',') {
        true => train::device::choose_all(&args.device)?,
        false => vec![train::device::choose_for(&args.device, ranks.rank())?],
    };
    if devices.len() > 1 && ranks.count() > 1 {
        return Err(Error::new("several processes take one device each, not a list")
            .hint("with mpirun leave --device out, or pass --device cuda"));
    }
    let options = match &args.config {
        Some(path) => args.options.or(TrainOptions::from_file(path)?),
        None => args.options,
    };
    let (config, dataset) = match (&options.data, &args.out) {
        (None, Some(dir)) if mode == Mode::Resume => saved(&RunDir::new(dir))?,
        _ => resolve(&options, out)?,
    };
    if args.dry_run {
        let parallel = if train::device::is_cpu(&devices[0]) { rayon::current_num_threads() } else { 1 };
        let plan = Plan::new(&config, parallel)?;
        out.facts(&plan, &plan);
        return Ok(Outcome::Passed);
    }
    let dir = args.out.ok_or_else(|| Error::new("no run directory given").hint("pass --out DIR"))?;
    let run = RunDir::new(dir);
    let summary = match devices.as_slice() {
        [device] => train::run(&Job { config: &config, dataset: &dataset, run: &run, mode, device, ranks }, out)?,
        _ => {
            let quiet = Output::silent();
            Replicas::new(devices).run(|replica| {
                let (device, out) = (replica.device(), if replica.leads() { out } else { &quiet });
                train::run(&Job { config: &config, dataset: &dataset, run: &run, mode, device, ranks: replica }, out)
            })?
        }
    };
    if ranks.leads() {
        out.facts(&summary, text(&summary));
    }
    Ok(Outcome::Passed)
}

/// Settings and pictures of the run that is resumed.
fn saved(run: &RunDir) -> Result<(TrainConfig, Dataset)> {
    let config = TrainConfig::load(run)?;
    let dataset = data::load(&config.data.source, &config.load_options())?;
    Ok((config, dataset))
}

/// Settings and pictures of a new run.
fn resolve(options: &TrainOptions, out: &Output) -> Result<(TrainConfig, Dataset)> {
    let source = options.data.as_ref().ok_or_else(|| {
        Error::new("no pictures given").hint("pass --data FOLDER, or --data drawn for pictures the program draws")
    })?;
    let dataset = data::load(source, &options.load_options()?)?;
    let (config, note) = options.resolve(&dataset)?;
    if let Some(note) = note {
        out.note(note);
    }
    if !dataset.bad.is_empty() {
        out.warn(format!("{} damaged file(s) skipped; `ldae data` names them", dataset.bad.len()));
    }
    Ok((config, dataset))
}

fn text(s: &TrainSummary) -> String {
    let knn = s.knn.map_or(String::new(), |k| format!(", k-NN {k:.1} %"));
    let best =
        s.best.as_ref().map_or(String::new(), |b| format!(" (best {} {:.4} at step {})", b.metric, b.value, b.step));
    format!(
        "trained {} steps ({:.1} epochs) in {:.0} s, {:.1} pictures/s: loss {:.5}{knn}{best}\nrun: {}",
        s.steps, s.epochs, s.seconds, s.pictures_per_second, s.loss, s.run
    )
}
