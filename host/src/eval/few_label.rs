//! Few-label probe: how far a small share of the labels goes (1 % and 10 % of the training pictures).
//!
//! # Protocol
//!
//! * For each seed the same number of pictures of every class is chosen, share · pictures / classes rounded, at least one and at most
//!   all there are: a fixed choice that depends on the seed and the labels alone, so that every embedding sees the same pictures. The 1 %
//!   of a seed are among its 10 %.
//! * Features are standardised with all training pictures: their pictures are known, only their labels are not.
//! * On the chosen pictures the linear probe of [`super::probe`] is trained with that seed: the same optimiser and epochs,
//!   its learning rate chosen on a tenth of the chosen pictures (the paper's where there are fewer than ten).
//! * Accuracy on all held-out pictures; mean and sample deviation over the seeds, which here contain the choice of pictures.

use super::probe::{SEEDS, fit, shuffled};
use super::{Features, check_labels, different_dims};
use crate::Result;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Shares of the labels.
pub const SHARES: [f64; 2] = [0.01, 0.1];

/// Stream of the choice, beside those of the probe.
const CHOICE: u32 = u32::MAX - 2;

/// Result at one share of the labels. Accuracies are shares, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FewLabel {
    /// Share of the labels.
    pub share: f64,
    /// Pictures that it is.
    pub pictures: usize,
    /// Mean over seeds.
    pub mean: f64,
    /// Sample standard deviation over seeds.
    pub deviation: f64,
    /// One accuracy per seed.
    pub accuracies: Vec<f64>,
}

/// Positions of the chosen pictures, ascending.
pub fn choose(labels: &[u16], share: f64, seed: u64) -> Vec<u32> {
    let classes = usize::from(labels.iter().copied().max().unwrap_or(0)) + 1;
    let mut present = vec![false; classes];
    labels.iter().for_each(|&l| present[usize::from(l)] = true);
    let present = present.into_iter().filter(|p| *p).count().max(1);
    let each = ((share * labels.len() as f64 / present as f64).round() as usize).max(1);
    let mut taken = vec![0; classes];
    let mut chosen: Vec<u32> = shuffled(seed, CHOICE, labels.len());
    chosen.retain(|&i| {
        let count = &mut taken[usize::from(labels[i as usize])];
        *count += 1;
        *count <= each
    });
    chosen.sort_unstable();
    chosen
}

/// Trains and scores the probe on `share` of the labels of standardised features, once per seed.
///
/// # Errors
/// The labels do not match the rows, or the two sets have different numbers of components.
pub fn few_label(
    train: &Features,
    train_labels: &[u16],
    test: &Features,
    test_labels: &[u16],
    share: f64,
) -> Result<FewLabel> {
    check_labels(train, train_labels)?;
    check_labels(test, test_labels)?;
    if train.dim() != test.dim() {
        return Err(different_dims(train.dim(), test.dim()));
    }
    let one = |&seed: &u64| -> Result<(usize, f64)> {
        let chosen = choose(train_labels, share, seed);
        let labels: Vec<u16> = chosen.iter().map(|&i| train_labels[i as usize]).collect();
        Ok((chosen.len(), fit(&train.select(&chosen)?, &labels, test, test_labels, seed)))
    };
    let found = SEEDS.par_iter().map(one).collect::<Result<Vec<_>>>()?;
    let accuracies: Vec<f64> = found.iter().map(|f| f.1).collect();
    let n = accuracies.len() as f64;
    let mean = accuracies.iter().sum::<f64>() / n;
    let deviation = (accuracies.iter().map(|a| (a - mean) * (a - mean)).sum::<f64>() / (n - 1.0)).sqrt();
    Ok(FewLabel { share, pictures: found[0].0, mean, deviation, accuracies })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{clusters, noise, on_threads};

    #[test]
    fn choices_are_balanced_fixed_and_nested() {
        // 1000 pictures of classes 0, 2 and 5 in unequal numbers.
        let labels: Vec<u16> = (0..1000)
            .map(|i| {
                if i % 10 < 7 {
                    0
                } else if i % 10 < 9 {
                    2
                } else {
                    5
                }
            })
            .collect();
        let ten = choose(&labels, 0.1, 1);
        let count = |chosen: &[u32], class| chosen.iter().filter(|&&i| labels[i as usize] == class).count();
        assert_eq!([0, 2, 5, 1].map(|c| count(&ten, c)), [33, 33, 33, 0]);
        let one = choose(&labels, 0.01, 1);
        assert_eq!([0, 2, 5].map(|c| count(&one, c)), [3, 3, 3]);
        assert!(one.iter().all(|i| ten.contains(i)));
        assert_eq!(ten, choose(&labels, 0.1, 1));
        assert_ne!(ten, choose(&labels, 0.1, 2));
        // A class with fewer pictures than that gives all it has; the smallest share is one a class.
        assert_eq!(count(&choose(&labels, 0.9, 1), 5), 100);
        assert_eq!(choose(&labels, 1e-9, 1).len(), 3);
    }

    #[test]
    fn only_the_chosen_labels_are_read() {
        let (train, labels) = clusters(1, 600, 8, 3, 4.0);
        let (test, test_labels) = clusters(2, 200, 8, 3, 4.0);
        let run = |labels: &[u16]| few_label(&train, labels, &test, &test_labels, 0.1).unwrap();
        let whole = run(&labels);
        assert_eq!((whole.pictures, whole.accuracies.len()), (60, 3));
        assert!(whole.mean > 0.8, "{whole:?}");
        let n = whole.accuracies.len() as f64;
        let variance = whole.accuracies.iter().map(|a| (a - whole.mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((whole.deviation - variance.sqrt()).abs() < 1e-15);
        assert_eq!(whole, on_threads(1, || run(&labels)));
        // The probe of one seed, from the chosen rows alone.
        let chosen = choose(&labels, 0.1, SEEDS[1]);
        let rows: Vec<f32> = chosen.iter().flat_map(|&i| train.row(i as usize).to_vec()).collect();
        let alone = Features::new(chosen.len(), 8, rows).unwrap();
        let own: Vec<u16> = chosen.iter().map(|&i| labels[i as usize]).collect();
        assert_eq!(whole.accuracies[1], fit(&alone, &own, &test, &test_labels, SEEDS[1]));
        assert!(few_label(&train, &labels[1..], &test, &test_labels, 0.1).is_err());
        assert!(few_label(&train, &labels, &noise(1, 200, 9), &test_labels, 0.1).is_err());
    }
}
