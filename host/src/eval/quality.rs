//! What quantisation costs: integer against float embeddings of the same real pictures (NUMERICS.md, "Quality against
//! f32 on real images").
//!
//! Everything is measured on *standardised* (centred) embeddings, because plain cosine hides losses behind the
//! component that all pictures share. Float features must be standardised with the calibration's means and deviations,
//! integer ones are the codes times 5/127 (or any one factor: cosine does not see it).

use super::{Features, knn, probe};
use crate::{Error, Result};
use serde::Serialize;
use std::fmt;

/// Gate: smallest accepted 5 % quantile of the centred cosine.
pub const COSINE_GATE: f64 = 0.999;
/// Gate: largest accepted change of linear-probe accuracy (0.3 points), on at least [`PROBE_PICTURES`] pictures.
pub const PROBE_GATE: f64 = 0.003;
/// Pictures that the probe gate speaks of: with fewer, chance alone moves the accuracy by more.
pub const PROBE_PICTURES: usize = 10_000;

/// Bins of the histogram.
const BINS: usize = 40;

/// Float and integer features of the same pictures in the same order.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// Standardised float embeddings.
    pub float: &'a Features,
    /// Standardised integer embeddings.
    pub integer: &'a Features,
}

/// Pictures with labels, for k-NN and probe.
#[derive(Clone, Copy)]
pub struct Labelled<'a> {
    /// Training pictures.
    pub train: Pair<'a>,
    /// Their classes.
    pub train_labels: &'a [u16],
    /// Classes of the held-out pictures.
    pub labels: &'a [u16],
}

/// Pictures by cosine: `counts[i]` of them lie between `edges[i]` and `edges[i + 1]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Rising; one more than counts. From the smallest cosine to 1.
    pub edges: Vec<f64>,
    /// Pictures in each bin.
    pub counts: Vec<u32>,
}

/// An accuracy (0 to 1) of both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Of the float embeddings.
    pub float: f64,
    /// Of the integer embeddings.
    pub integer: f64,
    /// `integer - float`.
    pub change: f64,
}

/// The report of one exported encoder. Accuracies and agreements are shares, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Held-out pictures compared.
    pub pictures: usize,
    /// Median over pictures of the cosine between float and integer embedding.
    pub cosine_median: f64,
    /// Its 5 % quantile: 95 % of the pictures are at least this close.
    pub cosine_q05: f64,
    /// The smallest.
    pub cosine_min: f64,
    /// All of them.
    pub cosine_histogram: Histogram,
    /// Share of pictures whose nearest other picture is the same for both.
    pub top1_agreement: f64,
    /// Mean share of the ten nearest other pictures that both have.
    pub top10_agreement: f64,
    /// k-NN accuracy, where labels exist.
    pub knn: Option<Change>,
    /// Linear-probe accuracy (mean of three seeds), where labels exist.
    pub probe: Option<Change>,
    /// Both gates hold: `cosine_q05` ≥ [`COSINE_GATE`], and the probe changes by at most [`PROBE_GATE`] where it was
    /// measured on at least [`PROBE_PICTURES`] pictures.
    pub passed: bool,
}

/// Compares the embeddings of the held-out pictures, and with labels also k-NN and linear probe.
///
/// # Errors
/// Sets that do not belong together: other counts, other numbers of components, missing labels; or fewer than two pictures.
pub fn quality(held_out: Pair<'_>, labelled: Option<Labelled<'_>>) -> Result<Quality> {
    check(held_out)?;
    let Pair { float, integer } = held_out;
    let mut cosines: Vec<f64> = (0..float.rows()).map(|i| cosine(float.row(i), integer.row(i))).collect();
    cosines.sort_by(f64::total_cmp);
    let by_float = knn::neighbours(float, float, 10, true)?;
    let by_integer = knn::neighbours(integer, integer, 10, true)?;
    let pictures = float.rows();
    let both = || by_float.iter().zip(&by_integer);
    let same_nearest = both().filter(|(f, i)| f[0].index == i[0].index).count();
    let shared: usize = both().map(|(f, i)| f.iter().filter(|a| i.iter().any(|b| a.index == b.index)).count()).sum();
    let listed: usize = by_float.iter().map(Vec::len).sum();
    let (knn, probe) = labelled.map(|l| accuracies(held_out, l)).transpose()?.unzip();
    let cosine_q05 = quantile(&cosines, 0.05);
    let within = |p: Change| pictures < PROBE_PICTURES || p.change.abs() <= PROBE_GATE;
    let probe_passed = probe.is_none_or(within);
    Ok(Quality {
        pictures,
        cosine_median: quantile(&cosines, 0.5),
        cosine_q05,
        cosine_min: cosines[0],
        cosine_histogram: histogram(&cosines),
        top1_agreement: same_nearest as f64 / pictures as f64,
        top10_agreement: shared as f64 / listed as f64,
        knn,
        probe,
        passed: cosine_q05 >= COSINE_GATE && probe_passed,
    })
}

