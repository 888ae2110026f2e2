//! Runs the cells that have no result yet, one after the other (a single run already uses all cores), and records each.

use super::result::{CellResult, Measured, Outcome};
use super::{Cell, Shard};
use crate::cli::Output;
use crate::data::{self, Dataset};
use crate::eval::comparison::{Request, compare};
use crate::eval::embedder::Role;
use crate::eval::evaluation::{Protocol, Row, describe};
use crate::eval::subject::Subject;
use crate::run_dir::RunDir;
use crate::train::metrics::{self, Line};
use crate::train::ranks::Alone;
use crate::train::{self, Job, Mode, TrainConfig, TrainOptions};
use crate::{Error, Result};
use burn::tensor::Device;
use std::path::Path;
use std::time::Instant;

/// A sweep to run.
#[derive(Clone, Copy)]
pub struct Sweep<'a> {
    /// Directory of the run directories and results.
    pub root: &'a Path,
    /// All cells, also those of other shards.
    pub cells: &'a [Cell],
    /// How embeddings are scored. A cell that was scored otherwise is scored again, not trained again.
    pub protocol: &'a Protocol,
    /// Time steps at which each trained encoder is also scored, clean and noised.
    pub times: &'a [u16],
    /// Only this part of the cells.
    pub shard: Option<Shard>,
    /// Forget results and runs that are there.
    pub overwrite: bool,
    /// Where tensors are.
    pub device: &'a Device,
}

/// The data set of the last cell: most sweeps have one.
#[derive(Default)]
pub struct Pictures {
    loaded: Option<(String, Dataset)>,
}

impl Pictures {
    /// The pictures of a run with these options.
    ///
    /// # Errors
    /// No source is named, or it cannot be read.
    pub fn of(&mut self, options: &TrainOptions) -> Result<&Dataset> {
        let source = options.data.as_ref().ok_or_else(|| {
            Error::new("no pictures given").hint(
                "pass --data FOLDER, --data drawn for pictures the program draws, or name them in the grid's `base`",
            )
        })?;
        let how = options.load_options()?;
        let key = format!("{source} {how:?}");
        let loaded = match self.loaded.take() {
            Some(loaded) if loaded.0 == key => loaded,
            _ => (key, data::load(source, &how)?),
        };
        Ok(&self.loaded.insert(loaded).1)
    }
}

/// Runs every cell of the shard that has no result yet. Returns the results of all cells that have one.
///
/// # Errors
/// A cell that is there was made with other settings, or OUT cannot be written. A cell that fails is a result.
pub fn run(sweep: &Sweep<'_>, pictures: &mut Pictures, out: &Output) -> Result<Vec<CellResult>> {
    let mine = |cell: &&Cell| sweep.shard.is_none_or(|shard| shard.has(cell.index));
    let mut open = Vec::new();
    for cell in sweep.cells.iter().filter(mine) {
        let config = configuration(cell, pictures);
        if sweep.overwrite || !is_done(sweep, cell, config.as_ref().ok())? {
            open.push((cell, config));
        }
    }
    let there = sweep.cells.iter().filter(mine).count() - open.len();
    let shard = sweep.shard.map_or(String::new(), |s| format!(" of shard {s}"));
    out.line(format!("{} cells{shard} to run, {there} done before", open.len()));
    let mut pixels = known_pixels(sweep)?;
    for (i, (cell, config)) in open.iter().enumerate() {
        let outcome = match config {
            Ok(config) => measure(sweep, cell, config, pictures, &mut pixels, out),
            Err(error) => Err(Error::new(error).hint(error.advice().unwrap_or("change the axis that sets it"))),
        };
        let outcome = match outcome {
            Ok(measured) => Outcome::Done(Box::new(measured)),
            Err(e) => Outcome::Failed { error: e.to_string(), hint: e.advice().map(str::to_owned) },
        };
        let result = CellResult::new(cell, outcome);
        result.save(sweep.root, cell)?;
        out.line(format!("[{}/{}] {}", i + 1, open.len(), line(&result)));
    }
    let read = |cell| CellResult::read(sweep.root, cell).transpose();
    sweep.cells.iter().filter_map(read).collect()
}

/// Resolved settings of a cell. A note of the resolution is about presets, and the same for every cell.
fn configuration(cell: &Cell, pictures: &mut Pictures) -> Result<TrainConfig> {
    Ok(cell.options.resolve(pictures.of(&cell.options)?)?.0)
}

/// True when the cell has been measured.
fn is_done(sweep: &Sweep<'_>, cell: &Cell, config: Option<&TrainConfig>) -> Result<bool> {
    let other = || {
        Error::new(format!("{} was made with other settings", sweep.root.join(&cell.name).display()))
            .hint("give the settings it was started with, another --out, or --overwrite to start again")
    };
    let Some(config) = config else { return Ok(false) };
    let run = RunDir::new(sweep.root.join(&cell.name));
    if run.config().is_file() && TrainConfig::load(&run)? != *config {
        return Err(other());
    }
    let Some(result) = CellResult::read(sweep.root, cell)? else { return Ok(false) };
    let Some(measured) = result.measured() else { return Ok(false) };
    if measured.config_sha256 != config.hash()? {
        return Err(other());
    }
    let times = measured.curves.iter().flat_map(|c| &c.points).map(|p| p.at);
    Ok(measured.protocol == describe_limits(sweep.protocol)
        && sweep.times.iter().all(|t| times.clone().any(|at| at == *t)))
}

