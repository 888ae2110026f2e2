//! Where things lie in a run directory. The names are a contract with users (README) and between the verbs.

use std::path::{Path, PathBuf};

/// A run directory. Nothing here touches the disk.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// A run directory at `path`, existing or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RunDir(path.into())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Resolved configuration (TOML).
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// One JSON object a line; the same seed gives the same bytes on a CPU, so nothing in it depends on the clock.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// Human log with times.
    pub fn log(&self) -> PathBuf {
        self.0.join("train.log")
    }

    /// `last.safetensors` and `best.safetensors`.
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.0.join("checkpoints").join(format!("{name}.safetensors"))
    }

    /// `eval/NAME.json`.
    pub fn eval(&self, name: &str) -> PathBuf {
        self.0.join("eval").join(format!("{name}.json"))
    }

    /// Folder of exported encoders and their quality reports.
    pub fn export(&self) -> PathBuf {
        self.0.join("export")
    }

    /// Grid of pictures that the run drew.
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples.png")
    }

    /// Self-contained HTML page.
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// Model card.
    pub fn card(&self) -> PathBuf {
        self.0.join("card.md")
    }
}
