//! What a cell gave, as OUT/results/CELL.json: written whole or not at all.

use super::Cell;
use crate::atomic;
use crate::error::Context;
use crate::eval::curve::Curve;
use crate::eval::evaluation::Row;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One cell's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// The cell, also its run directory's name.
    pub cell: String,
    /// The setting as people read it.
    pub setting: String,
    /// Axis and value.
    pub values: Vec<(String, String)>,
    /// Seed of the run.
    pub seed: u64,
    /// Measured, or why not.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    /// Trained and evaluated.
    Done(Box<Measured>),
    /// It could not be.
    Failed {
        /// What went wrong.
        error: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// sha256 of the run's configuration: a result of other settings is not taken for this cell's.
    pub config_sha256: String,
    /// How the scores came about, with the limits of the pictures.
    pub protocol: String,
    /// Fingerprint of the pictures.
    pub fingerprint: String,
    /// Training steps.
    pub steps: u64,
    /// Trainable values.
    pub parameters: usize,
    /// Time step at which the encoder was evaluated.
    pub t: u16,
    /// Mean training loss of the first interval of metrics.jsonl, and of the last; absent with fewer than two intervals.
    pub loss: Option<(f64, f64)>,
    /// Seconds of training and evaluation in the call that finished the cell.
    pub seconds: f64,
    /// Trained encoder and baselines, as `ldae eval` has them.
    pub rows: Vec<Row>,
    /// The trained encoder over t, when asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
}

impl CellResult {
    /// A result of `cell`.
    pub fn new(cell: &Cell, outcome: Outcome) -> Self {
        CellResult {
            cell: cell.name.clone(),
            setting: cell.setting.clone(),
            values: cell.values.clone(),
            seed: cell.seed,
            outcome,
        }
    }

    /// What was measured, unless it failed.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Done(measured) => Some(measured),
            Outcome::Failed { .. } => None,
        }
    }

    /// Where the result of a cell lies.
    pub fn path(root: &Path, cell: &Cell) -> PathBuf {
        root.join("results").join(format!("{}.json", cell.name))
    }

    /// Reads a cell's result; `None` when there is none yet.
    ///
    /// # Errors
    /// The file cannot be read or is no result.
    pub fn read(root: &Path, cell: &Cell) -> Result<Option<Self>> {
        let path = Self::path(root, cell);
        let text = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.context(|| format!("cannot read {}", path.display()))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|e| {
            Error::new(format!("{} is no result of this version", path.display()))
                .caused_by(e)
                .hint("remove the file: its cell is then evaluated again from its run directory")
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// OUT is unwritable or the disk full.
    pub fn save(&self, root: &Path, cell: &Cell) -> Result<()> {
        let path = Self::path(root, cell);
        let folder = root.join("results");
        std::fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
        let json = serde_json::to_vec_pretty(self).context(|| format!("cannot write {}", path.display()))?;
        atomic::write(&path, &json)
    }
}
