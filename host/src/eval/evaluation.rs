//! The table of one evaluation: every embedding with the same pictures, the same k-NN and the same probe.

use super::curve::Curve;
use super::embedder::{Embedder, Role, Vector, embed};
use super::few_label::{self, FewLabel};
use super::fine_tune::FineTuned;
use super::margin::Margin;
use super::{Features, knn, probe, retrieval, standardise};
use crate::cli::Output;
use crate::data::{Dataset, Split};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Memory for the features of one embedder unless set otherwise: 1 GiB holds all of CIFAR-10 as pixels (0.7 GB).
pub const DEFAULT_MEMORY: u64 = 1 << 30;

/// What to measure, on how much.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// Neighbours that vote.
    pub k: usize,
    /// Also train linear probes.
    pub probe: bool,
    /// Also train probes on 1 % and 10 % of the labels.
    pub few_label: bool,
    /// At most so many training pictures, chosen by a fixed shuffle.
    pub train_limit: Option<usize>,
    /// At most so many held-out pictures.
    pub test_limit: Option<usize>,
    /// Bytes for the features of one embedder; larger training sets are cut to a fixed random choice that fits.
    pub memory: u64,
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol {
            k: knn::K,
            probe: true,
            few_label: false,
            train_limit: None,
            test_limit: None,
            memory: DEFAULT_MEMORY,
        }
    }
}

/// One line of the table. Accuracies are shares, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was evaluated: "trained, float", "raw pixels".
    pub embedding: String,
    /// What it is in the comparison.
    pub role: Role,
    /// "mean", "mean-std", "grid2x2" or "flat".
    pub pooling: String,
    /// Components.
    pub components: usize,
    /// Training pictures used.
    pub train: usize,
    /// Held-out pictures scored.
    pub test: usize,
    /// k-NN accuracy.
    pub knn: f64,
    /// Linear-probe accuracy, mean over seeds; absent when not asked for.
    pub probe: Option<f64>,
    /// Its sample standard deviation over seeds.
    pub probe_deviation: Option<f64>,
    /// Its values, one per seed.
    pub probe_seeds: Vec<f64>,
    /// Learning rate the probe chose.
    pub learning_rate: Option<f64>,
    /// Share of hits among the k nearest.
    pub precision: f64,
    /// Mean average precision of retrieval.
    pub average_precision: Option<f64>,
    /// Probes on a few of the labels, when asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub few_label: Vec<FewLabel>,
}

impl Row {
    /// The probe in percent, "-" where none was trained.
    pub fn probe_text(&self) -> String {
        match (self.probe, self.probe_deviation) {
            (Some(p), Some(d)) => format!("{:.2} ± {:.2}", 100.0 * p, 100.0 * d),
            _ => "-".into(),
        }
    }

    /// The score that decides: the linear probe, or k-NN where none was trained.
    pub fn score(&self) -> f64 {
        self.probe.unwrap_or(self.knn)
    }
}

/// A comparison that belongs in the table but was not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRun {
    /// What it would be.
    pub embedding: String,
    /// Why it is not here, or how to run it.
    pub reason: String,
}

/// Everything `ldae eval` found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Run or artifact.
    pub source: String,
    /// Training steps behind the weights, of a run.
    pub step: Option<u64>,
    /// Name of the data set.
    pub dataset: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Number of classes; 1/classes is about chance.
    pub classes: usize,
    /// Time step the trained encoder was folded at, where it is known.
    pub t: Option<u16>,
    /// One line on how the numbers came about.
    pub protocol: String,
    /// The table.
    pub rows: Vec<Row>,
    /// Trained against the best baseline with the same pooling.
    pub margins: Vec<Margin>,
    /// What is missing from it.
    pub not_run: Vec<NotRun>,
    /// The trained encoder at other time steps and inner layers, when asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
    /// The encoder fine-tuned with labels, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fine_tuned: Option<FineTuned>,
}

/// Training and held-out pictures with labels, cut to the protocol's limits.
pub struct Pictures {
    train: Split,
    test: Split,
}

impl Pictures {
    /// What is trained on.
    pub fn train(&self) -> &Split {
        &self.train
    }

    /// What is scored.
    pub fn test(&self) -> &Split {
        &self.test
    }

    /// Number of classes: one more than the largest label.
    pub fn classes(&self) -> usize {
        let labels = [&self.train, &self.test].into_iter().filter_map(|s| s.labels()).flatten();
        labels.copied().max().map_or(0, |l| usize::from(l) + 1)
    }

    /// The labelled pictures of a data set.
    ///
    /// # Errors
    /// No labels, or no pictures.
    pub fn of(dataset: &Dataset, protocol: &Protocol) -> Result<Self> {
        let cut = |split: &Split, limit: Option<usize>| limit.map_or_else(|| split.clone(), |n| split.limit(n));
        let train = cut(&dataset.train, protocol.train_limit);
        let test = cut(dataset.held_out(), protocol.test_limit);
        for (split, what) in [(&train, "training"), (&test, "held-out")] {
            if split.is_empty() {
                return Err(Error::new(format!("{} has no {what} pictures", dataset.name))
                    .hint("`ldae data` shows what was found there; a larger --limit may be needed"));
            }
            if split.labels().is_none() {
                return Err(Error::new(format!("the {what} pictures of {} have no labels", dataset.name)).hint(
                    "k-NN and probe need classes: put the pictures in one folder per class, or name a labelled set with --data",
                ));
            }
        }
        Ok(Pictures { train, test })
    }
}

