//! `train.log`: what a person reads, with seconds since the program started training.

use crate::error::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// The open file.
#[derive(Debug)]
pub struct Log {
    file: File,
    start: Instant,
}

impl Log {
    /// Opens the file to append to it.
    ///
    /// # Errors
    /// The directory is unwritable.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Log { file: file.context(|| format!("cannot open {}", path.display()))?, start: Instant::now() })
    }

    /// Appends a line. The log is a convenience: a full disk is reported by the metrics, which matter.
    pub fn line(&mut self, text: &str) {
        let _ = writeln!(self.file, "{:9.1} s  {text}", self.start.elapsed().as_secs_f64());
    }
}