fn check(pair: Pair<'_>) -> Result<()> {
    let (f, i) = (pair.float, pair.integer);
    if f.rows() == i.rows() && f.dim() == i.dim() {
        return Ok(());
    }
    Err(Error::new(format!(
        "float features are {} x {}, integer features {} x {}",
        f.rows(),
        f.dim(),
        i.rows(),
        i.dim()
    ))
    .hint("compare the same pictures through the run and the artifact exported from it"))
}

/// k-NN and linear probe.
fn accuracies(held_out: Pair<'_>, l: Labelled<'_>) -> Result<(Change, Change)> {
    check(l.train)?;
    let change = |float: f64, integer: f64| Change { float, integer, change: integer - float };
    let knn = |train, test| knn::accuracy(train, l.train_labels, test, l.labels, knn::K);
    let probe = |train, test| probe::probe(train, l.train_labels, test, l.labels).map(|p| p.mean);
    Ok((
        change(knn(l.train.float, held_out.float)?, knn(l.train.integer, held_out.integer)?),
        change(probe(l.train.float, held_out.float)?, probe(l.train.integer, held_out.integer)?),
    ))
}

/// [`BINS`] equal bins from the smallest of the rising values to 1.
fn histogram(cosines: &[f64]) -> Histogram {
    let (low, high) = (cosines[0].min(1.0 - 1e-6), 1.0);
    let step = (high - low) / BINS as f64;
    let mut counts = vec![0; BINS];
    for c in cosines {
        counts[(((c - low) / step) as usize).min(BINS - 1)] += 1;
    }
    Histogram { edges: (0..=BINS).map(|i| low + step * i as f64).collect(), counts }
}

/// Cosine in f64; 1 when both vectors are zero, 0 when one of them is.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let (aa, bb) = (dot(a, a), dot(b, b));
    match (aa == 0.0, bb == 0.0) {
        (true, true) => 1.0,
        (false, false) => dot(a, b) / (aa * bb).sqrt(),
        _ => 0.0,
    }
}

/// Largest difference of two values; NaN where one is no number or the lengths differ.
pub fn largest_difference(found: &[f32], reference: &[f32]) -> f64 {
    let mut largest = if found.len() == reference.len() { 0.0f64 } else { f64::NAN };
    for (found, reference) in found.iter().zip(reference) {
        let difference = (f64::from(*found) - f64::from(*reference)).abs();
        // `f64::max` would hide NaN.
        largest = if largest.is_nan() || difference.is_nan() { f64::NAN } else { largest.max(difference) };
    }
    largest
}

/// [`largest_difference`] over the root mean square of `reference` (one embedding or several, one after the other); where that is
/// zero, the difference itself.
pub fn scaled_error(found: &[f32], reference: &[f32]) -> f64 {
    let square: f64 = reference.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    let largest = largest_difference(found, reference);
    if square == 0.0 { largest } else { largest / (square / reference.len() as f64).sqrt() }
}