/// Scores every vector of every embedder. The embedders come first in the table in the order given.
///
/// # Errors
/// Pictures that an embedder refuses, or an embedder that fails.
pub fn evaluate(
    embedders: &[&dyn Embedder],
    pictures: &Pictures,
    protocol: &Protocol,
    out: &Output,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &embedder in embedders {
        let train = fitting(&pictures.train, &embedder.vectors(), protocol, &embedder.name(), out);
        let train_features = embed(embedder, &train, &embedder.name(), out)?;
        let test_features = embed(embedder, &pictures.test, &embedder.name(), out)?;
        for ((vector, a), b) in embedder.vectors().iter().zip(train_features).zip(test_features) {
            let (train, test) = ((a, labels(&train)?), (b, labels(&pictures.test)?));
            rows.push(score(embedder, vector, train, test, protocol, out)?);
        }
    }
    Ok(rows)
}

fn labels(split: &Split) -> Result<&[u16]> {
    split.labels().ok_or_else(|| Error::new("the pictures have no labels"))
}

/// The training pictures whose features fit in the protocol's memory.
fn fitting(train: &Split, vectors: &[Vector], protocol: &Protocol, name: &str, out: &Output) -> Split {
    let bytes: u64 = vectors.iter().map(|v| 4 * v.dim as u64).sum();
    let rows = usize::try_from(protocol.memory / bytes.max(1)).unwrap_or(usize::MAX).max(1);
    if rows < train.len() {
        out.note(format!(
            "{name}: {rows} of {} training pictures fit in {} MiB of features (raise --memory for more)",
            train.len(),
            protocol.memory >> 20
        ));
    }
    train.limit(rows)
}

/// k-NN and probe of one vector.
fn score(
    embedder: &dyn Embedder,
    vector: &Vector,
    (mut train, train_labels): (Features, &[u16]),
    (mut test, test_labels): (Features, &[u16]),
    protocol: &Protocol,
    out: &Output,
) -> Result<Row> {
    if !embedder.is_standardised() {
        standardise::standardise(&mut train, &mut test)?;
    }
    let found = knn::neighbours(&test, &train, protocol.k, false)?;
    let knn = knn::share_right(&found, train_labels, test_labels);
    let precision = retrieval::precision(&found, train_labels, test_labels);
    let average_precision = retrieval::mean_average_precision(&train, train_labels, &test, test_labels)?;
    let shares = few_label::SHARES.iter().filter(|_| protocol.few_label);
    let few_label = shares
        .map(|&share| few_label::few_label(&train, train_labels, &test, test_labels, share))
        .collect::<Result<_>>()?;
    let probe = if protocol.probe {
        let bar = out.progress(&format!("probe {}", vector.pooling_name()), probe::TICKS);
        let done = || bar.inc(1);
        let probe = probe::probe_with_progress(&train, train_labels, &test, test_labels, &done);
        bar.finish_and_clear();
        Some(probe?)
    } else {
        None
    };
    Ok(Row {
        embedding: embedder.name(),
        role: embedder.role(),
        pooling: vector.pooling_name().to_owned(),
        components: vector.dim,
        train: train.rows(),
        test: test.rows(),
        knn,
        probe: probe.as_ref().map(|p| p.mean),
        probe_deviation: probe.as_ref().map(|p| p.deviation),
        learning_rate: probe.as_ref().map(|p| p.learning_rate),
        probe_seeds: probe.map(|p| p.accuracies).unwrap_or_default(),
        precision,
        average_precision,
        few_label,
    })
}

/// One line on how the numbers came about.
pub fn describe(protocol: &Protocol) -> String {
    let probe = if protocol.probe {
        format!(
            "; linear probe: Adam, {} epochs, cosine, no weight decay, learning rate chosen on a tenth of train, mean and deviation of {} seeds",
            probe::EPOCHS,
            probe::SEEDS.len()
        )
    } else {
        String::new()
    };
    let few = if protocol.few_label {
        "; few labels: the same probe on a class-balanced 1 % and 10 % of them, chosen by each of the seeds"
    } else {
        ""
    };
    format!(
        "features standardised with train statistics; k-NN: k = {}, cosine, majority; P@k: share of hits among these; mAP: mean average precision of {} \
         queries at most{probe}{few}",
        protocol.k,
        retrieval::QUERIES
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::baselines::RawPixels;

    /// 2x2 grey pictures: class 1 is bright on the left, class 0 on the right.
    fn pictures(n: u8) -> Split {
        let bytes = (0..n).flat_map(|i| {
            let (l, r) = if i % 2 == 1 { (200 + i % 50, 20) } else { (20, 200 + i % 40) };
            [l, r, l - 5, r + i % 7]
        });
        Split::from_memory(bytes.collect(), 2, 1, Some((0..n).map(|i| u16::from(i % 2)).collect()))
    }

    #[test]
    fn pixels_of_an_easy_set_score_full_marks() {
        let p = Pictures { train: pictures(100), test: pictures(40) };
        let out = Output::new(true);
        let pixels = RawPixels { side: 2, channels: 1 };
        let rows = evaluate(&[&pixels], &p, &Protocol::default(), &out).unwrap();
        assert_eq!((rows[0].knn, rows[0].probe), (1.0, Some(1.0)));
        assert_eq!((rows[0].pooling.as_str(), rows[0].components, rows[0].train, rows[0].test), ("flat", 4, 100, 40));
        let few = Protocol { memory: 50 * 16, probe: false, ..Protocol::default() };
        let rows = evaluate(&[&pixels], &p, &few, &out).unwrap();
        assert_eq!((rows[0].train, rows[0].probe), (50, None));
    }
}
