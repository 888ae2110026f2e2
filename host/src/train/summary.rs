//! What a run says when it is finished.

use super::checkpoint::Best;
use serde::Serialize;

/// What a finished run reports.
#[derive(Clone, Debug, Serialize)]
pub struct TrainSummary {
    /// Run directory.
    pub run: String,
    /// Steps taken.
    pub steps: u64,
    /// Passes over the training pictures.
    pub epochs: f64,
    /// Mean loss of the last interval.
    pub loss: f64,
    /// Last k-NN accuracy in percent, with labels only.
    pub knn: Option<f64>,
    /// Best score and its step; `best.safetensors` is from there.
    pub best: Option<Best>,
    /// True when the last check found the embeddings collapsed.
    pub collapsed: bool,
    /// Trainable values.
    pub parameters: usize,
    /// Share of the patch variance in the kept components.
    pub pca_explained: Option<f64>,
    /// Seconds of this call (a resumed run counts from the resume).
    pub seconds: f64,
    /// Training pictures per second of this call, checks and checkpoints included.
    pub pictures_per_second: f64,
}
