//! The contender's side: a process that loads one encoder, then answers requests on standard input until it ends.
//!
//! ```text
//! (start)        -> {"load_us":1234.5,"memory_bytes":4096}      or {"error":"...","hint":"..."}
//! time N         -> N durations of one call each, nanoseconds, separated by spaces
//! embed IN OUT   -> IN: pictures, one after the other; OUT is written: E little-endian f32 for each; answers "done"
//! ```

use crate::error::Context;
use crate::runtime::{Runtime, Session};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

/// First line of a contender that loaded.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Loaded {
    /// From bytes in memory to ready, µs.
    pub load_us: f64,
    /// Growth of resident memory by reading the file, loading and one call, bytes.
    pub memory_bytes: Option<u64>,
}

/// First line of a contender that did not.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refused {
    /// What went wrong.
    pub error: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What a contender loads.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// Name of the runtime.
    pub runtime: &'a str,
    /// What it reads, as [`Runtime::prepare`] gave it.
    pub file: &'a Path,
    /// Pictures that `time` cycles through, one after the other.
    pub pictures: &'a Path,
    /// Bytes of a picture, components of an embedding.
    pub sizes: (usize, usize),
}

/// Loads and serves.
///
/// # Errors
/// The other side closed a pipe in the middle of an answer, or a call failed.
pub fn serve(job: &Job<'_>) -> Result<()> {
    let stdout = std::io::stdout();
    let answer = |line: &str| -> Result<()> {
        let mut out = stdout.lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).context(|| "cannot answer")
    };
    let pictures = read(job.pictures)?;
    let (mut session, loaded) = match load(job, &pictures) {
        Ok(loaded) => loaded,
        Err(e) => return answer(&json(&Refused { error: e.to_string(), hint: e.advice().map(str::to_owned) })),
    };
    answer(&json(&loaded))?;
    for line in std::io::stdin().lock().lines() {
        let line = line.context(|| "cannot read a request")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["time", count] => {
                let count = count.parse().context(|| "no number of calls")?;
                answer(&times(&mut *session, &pictures, job.sizes, count)?)?;
            }
            ["embed", from, to] => {
                embed(&mut *session, job.sizes, Path::new(from), Path::new(to))?;
                answer("done")?;
            }
            _ => return Err(Error::new(format!("no such request: {line}"))),
        }
    }
    Ok(())
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default() // plain structs serialise
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).context(|| format!("cannot read {}", path.display()))
}

fn load(job: &Job<'_>, pictures: &[u8]) -> Result<(Box<dyn Session>, Loaded)> {
    let runtime = Runtime::from_name(job.runtime)
        .ok_or_else(|| Error::new(format!("this build has no runtime `{}`", job.runtime)))?;
    let before = resident_bytes();
    // Finding a library is not loading a model.
    runtime.check()?;
    let prepared = runtime.prepared(&read(job.file)?);
    let begun = Instant::now();
    let mut session = prepared.into_session()?;
    let load_us = begun.elapsed().as_secs_f64() * 1e6;
    let mut out = vec![0.0; job.sizes.1];
    session.embed(pictures.get(..job.sizes.0).unwrap_or_default(), &mut out)?;
    let memory_bytes = resident_bytes().zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok((session, Loaded { load_us, memory_bytes }))
}

/// Resident set of this process.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

fn times(session: &mut dyn Session, pictures: &[u8], sizes: (usize, usize), count: usize) -> Result<String> {
    let mut out = vec![0.0; sizes.1];
    let mut line = String::new();
    for picture in pictures.chunks_exact(sizes.0).cycle().take(count) {
        let begun = Instant::now();
        session.embed(picture, &mut out)?;
        line.push_str(&format!("{} ", begun.elapsed().as_nanos()));
        std::hint::black_box(&out);
    }
    Ok(line)
}

fn embed(session: &mut dyn Session, sizes: (usize, usize), from: &Path, to: &Path) -> Result<()> {
    let pictures = read(from)?;
    let mut bytes = Vec::with_capacity(pictures.len() / sizes.0 * sizes.1 * 4);
    let mut out = vec![0.0; sizes.1];
    for picture in pictures.chunks_exact(sizes.0) {
        session.embed(picture, &mut out)?;
        bytes.extend(out.iter().flat_map(|v: &f32| v.to_le_bytes()));
    }
    std::fs::write(to, bytes).context(|| format!("cannot write {}", to.display()))
}
