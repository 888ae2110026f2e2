//! Every runtime of an exported encoder side by side: size, load time, latency, memory, agreement with float, accuracy.
//!
//! Each contender is a process of its own ([`worker`]), one thread each, so that memory is its own and nothing is shared. Latency is
//! taken in rounds: a short block of calls of every contender in turn, so that other work on the machine hits all of them alike;
//! read the ratios. Then every contender embeds the same pictures, which are compared with the float encoder and scored.

mod contender;
mod judge;
mod process;
mod table;
pub mod worker;

pub use contender::{Contender, Files, contenders};
pub use judge::Scores;
pub use table::{markdown, text};

use crate::cli::Output;
use crate::data::Dataset;
use crate::eval::agreement::Agreement;
use crate::{Error, Result};
use judge::Judge;
use process::Process;
use serde::Serialize;

/// Rounds of the latency measurement.
const ROUNDS: usize = 40;
/// Time of one contender's block in a round; at least one call.
const BLOCK_US: f64 = 20_000.0;
/// Most calls of a block: more say nothing new.
const MOST_CALLS: usize = 50;

/// What one contender is and did.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Runtime and form.
    pub name: String,
    /// The file that it runs, or would run.
    pub file: String,
    /// Bytes that it reads from disk or flash.
    pub bytes: Option<usize>,
    /// What was measured; none when it could not run.
    pub measured: Option<Measured>,
    /// Why it could not run.
    pub missing: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
}

/// Measurements of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// From bytes in memory to ready, ms.
    pub load_ms: f64,
    /// 10 % quantile of one call, µs.
    pub q10_us: f64,
    /// Median of one call, µs.
    pub median_us: f64,
    /// 90 % quantile of one call, µs.
    pub q90_us: f64,
    /// Calls timed.
    pub calls: usize,
    /// Median over the median of the fastest integer kernel.
    pub ratio: Option<f64>,
    /// Resident memory after loading and one call minus before, bytes; Linux only.
    pub memory_bytes: Option<u64>,
    /// Against the float encoder, where there is one.
    pub agreement: Option<Agreement>,
    /// Accuracy, of pictures with labels.
    pub scores: Option<Scores>,
}

/// Everything `ldae bench ENC` found.
#[derive(Clone, Debug, Serialize)]
pub struct SideBySide {
    /// The artifact.
    pub encoder: String,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Pictures compared, in words.
    pub pictures: String,
    /// What embeddings are compared with, in words; none without a float form.
    pub reference: Option<String>,
    /// Version of onnxruntime, where it is here.
    pub onnxruntime: Option<String>,
    /// One for each contender.
    pub rows: Vec<Row>,
}

/// What to measure on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pictures: `drawn` or a data set; at most `limit` of each split are embedded.
    pub data: String,
    /// Most training and most held-out pictures.
    pub limit: usize,
}

/// Runs all contenders.
///
/// # Errors
/// The pictures cannot be read, or not one contender runs.
pub fn measure(files: &Files, options: &Options, out: &Output) -> Result<SideBySide> {
    let dataset = files.pictures(&options.data, options.limit)?;
    let mut rows = Vec::new();
    let mut running: Vec<(usize, Process)> = Vec::new();
    for contender in contenders(files, out) {
        out.note(format_args!("loading {}", contender.name));
        let (row, process) = start(contender, &dataset, files.spec.embedding() as usize);
        running.extend(process.map(|p| (rows.len(), p)));
        rows.push(row);
    }
    if running.is_empty() {
        return Err(Error::new(format!("{} runs nowhere here", files.artifact_path.display())));
    }
    latencies(&mut rows, &mut running, out)?;
    let judge = Judge::new(files, &dataset, out)?;
    let bar = out.progress("embed", running.len() as u64);
    for (at, process) in &mut running {
        out.note(format_args!("embedding with {}", rows[*at].name));
        let judged = judge.judge(process, &dataset);
        bar.inc(1);
        match (judged, &mut rows[*at].measured) {
            (Ok((agreement, scores)), Some(m)) => (m.agreement, m.scores) = (agreement, scores),
            (Err(e), _) => fail(&mut rows[*at], &e),
            (Ok(_), None) => {}
        }
    }
    bar.finish_and_clear();
    let held_out = dataset.held_out().len();
    Ok(SideBySide {
        encoder: files.artifact_path.display().to_string(),
        macs: files.spec.macs(),
        pictures: format!("{}: {} training, {held_out} held-out pictures", dataset.name, dataset.train.len()),
        reference: judge.reference(),
        onnxruntime: crate::runtime::onnxruntime_version().ok(),
        rows,
    })
}

/// Starts a contender; a row that says why where it cannot run.
fn start(contender: Contender, dataset: &Dataset, components: usize) -> (Row, Option<Process>) {
    let mut row =
        Row { name: contender.name, file: contender.file, bytes: None, measured: None, missing: None, hint: None };
    let process = contender.program.and_then(|(runtime, bytes)| {
        row.bytes = Some(bytes.len());
        Process::start(runtime, &bytes, dataset.held_out(), components)
    });
    match process {
        Ok(process) => {
            row.measured = Some(Measured {
                load_ms: process.loaded.load_us / 1000.0,
                q10_us: f64::NAN,
                median_us: f64::NAN,
                q90_us: f64::NAN,
                calls: 0,
                ratio: None,
                memory_bytes: process.loaded.memory_bytes,
                agreement: None,
                scores: None,
            });
            (row, Some(process))
        }
        Err(e) => {
            fail(&mut row, &e);
            (row, None)
        }
    }
}

fn fail(row: &mut Row, error: &Error) {
    row.measured = None;
    row.missing = Some(error.to_string());
    row.hint = error.advice().map(str::to_owned);
}

/// Interleaved blocks of calls.
fn latencies(rows: &mut [Row], running: &mut [(usize, Process)], out: &Output) -> Result<()> {
    let mut blocks = Vec::new();
    for (_, process) in running.iter_mut() {
        // Warm-up, and how long a call takes.
        process.time(3)?;
        let longest = process.time(3)?.into_iter().fold(1.0, f64::max);
        blocks.push(((BLOCK_US / longest) as usize).clamp(1, MOST_CALLS));
    }
    let mut times: Vec<Vec<f64>> = running.iter().map(|_| Vec::new()).collect();
    let bar = out.progress("latency", ROUNDS as u64);
    for _ in 0..ROUNDS {
        for (((_, process), block), times) in running.iter_mut().zip(&blocks).zip(&mut times) {
            times.extend(process.time(*block)?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    for ((at, _), times) in running.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        if let Some(m) = &mut rows[*at].measured {
            let q = |q| super::latency::quantile(times, q);
            (m.q10_us, m.median_us, m.q90_us, m.calls) = (q(0.1), q(0.5), q(0.9), times.len());
        }
    }
    let engine = rows.iter().filter(|r| r.name.starts_with("integer")).filter_map(|r| r.measured.as_ref());
    let fastest = engine.map(|m| m.median_us).min_by(f64::total_cmp);
    for measured in rows.iter_mut().filter_map(|r| r.measured.as_mut()) {
        measured.ratio = fastest.map(|f| measured.median_us / f);
    }
    Ok(())
}
