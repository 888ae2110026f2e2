//! The bench's side of a contender: starts the process, asks, reads answers.

use super::worker::{Loaded, Refused};
use crate::data::Split;
use crate::error::Context;
use crate::eval::Features;
use crate::runtime::Runtime;
use crate::{Error, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Pictures that the timed calls cycle through.
const TIMED_PICTURES: usize = 16;
/// Verb of this program that [`super::worker::serve`] stands behind.
pub(super) const VERB: &str = "bench-worker";

/// A running contender.
pub(super) struct Process {
    name: String,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Holds what the process reads and writes.
    folder: tempfile::TempDir,
    components: usize,
    /// What it said when it had loaded.
    pub(super) loaded: Loaded,
}

impl Process {
    /// Starts `runtime` on what [`Runtime::prepare`] gave, for embeddings of `components`; it is timed on some of `pictures`.
    pub(super) fn start(runtime: Runtime, file: &[u8], pictures: &Split, components: usize) -> Result<Self> {
        let name = runtime.name();
        let folder = tempfile::tempdir().context(|| "cannot create a temporary folder")?;
        let (encoder, timed) = (folder.path().join("encoder"), folder.path().join("timed"));
        write(&encoder, file)?;
        write(&timed, &pixels(pictures, TIMED_PICTURES))?;
        let program = std::env::current_exe().context(|| "cannot find this program")?;
        let size = pictures.side() * pictures.side() * pictures.channels();
        let mut child = Command::new(program)
            .args([VERB, &name])
            .args([&encoder, &timed])
            .args([size.to_string(), components.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(|| format!("cannot start a process for {name}"))?;
        let gone = || Error::new(format!("{name}: its process has no pipes"));
        let answers = BufReader::new(child.stdout.take().ok_or_else(gone)?);
        let requests = Some(child.stdin.take().ok_or_else(gone)?);
        let loaded = Loaded { load_us: 0.0, memory_bytes: None };
        let mut process = Process { name, child, requests, answers, folder, components, loaded };
        let first = process.answer()?;
        process.loaded = serde_json::from_str(&first).map_err(|_| refusal(&process.name, &first))?;
        Ok(process)
    }

    /// Durations of `count` calls, µs.
    pub(super) fn time(&mut self, count: usize) -> Result<Vec<f64>> {
        let answer = self.ask(&format!("time {count}"))?;
        let times: Option<Vec<f64>> =
            answer.split_whitespace().map(|ns| ns.parse::<f64>().ok().map(|ns| ns / 1000.0)).collect();
        times.filter(|t| t.len() == count).ok_or_else(|| self.garbage(&answer))
    }

    /// Embeddings of all pictures of a split.
    pub(super) fn embed(&mut self, pictures: &Split) -> Result<Features> {
        let (from, to) = (self.folder.path().join("pictures"), self.folder.path().join("embeddings"));
        write(&from, &pixels(pictures, pictures.len()))?;
        let answer = self.ask(&format!("embed {} {}", from.display(), to.display()))?;
        if answer != "done" {
            return Err(self.garbage(&answer));
        }
        let bytes = std::fs::read(&to).context(|| format!("cannot read {}", to.display()))?;
        let values = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Features::new(pictures.len(), self.components, values)
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        let lost = || format!("{} ended before its answer", self.name);
        let requests = self.requests.as_mut().ok_or_else(|| Error::new(lost()))?;
        writeln!(requests, "{request}").and_then(|()| requests.flush()).context(lost)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).context(|| format!("cannot read from {}", self.name))?;
        if read == 0 {
            // Its own words are on standard error already.
            return Err(Error::new(format!("the process of {} ended without an answer", self.name)));
        }
        Ok(line.trim_end().to_owned())
    }

    fn garbage(&self, answer: &str) -> Error {
        let shown: String = answer.chars().take(100).collect();
        Error::new(format!("{} answered {shown:?}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends at the end of its input.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

fn refusal(name: &str, line: &str) -> Error {
    match serde_json::from_str::<Refused>(line) {
        Ok(Refused { error, hint: Some(hint) }) => Error::new(error).hint(hint),
        Ok(Refused { error, hint: None }) => Error::new(error),
        Err(_) => Error::new(format!("{name} did not start: {line:?}")),
    }
}

fn write(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).context(|| format!("cannot write {}", Path::display(path)))
}

/// The first `count` pictures, one after the other.
fn pixels(pictures: &Split, count: usize) -> Vec<u8> {
    (0..count.min(pictures.len())).flat_map(|i| pictures.image(i).iter().copied()).collect()
}