/// Nearest-rank quantile, rounded down, of values in rising order.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q) as usize]
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "integer against float on {} pictures (standardised embeddings)", self.pictures)?;
        writeln!(
            f,
            "  cosine               median {:.5}   5 % quantile {:.5} (gate {COSINE_GATE})   smallest {:.5}",
            self.cosine_median, self.cosine_q05, self.cosine_min
        )?;
        writeln!(
            f,
            "  nearest neighbour    same first {:.1} %   shared of ten {:.1} %",
            100.0 * self.top1_agreement,
            100.0 * self.top10_agreement
        )?;
        for (name, change) in [("k-NN", self.knn), ("linear probe", self.probe)] {
            match change {
                Some(c) => writeln!(
                    f,
                    "  {name:<20} float {:.2} %   integer {:.2} %   change {:+.2} points",
                    100.0 * c.float,
                    100.0 * c.integer,
                    100.0 * c.change
                )?,
                None => writeln!(f, "  {name:<20} not measured: the pictures have no labels")?,
            }
        }
        if self.probe.is_some() && self.pictures < PROBE_PICTURES {
            writeln!(f, "  the probe is not gated: it takes {PROBE_PICTURES} pictures to see a change of 0.3 points")?;
        }
        write!(f, "  gates                {}", if self.passed { "passed" } else { "MISSED" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{clusters, noise};

    /// The same features with Gaussian errors of the given deviation.
    fn disturbed(f: &Features, seed: u64, deviation: f32) -> Features {
        let errors = noise(seed, f.rows(), f.dim());
        let values = f.values().iter().zip(errors.values()).map(|(v, e)| v + deviation * e).collect();
        Features::new(f.rows(), f.dim(), values).unwrap()
    }

    #[test]
    fn equal_embeddings_agree_in_everything() {
        let (train, train_labels) = clusters(1, 300, 8, 3, 3.0);
        let (test, labels) = clusters(2, 200, 8, 3, 3.0);
        let pair = |f| Pair { float: f, integer: f };
        let labelled = Labelled { train: pair(&train), train_labels: &train_labels, labels: &labels };
        let q = quality(pair(&test), Some(labelled)).unwrap();
        assert!((q.cosine_min - 1.0).abs() < 1e-12 && q.passed);
        assert_eq!((q.top1_agreement, q.top10_agreement), (1.0, 1.0));
        assert_eq!((q.knn.unwrap().change, q.probe.unwrap().change), (0.0, 0.0));
        assert!(q.knn.unwrap().float > 0.5 && q.probe.unwrap().float > 0.5);
        assert_eq!(q.cosine_histogram.counts.iter().sum::<u32>(), 200);
        assert!(q.to_string().contains("passed"));
    }

    #[test]
    fn errors_are_seen_where_they_should_be() {
        let test = noise(3, 400, 32);
        // Independent errors of deviation d turn the cosine into 1/sqrt(1 + d²).
        let rough = disturbed(&test, 4, 0.1);
        let q = quality(Pair { float: &test, integer: &rough }, None).unwrap();
        assert!((q.cosine_median - 1.0 / 1.01f64.sqrt()).abs() < 1e-3, "{q:?}");
        assert!(q.cosine_q05 < q.cosine_median && q.cosine_min <= q.cosine_q05 && !q.passed);
        assert!(q.top1_agreement < 1.0 && q.top1_agreement > 0.5 && q.knn.is_none());
        let other = noise(5, 400, 32);
        let q = quality(Pair { float: &test, integer: &other }, None).unwrap();
        assert!(q.cosine_median.abs() < 0.1 && q.top1_agreement < 0.05 && q.top10_agreement < 0.1);
    }

    #[test]
    fn quantiles_and_cosines_by_hand() {
        let v: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!((quantile(&v, 0.05), quantile(&v, 0.5), quantile(&v[..1], 0.05)), (4.0, 49.0, 0.0));
        assert_eq!(cosine(&[3.0, 0.0], &[1.0, 1.0]), 0.5f64.sqrt());
        assert_eq!((cosine(&[0.0], &[0.0]), cosine(&[0.0], &[1.0])), (1.0, 0.0));
        assert_eq!(scaled_error(&[3.0, 4.5], &[3.0, 4.0]), 0.5 / 12.5f64.sqrt());
        assert_eq!((scaled_error(&[0.25], &[0.0]), scaled_error(&[2.0], &[2.0])), (0.25, 0.0));
        assert!(scaled_error(&[1.0, f32::NAN], &[1.0, 1.0]).is_nan() && scaled_error(&[1.0], &[1.0; 2]).is_nan());
    }

    #[test]
    fn refuses_sets_that_do_not_belong_together() {
        let (a, b, c) = (noise(1, 5, 3), noise(1, 4, 3), noise(1, 5, 2));
        assert!(quality(Pair { float: &a, integer: &b }, None).is_err());
        assert!(quality(Pair { float: &a, integer: &c }, None).is_err());
        let one = noise(1, 1, 3);
        assert!(quality(Pair { float: &one, integer: &one }, None).is_err());
        let pair = Pair { float: &a, integer: &a };
        let labelled = Labelled { train: pair, train_labels: &[0; 5], labels: &[0; 4] };
        assert!(quality(pair, Some(labelled)).is_err());
    }
}
