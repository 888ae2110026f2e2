//! The quality report of NUMERICS.md: integer against float on real pictures, with the gates.

use super::{Options, worst};
use crate::Result;
use crate::cli::Output;
use crate::data::{Dataset, Split};
use crate::eval::Features;
use crate::eval::artifact::IntegerEncoder;
use crate::eval::embedder::{Embedder, embed};
use crate::eval::quality::{self, COSINE_GATE, Histogram, Labelled, Pair, Quality};
use crate::eval::run_encoder::RunEncoder;
use crate::eval::standardise::Standardiser;
use crate::model::Weights;
use crate::pack::InMemory;
use crate::quantise::{LayerNoise, Statistics};
use serde::Serialize;

/// What quantisation cost; the flat fields are what report.html shows.
#[derive(Clone, Debug, Serialize)]
pub struct QualityReport {
    /// Held-out pictures compared.
    pub pictures: usize,
    /// Median centred cosine between float and integer embedding.
    pub cosine_median: f64,
    /// 5 % quantile; gate 0.999.
    pub cosine_q05: f64,
    /// Smallest.
    pub cosine_min: f64,
    /// Share of pictures with the same nearest neighbour.
    pub nn_top1_agreement: f64,
    /// Share of common pictures among the ten nearest.
    pub nn_top10_agreement: f64,
    /// k-NN accuracy of the float embeddings, %.
    pub knn_float: Option<f64>,
    /// k-NN accuracy of the integer embeddings, %.
    pub knn_int: Option<f64>,
    /// Linear-probe accuracy of the float embeddings, % (mean of three seeds).
    pub probe_float: Option<f64>,
    /// Linear-probe accuracy of the integer embeddings, %.
    pub probe_int: Option<f64>,
    /// Cosines, counted.
    pub cosine_histogram: Histogram,
    /// Both gates hold.
    pub passed: bool,
    /// Signal-to-noise by stage.
    pub layers: Vec<LayerNoise>,
}

/// Embeds held-out and training pictures with both encoders and compares.
pub(super) fn measure(
    weights: &Weights,
    artifact: &[u8],
    dataset: &Dataset,
    options: &Options,
    (statistics, layers): (&Statistics, Vec<LayerNoise>),
    out: &Output,
) -> Result<QualityReport> {
    let float = RunEncoder::new("float", weights, options.t, &[options.pooling])?;
    let artifact = InMemory::for_this_machine(artifact);
    let integer = IntegerEncoder::new("integer", &artifact, "the exported encoder")?;
    let one = |e: &dyn Embedder, split: &Split, what: &str| -> Result<Features> {
        embed(e, split, what, out).map(|mut f| f.remove(0))
    };
    let (train, held_out) = (dataset.train.limit(options.compare), dataset.held_out().limit(options.compare));
    let mut float_train = one(&float, &train, "float")?;
    let mut float_held_out = one(&float, &held_out, "float")?;
    // The calibration's means and deviations, like the integer encoder's: those of another sample would differ by
    // their sampling error (3 % of a deviation with 1,024 pictures), which would be counted as quantisation noise.
    let standardiser = Standardiser::new(&statistics.pooled_mean, &statistics.pooled_deviation);
    standardiser.apply(&mut float_train);
    standardiser.apply(&mut float_held_out);
    let (integer_train, integer_held_out) = (one(&integer, &train, "integer")?, one(&integer, &held_out, "integer")?);
    let labelled = train.labels().zip(held_out.labels()).map(|(train_labels, labels)| Labelled {
        train: Pair { float: &float_train, integer: &integer_train },
        train_labels,
        labels,
    });
    let q = quality::quality(Pair { float: &float_held_out, integer: &integer_held_out }, labelled)?;
    Ok(QualityReport::new(&q, layers))
}

impl QualityReport {
    fn new(q: &Quality, layers: Vec<LayerNoise>) -> Self {
        let percent = |v: f64| 100.0 * v;
        QualityReport {
            pictures: q.pictures,
            cosine_median: q.cosine_median,
            cosine_q05: q.cosine_q05,
            cosine_min: q.cosine_min,
            nn_top1_agreement: q.top1_agreement,
            nn_top10_agreement: q.top10_agreement,
            knn_float: q.knn.map(|c| percent(c.float)),
            knn_int: q.knn.map(|c| percent(c.integer)),
            probe_float: q.probe.map(|c| percent(c.float)),
            probe_int: q.probe.map(|c| percent(c.integer)),
            cosine_histogram: q.cosine_histogram.clone(),
            passed: q.passed,
            layers,
        }
    }
}

impl std::fmt::Display for QualityReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "  quality against float on {} held-out pictures", self.pictures)?;
        writeln!(
            f,
            "    centred cosine    median {:.5}, 5 % quantile {:.5} (gate {COSINE_GATE}), smallest {:.5}",
            self.cosine_median, self.cosine_q05, self.cosine_min
        )?;
        writeln!(
            f,
            "    neighbours        nearest agrees {:.1} %, ten nearest {:.1} %",
            100.0 * self.nn_top1_agreement,
            100.0 * self.nn_top10_agreement
        )?;
        let pair = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => format!("float {a:.2} %, integer {b:.2} % ({:+.2})", b - a),
            _ => "not measured (no labels)".to_owned(),
        };
        writeln!(f, "    k-NN              {}", pair(self.knn_float, self.knn_int))?;
        writeln!(f, "    linear probe      {}", pair(self.probe_float, self.probe_int))?;
        write!(f, "    noisiest stages  ")?;
        for layer in worst(&self.layers, 4) {
            write!(f, " {} {:.1} dB", layer.name, layer.sqnr_db)?;
        }
        write!(f, "\n    gates             {}", if self.passed { "passed" } else { "NOT passed" })
    }
}
