//! Linear probe: how well a linear softmax classifier on frozen features names the classes (METHOD.md section 1).
//!
//! # Protocol
//!
//! Paper A: frozen encoder, pooled features, BatchNorm without affine, one linear layer; batch 16384, learning rate
//! 6.4e-3 with half-cycle cosine, no weight decay, 90 epochs. Here, the same for every embedding and every baseline:
//!
//! * The BatchNorm is standardisation with the statistics of the whole training split ([`super::standardise`]): with
//!   frozen features of a fixed set both converge to the same thing. Call [`probe`] on standardised features.
//! * Adam (betas 0.9, 0.999; eps 1e-8). The paper does not name the optimiser of the probe; 6.4e-3 is its training
//!   rule 1e-4 · batch / 256 at batch 16384, which is AdamW's, and without weight decay that is Adam.
//! * Batch: 16384, on sets of fewer than 16 · 16384 pictures a sixteenth of them (at least [`MIN_BATCH`]), so that an
//!   epoch has about 16 steps; ImageNet has 78 at the paper's batch.
//! * Learning rate: linear scaling to such small batches and sets would end before convergence, so it is chosen from
//!   [`LEARNING_RATES`] (the paper's, and powers of four around it) on every tenth part of the *training* pictures
//!   that is held out, with [`SEEDS`]`[0]`; ties go to the smaller rate. The held-out split takes no part in it.
//!   Then the classifier is trained on all training pictures, once per seed.
//! * A seed sets the initial weights (Gaussian, deviation 0.01) and the order of the batches, both from Philox.
//! * Difference from the paper: features come from the picture as it is, not from random crops and flips of it.
//!
//! The sums are over fixed parts in a fixed order: one seed gives one result for any number of threads.

use super::Features;
use super::linear::{self, Linear};
use crate::Result;
use ldae_shared::noise::{Purpose, Stream};
use rayon::prelude::*;
use serde::Serialize;

/// Passes over the training features (paper A).
pub const EPOCHS: u32 = 90;
/// Largest batch (paper A).
pub const MAX_BATCH: usize = 16384;
/// Smallest batch: below it gradients of tens of classes are mostly noise.
pub const MIN_BATCH: usize = 64;
/// Candidate learning rates: paper A's 6.4e-3, times 1/16, 1/4, 1 and 4.
pub const LEARNING_RATES: [f64; 4] = [4e-4, 1.6e-3, 6.4e-3, 2.56e-2];
/// Seeds of the three runs behind mean and deviation.
pub const SEEDS: [u64; 3] = [1, 2, 3];

/// Progress calls of one probe: epochs of the choice of the learning rate and of each seed.
pub const TICKS: u64 = EPOCHS as u64 * (1 + SEEDS.len() as u64);

/// Streams of [`Purpose::Probe`] beside those numbered by epoch.
const HOLD_OUT: u32 = u32::MAX;
pub(super) const INITIAL: u32 = u32::MAX - 1;

/// What the probe found. Accuracies are shares, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// Mean over seeds.
    pub mean: f64,
    /// Sample standard deviation over seeds.
    pub deviation: f64,
    /// One accuracy per seed.
    pub accuracies: Vec<f64>,
    /// Chosen learning rate.
    pub learning_rate: f64,
    /// Batch of the final trainings.
    pub batch: usize,
}

/// Trains and scores the classifier on standardised features (protocol above).
///
/// # Errors
/// The labels do not match the rows, or the two sets have different numbers of components.
pub fn probe(train: &Features, train_labels: &[u16], test: &Features, test_labels: &[u16]) -> Result<Probe> {
    probe_with_progress(train, train_labels, test, test_labels, &|| ())
}

/// [`probe`], calling `done` [`TICKS`] times in all, from any thread.
///
/// # Errors
/// As [`probe`].
pub fn probe_with_progress(
    train: &Features,
    train_labels: &[u16],
    test: &Features,
    test_labels: &[u16],
    done: &(dyn Fn() + Sync),
) -> Result<Probe> {
    super::check_labels(train, train_labels)?;
    super::check_labels(test, test_labels)?;
    if train.dim() != test.dim() {
        return Err(super::different_dims(train.dim(), test.dim()));
    }
    let classes = usize::from(train_labels.iter().chain(test_labels).copied().max().unwrap_or(0)) + 1;
    let learning_rate = choose_learning_rate(train, train_labels, classes, done);
    let all: Vec<u32> = (0..train.rows() as u32).collect();
    let batch = batch_size(all.len());
    let accuracies: Vec<f64> = SEEDS
        .par_iter()
        .map(|&seed| {
            let task = linear::Task {
                features: train,
                labels: train_labels,
                classes,
                rows: &all,
                epochs: EPOCHS,
                batch,
                done,
            };
            let model = linear::train(&task, &[learning_rate], seed);
            score(&model, test, test_labels, &(0..test.rows() as u32).collect::<Vec<_>>())[0]
        })
        .collect();
    let n = accuracies.len() as f64;
    let mean = accuracies.iter().sum::<f64>() / n;
    let deviation = (accuracies.iter().map(|a| (a - mean) * (a - mean)).sum::<f64>() / (n - 1.0)).sqrt();
    Ok(Probe { mean, deviation, accuracies, learning_rate, batch })
}