/// Raw pixels of one data set under one protocol are the same beside every encoder.
struct Pixels {
    fingerprint: String,
    rows: Vec<Row>,
}

fn known_pixels(sweep: &Sweep<'_>) -> Result<Vec<Pixels>> {
    let protocol = describe_limits(sweep.protocol);
    let mut known = Vec::new();
    for cell in sweep.cells.iter().filter(|_| !sweep.overwrite) {
        if let Some(Outcome::Done(m)) = CellResult::read(sweep.root, cell)?.map(|r| r.outcome)
            && m.protocol == protocol
        {
            remember(&mut known, &m);
        }
    }
    Ok(known)
}

fn remember(known: &mut Vec<Pixels>, measured: &Measured) {
    if known.iter().all(|p| p.fingerprint != measured.fingerprint) {
        let rows = measured.rows.iter().filter(|r| r.embedding == RAW_PIXELS).cloned().collect();
        known.push(Pixels { fingerprint: measured.fingerprint.clone(), rows });
    }
}

/// Name of the pixel baseline's rows.
pub(super) const RAW_PIXELS: &str = "raw pixels";

/// Trains (or goes on training) and evaluates one cell.
fn measure(
    sweep: &Sweep<'_>,
    cell: &Cell,
    config: &TrainConfig,
    pictures: &mut Pictures,
    pixels: &mut Vec<Pixels>,
    out: &Output,
) -> Result<Measured> {
    let began = Instant::now();
    let dataset = pictures.of(&cell.options)?;
    let run = RunDir::new(sweep.root.join(&cell.name));
    let mode = if sweep.overwrite { Mode::Overwrite } else { Mode::Resume };
    let job = Job { config, dataset, run: &run, mode, device: sweep.device, ranks: &Alone };
    let summary = train::run(&job, out)?;

    let t = u16::try_from(config.schedule.t_embed).unwrap_or(u16::MAX);
    let known = pixels.iter().find(|p| p.fingerprint == dataset.fingerprint);
    let request = Request {
        poolings: vec![config.model_spec()?.encoder.pooling],
        t,
        pixels: known.is_none(),
        times: sweep.times.to_vec(),
        protocol: sweep.protocol.clone(),
        ..Request::default()
    };
    let evaluation = compare(&Subject::open(run.root(), "last")?, dataset, &request, out)?;
    let mut rows = evaluation.rows;
    rows.extend(known.into_iter().flat_map(|p| p.rows.clone()));
    let measured = Measured {
        config_sha256: config.hash()?,
        protocol: describe_limits(sweep.protocol),
        fingerprint: dataset.fingerprint.clone(),
        steps: summary.steps,
        parameters: summary.parameters,
        t,
        loss: losses(&run)?,
        seconds: began.elapsed().as_secs_f64(),
        rows,
        curves: evaluation.curves,
    };
    remember(pixels, &measured);
    Ok(measured)
}

/// Mean loss of the first and of the last interval.
fn losses(run: &RunDir) -> Result<Option<(f64, f64)>> {
    let lines = metrics::read(&run.metrics())?;
    let losses: Vec<f64> =
        lines.iter().filter_map(|line| if let Line::Train(l) = line { Some(l.loss) } else { None }).collect();
    Ok(match losses[..] {
        [first, .., last] => Some((first, last)),
        _ => None,
    })
}

/// The protocol in a line, with the numbers of pictures it scores.
pub fn describe_limits(protocol: &Protocol) -> String {
    let limit = |n: Option<usize>| n.map_or("all".to_owned(), |n| format!("at most {n}"));
    format!(
        "{}; {} training and {} held-out pictures",
        describe(protocol),
        limit(protocol.train_limit),
        limit(protocol.test_limit)
    )
}

/// One line of progress.
fn line(result: &CellResult) -> String {
    match &result.outcome {
        Outcome::Failed { error, .. } => format!("{} failed: {error}", result.cell),
        Outcome::Done(m) => {
            let loss = m.loss.map_or(String::new(), |(a, b)| format!(", loss {a:.4} to {b:.4}"));
            let trained = m.rows.iter().find(|r| r.role == Role::Trained);
            let score = trained.map_or(String::new(), |r| {
                let probe = r.probe.map_or(String::new(), |p| format!(", probe {:.2} %", 100.0 * p));
                format!("{probe}, k-NN {:.2} %", 100.0 * r.knn)
            });
            format!("{}: {} steps{loss}{score}, {:.0} s", result.cell, m.steps, m.seconds)
        }
    }
}
