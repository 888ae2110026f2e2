//! Claims a run directory: fresh, resumed or overwritten.

use super::checkpoint::Checkpoint;
use super::config::TrainConfig;
use crate::Error;
use crate::error::{Context, Result};
use crate::run_dir::RunDir;
use std::fs;
use std::path::Path;

/// What may happen to a directory that already holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It must not exist or be empty.
    Fresh,
    /// The run in it goes on from its last checkpoint, or starts when there is none.
    Resume,
    /// The run in it is removed first.
    Overwrite,
}

/// Makes the directory ready and returns the checkpoint to go on from, if there is one.
///
/// # Errors
/// It holds something else, belongs to another configuration, is unwritable, or its checkpoint is damaged.
pub(super) fn prepare(run: &RunDir, config: &TrainConfig, mode: Mode) -> Result<Option<Checkpoint>> {
    let root = run.root();
    match mode {
        Mode::Fresh if !is_free(root)? => {
            return Err(Error::new(format!("{} already holds files", root.display()))
                .hint("pass --resume to go on with that run, --overwrite to replace it, or another --out"));
        }
        // A run killed before its first file may have left an empty folder of checkpoints.
        Mode::Resume if !run.config().exists() && !holds_only_leftovers(root)? => {
            return Err(Error::new(format!("{} holds files, but no run to resume", root.display()))
                .hint("pass the --out of the run, or an empty directory"));
        }
        Mode::Overwrite => remove_run(run)?,
        Mode::Fresh | Mode::Resume => {}
    }
    let resumed = mode == Mode::Resume && run.config().exists();
    if resumed {
        let saved = TrainConfig::load(run)?;
        if let Some(field) = first_difference(&saved, config) {
            return Err(Error::new(format!("{} was started with another {field}", root.display()))
                .hint("resume with the same settings (`ldae train --resume --out DIR` alone takes them from the run), or use another --out"));
        }
    }
    let checkpoints = run.checkpoint("last").with_file_name("");
    fs::create_dir_all(&checkpoints).map_err(|e| {
        Error::new(format!("cannot create {}", checkpoints.display()))
            .caused_by(e)
            .hint("choose a directory you may write to with --out")
    })?;
    remove_partial_files(&checkpoints)?;
    remove_partial_files(root)?;
    if !resumed {
        config.save(run)?;
    }
    let last = run.checkpoint("last");
    if resumed && last.exists() {
        let checkpoint = Checkpoint::load(&last)?;
        if checkpoint.header.config_sha256 != config.hash()? {
            return Err(Error::new(format!("{} belongs to another run", last.display()))
                .hint("restore the run's own checkpoint, or start again with --overwrite"));
        }
        return Ok(Some(checkpoint));
    }
    // No checkpoint yet: the run starts from the beginning, without a best one from a life before.
    Ok(None)
}

/// True when the directory does not exist or has nothing in it.
fn is_free(root: &Path) -> Result<bool> {
    all_names(root, |_| false)
}

/// True when the directory has nothing in it but what an interrupted start leaves.
fn holds_only_leftovers(root: &Path) -> Result<bool> {
    all_names(root, |name| name == "checkpoints" || name.contains(".partial-"))
}

/// True when all names in the directory (none, when it does not exist) are accepted.
fn all_names(root: &Path, accept: impl Fn(&str) -> bool) -> Result<bool> {
    match fs::read_dir(root) {
        Ok(entries) => Ok(entries.flatten().all(|e| accept(&e.file_name().to_string_lossy()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(Error::new(format!("cannot use {} as a run directory", root.display()))
            .caused_by(e)
            .hint("choose another directory with --out")),
    }
}

/// Removes what a run consists of, and nothing else.
fn remove_run(run: &RunDir) -> Result<()> {
    let folders = [run.checkpoint("last").with_file_name(""), run.eval("x").with_file_name(""), run.export()];
    let files = [run.config(), run.metrics(), run.log(), run.report(), run.card()];
    let missing_is_fine = |result: std::io::Result<()>, path: &Path| match result {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    };
    folders.iter().try_for_each(|f| missing_is_fine(fs::remove_dir_all(f), f))?;
    files.iter().try_for_each(|f| missing_is_fine(fs::remove_file(f), f))
}

/// Removes what a killed process left half-written (see [`crate::atomic`]).
fn remove_partial_files(folder: &Path) -> Result<()> {
    let what = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).context(what)? {
        let path = entry.context(what)?.path();
        if path.file_name().is_some_and(|n| n.to_string_lossy().contains(".partial-")) {
            fs::remove_file(&path).context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Dotted name of the first setting that differs.
fn first_difference(a: &TrainConfig, b: &TrainConfig) -> Option<String> {
    fn walk(path: &str, a: &serde_json::Value, b: &serde_json::Value) -> Option<String> {
        match (a, b) {
            (serde_json::Value::Object(x), serde_json::Value::Object(y)) => {
                let keys = x.keys().chain(y.keys().filter(|k| !x.contains_key(*k)));
                keys.map(|key| {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    let null = serde_json::Value::Null;
                    walk(&path, x.get(key).unwrap_or(&null), y.get(key).unwrap_or(&null))
                })
                .find_map(|found| found)
            }
            _ => (a != b).then(|| format!("`{path}` ({a}, not {b})")),
        }
    }
    match (serde_json::to_value(a), serde_json::to_value(b)) {
        (Ok(x), Ok(y)) => walk("", &x, &y),
        _ => (a != b).then(|| "configuration".to_owned()),
    }
}