/// The protocol above once, with one seed: the share of right answers on `test` after training on all rows of `train`.
pub(super) fn fit(train: &Features, labels: &[u16], test: &Features, test_labels: &[u16], seed: u64) -> f64 {
    let classes = usize::from(labels.iter().chain(test_labels).copied().max().unwrap_or(0)) + 1;
    let rate = choose_learning_rate(train, labels, classes, &|| ());
    let rows: Vec<u32> = (0..train.rows() as u32).collect();
    let (epochs, batch) = (EPOCHS, batch_size(rows.len()));
    let task = linear::Task { features: train, labels, classes, rows: &rows, epochs, batch, done: &|| () };
    let model = linear::train(&task, &[rate], seed);
    score(&model, test, test_labels, &(0..test.rows() as u32).collect::<Vec<_>>())[0]
}

/// Best of [`LEARNING_RATES`] on a tenth of the training rows; all candidates are trained side by side.
fn choose_learning_rate(train: &Features, labels: &[u16], classes: usize, done: &(dyn Fn() + Sync)) -> f64 {
    let order = shuffled(SEEDS[0], HOLD_OUT, train.rows());
    let (held, rest) = order.split_at(train.rows() / 10);
    if held.is_empty() {
        (0..EPOCHS).for_each(|_| done());
        return LEARNING_RATES[2]; // fewer than ten pictures decide nothing: the paper's value
    }
    let task = linear::Task {
        features: train,
        labels,
        classes,
        rows: rest,
        epochs: EPOCHS,
        batch: batch_size(rest.len()),
        done,
    };
    let model = linear::train(&task, &LEARNING_RATES, SEEDS[0]);
    let scores = score(&model, train, labels, held);
    let mut best = 0;
    for i in 1..scores.len() {
        if scores[i] > scores[best] {
            best = i;
        }
    }
    LEARNING_RATES[best]
}

/// A sixteenth of the rows, within [`MIN_BATCH`] and [`MAX_BATCH`], at most all of them.
fn batch_size(rows: usize) -> usize {
    (rows / 16).clamp(MIN_BATCH, MAX_BATCH).min(rows)
}

/// Share of right answers of each variant of `model` on the given rows.
fn score(model: &Linear, features: &Features, labels: &[u16], rows: &[u32]) -> Vec<f64> {
    let right = model.count_right(features, labels, rows);
    right.into_iter().map(|r| r as f64 / rows.len() as f64).collect()
}

/// 0..n in the order given by (seed, epoch): Fisher-Yates with a Philox stream.
pub(super) fn shuffled(seed: u64, epoch: u32, n: usize) -> Vec<u32> {
    let mut stream = Stream::new(seed, Purpose::Probe, epoch, 0);
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        order.swap(i, stream.below(i as u32 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{clusters, noise, on_threads};

    #[test]
    fn separable_classes_are_learned_and_threads_do_not_matter() {
        let (train, train_labels) = clusters(11, 800, 12, 5, 6.0);
        let (test, test_labels) = clusters(12, 400, 12, 5, 6.0);
        let run = || probe(&train, &train_labels, &test, &test_labels).unwrap();
        let one = on_threads(1, run);
        assert!(one.mean > 0.99, "{one:?}");
        assert_eq!(one, on_threads(4, run));
    }

    #[test]
    fn labels_without_relation_to_the_features_give_chance() {
        let train = noise(21, 2000, 8);
        let test = noise(22, 2000, 8);
        let labels = |seed| shuffled(seed, 0, 2000).iter().map(|i| (i % 4) as u16).collect::<Vec<_>>();
        let p = probe(&train, &labels(1), &test, &labels(2)).unwrap();
        // Chance is 0.25 with a deviation of 0.01 for 2000 pictures.
        assert!((p.mean - 0.25).abs() < 0.04, "{p:?}");
    }

    #[test]
    fn a_linear_problem_the_neighbours_find_hard() {
        // The class is the sign of one of 40 equally large components.
        let make = |seed| {
            let f = noise(seed, 1500, 40);
            let labels: Vec<u16> = (0..f.rows()).map(|i| u16::from(f.row(i)[7] > 0.0)).collect();
            (f, labels)
        };
        let ((train, train_labels), (test, test_labels)) = (make(31), make(32));
        let p = probe(&train, &train_labels, &test, &test_labels).unwrap();
        let k = crate::eval::knn::accuracy(&train, &train_labels, &test, &test_labels, 20).unwrap();
        assert!(p.mean > 0.93 && p.mean > k + 0.1, "{p:?} {k}");
    }

    #[test]
    fn batches_follow_the_protocol() {
        assert_eq!([10, 500, 50_000, 1_281_167].map(batch_size), [10, 64, 3125, 16384]);
    }

    #[test]
    fn seeds_differ_and_orders_are_permutations() {
        let mut a = shuffled(1, 0, 100);
        assert_ne!(a, shuffled(1, 1, 100));
        assert_ne!(a, shuffled(2, 0, 100));
        assert_eq!(a, shuffled(1, 0, 100));
        a.sort_unstable();
        assert_eq!(a, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn few_pictures_and_wrong_labels() {
        let (train, labels) = clusters(41, 6, 3, 2, 8.0);
        assert_eq!(probe(&train, &labels, &train, &labels).unwrap().learning_rate, 6.4e-3);
        assert!(probe(&train, &labels[..5], &train, &labels).is_err());
        assert!(probe(&train, &labels, &noise(1, 6, 4), &labels).is_err());
    }
}
