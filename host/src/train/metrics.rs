//! `metrics.jsonl`: one JSON object a line, appended, nothing in it that depends on clock or machine.

use crate::Error;
use crate::error::{Context, Result};
use ldae_shared::noise::schedule;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Noise levels are grouped into this many equal ranges of t.
pub const BUCKETS: usize = 4;

/// Means over one interval of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainLine {
    /// Steps taken.
    pub step: u64,
    /// Passes over the training pictures.
    pub epoch: f64,
    /// Mean loss.
    pub loss: f64,
    /// Mean loss of the pictures with t in each quarter of 1..=T; null where there was none, or no noise at all.
    pub loss_by_t: [Option<f64>; BUCKETS],
    /// Learning rate of the last step.
    pub lr: f64,
    /// Mean global gradient norm before clipping.
    pub grad_norm: f64,
}

/// The encoder's state at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeLine {
    /// Steps taken.
    pub step: u64,
    /// Passes over the training pictures.
    pub epoch: f64,
    /// k-NN accuracy of the averaged encoder in percent; null without labels.
    pub knn: Option<f64>,
    /// Deviation of the normalised embeddings' components times the square root of their number: 1 when they fill the
    /// sphere, 0 when all pictures have one embedding.
    pub embedding_std: f64,
    /// Effective rank of the normalised embeddings (exponential of the entropy of the covariance's eigenvalues).
    pub effective_rank: f64,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Means over an interval.
    Train(TrainLine),
    /// State of the encoder.
    Probe(ProbeLine),
}

/// Running means of one interval.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    losses: (f64, u64),
    by_t: [(f64, u64); BUCKETS],
    norms: (f64, u64),
}

impl Interval {
    /// Adds one step: loss of each picture, its time step where the recipe has any, and the gradient's norm.
    pub fn add(&mut self, losses: &[f32], time_steps: Option<&[u32]>, norm: f64) {
        for &loss in losses {
            self.losses.0 += f64::from(loss);
            self.losses.1 += 1;
        }
        for (&loss, &t) in losses.iter().zip(time_steps.unwrap_or_default()) {
            let bucket = ((t.max(1) - 1) as usize * BUCKETS / schedule::STEPS as usize).min(BUCKETS - 1);
            self.by_t[bucket].0 += f64::from(loss);
            self.by_t[bucket].1 += 1;
        }
        self.norms.0 += norm;
        self.norms.1 += 1;
    }

    /// The line of the interval; starts a new one.
    pub fn finish(&mut self, step: u64, epoch: f64, lr: f64) -> TrainLine {
        let done = std::mem::take(self);
        let mean = |(sum, count): (f64, u64)| (count > 0).then(|| sum / count as f64);
        TrainLine {
            step,
            epoch,
            loss: mean(done.losses).unwrap_or_default(),
            loss_by_t: done.by_t.map(mean),
            lr,
            grad_norm: mean(done.norms).unwrap_or_default(),
        }
    }
}

/// The open file.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    path: std::path::PathBuf,
    bytes: u64,
}

impl Metrics {
    /// Opens the file (creating it) and cuts it to its first `valid` bytes.
    ///
    /// # Errors
    /// The directory is unwritable, or the file has fewer bytes.
    pub fn open(path: &Path, valid: u64) -> Result<Self> {
        let what = || format!("cannot open {}", path.display());
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path).context(what)?;
        let length = file.metadata().context(what)?.len();
        if length < valid {
            return Err(Error::new(format!(
                "{} has {length} bytes, but the checkpoint was made when it had {valid}",
                path.display()
            ))
            .hint("it was edited or truncated; start again with --overwrite"));
        }
        file.set_len(valid).context(what)?;
        file.seek(SeekFrom::Start(valid)).context(what)?;
        Ok(Metrics { file, path: path.to_owned(), bytes: valid })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&mut self, line: &Line) -> Result<()> {
        let what = || format!("cannot write {}", self.path.display());
        let mut text = serde_json::to_string(line).context(what)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).context(what)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Bytes written so far, on disk before a checkpoint refers to them.
    ///
    /// # Errors
    /// The disk is full.
    pub fn synced_bytes(&mut self) -> Result<u64> {
        self.file.sync_data().context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.bytes)
    }
}

/// Reads all lines of a metrics file.
///
/// # Errors
/// The file is missing or a line is not one of ours.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line).context(|| format!("{} line {} is no metrics line", path.display(), i + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_means_by_noise_level() {
        let mut interval = Interval::default();
        interval.add(&[1.0, 3.0, 5.0], Some(&[1, 250, 251]), 2.0);
        interval.add(&[7.0], Some(&[1000]), 4.0);
        let line = interval.finish(2, 0.5, 0.1);
        assert_eq!((line.loss, line.grad_norm), (4.0, 3.0));
        assert_eq!(line.loss_by_t, [Some(2.0), Some(5.0), None, Some(7.0)]);
        assert_eq!(interval.finish(2, 0.5, 0.1).loss_by_t, [None; 4]);
        interval.add(&[2.0, 4.0], None, 1.0);
        let line = interval.finish(3, 0.5, 0.1);
        assert_eq!((line.loss, line.loss_by_t), (3.0, [None; 4]));
    }

    #[test]
    fn lines_round_trip_and_the_file_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let train = Line::Train(Interval::default().finish(1, 0.1, 0.2));
        let probe = Line::Probe(ProbeLine { step: 1, epoch: 0.1, knn: None, embedding_std: 0.5, effective_rank: 3.25 });
        let mut metrics = Metrics::open(&path, 0).unwrap();
        metrics.write(&train).unwrap();
        let valid = metrics.synced_bytes().unwrap();
        metrics.write(&probe).unwrap();
        assert_eq!(read(&path).unwrap(), [train.clone(), probe.clone()]);
        let mut metrics = Metrics::open(&path, valid).unwrap();
        assert_eq!(read(&path).unwrap(), std::slice::from_ref(&train));
        metrics.write(&probe).unwrap();
        assert_eq!(read(&path).unwrap(), [train, probe]);
        assert!(Metrics::open(&path, 1 << 20).is_err());
    }
}
