//! How well search works: precision of the first k hits, and mean average precision of the whole ranking.
//!
//! Queries are the held-out pictures, the gallery the training pictures, similarity is the cosine of standardised features, as in
//! [`super::knn`]; a hit is a picture of the query's class.
//!
//! * Precision at k: share of hits among the k nearest, mean over queries.
//! * Average precision of a query: mean, over the R pictures of its class in the gallery, of the precision at each one's rank;
//!   mean over queries. Queries whose class the gallery lacks have none and are left out. Ranks of equal similarities go
//!   by index.

use super::Features;
use super::knn::{self, Neighbour};
use crate::Result;

/// Queries of the mean average precision: each ranks the whole gallery, and 1000 know it to about one point.
pub const QUERIES: usize = 1000;

/// Precision at k of found neighbours; `found[i]` belongs to query i.
pub fn precision(found: &[Vec<Neighbour>], gallery_labels: &[u16], query_labels: &[u16]) -> f64 {
    let of_query = |(found, label): (&Vec<Neighbour>, &u16)| {
        let hits = found.iter().filter(|n| gallery_labels[n.index as usize] == *label).count();
        hits as f64 / found.len().max(1) as f64
    };
    found.iter().zip(query_labels).map(of_query).sum::<f64>() / found.len().max(1) as f64
}

/// Mean average precision of at most [`QUERIES`] queries, evenly spaced over all of them. `None` when no query has a picture of its class
/// in the gallery.
///
/// # Errors
/// Different numbers of components, or labels that do not match the rows.
pub fn mean_average_precision(
    gallery: &Features,
    gallery_labels: &[u16],
    queries: &Features,
    query_labels: &[u16],
) -> Result<Option<f64>> {
    super::check_labels(gallery, gallery_labels)?;
    super::check_labels(queries, query_labels)?;
    let n = queries.rows().min(QUERIES);
    let chosen: Vec<u32> = (0..n).map(|i| (i * queries.rows() / n) as u32).collect();
    let label = |i: usize| query_labels[chosen[i] as usize];
    let rank = |i: usize, similarities: &[f32]| average_precision(similarities, gallery_labels, label(i));
    let all = knn::similarities(&queries.select(&chosen)?, gallery, rank)?;
    let scored: Vec<f64> = all.into_iter().flatten().collect();
    Ok((!scored.is_empty()).then(|| scored.iter().sum::<f64>() / scored.len() as f64))
}

/// Average precision of one query by its similarity to every row of the gallery.
fn average_precision(similarities: &[f32], labels: &[u16], label: u16) -> Option<f64> {
    let mut order: Vec<u32> = (0..similarities.len() as u32).collect();
    order.sort_unstable_by(|a, b| similarities[*b as usize].total_cmp(&similarities[*a as usize]).then(a.cmp(b)));
    let (mut hits, mut sum) = (0u32, 0.0);
    for (rank, &i) in order.iter().enumerate() {
        if labels[i as usize] == label {
            hits += 1;
            sum += f64::from(hits) / (rank + 1) as f64;
        }
    }
    (hits > 0).then(|| sum / f64::from(hits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{clusters, noise, on_threads};

    #[test]
    fn average_precision_by_hand() {
        // Ranking 2, 0, 3, 1 with hits at ranks 1 and 4: (1/1 + 2/4) / 2.
        let ap = average_precision(&[0.5, -0.2, 0.9, 0.1], &[7, 3, 3, 8], 3);
        assert_eq!(ap, Some(0.75));
        assert_eq!(average_precision(&[0.5], &[7], 3), None);
        // Equal similarities go by index.
        assert_eq!(average_precision(&[0.5, 0.5], &[3, 7], 3), Some(1.0));
        assert_eq!(average_precision(&[0.5, 0.5], &[7, 3], 3), Some(0.5));
    }

    /// Both by definition, in f64 and loops.
    #[test]
    fn equals_the_definition() {
        let (gallery, gallery_labels) = clusters(1, 150, 6, 3, 2.0);
        let (queries, query_labels) = clusters(2, 40, 6, 3, 2.0);
        let k = 5;
        let found = knn::neighbours(&queries, &gallery, k, false).unwrap();
        let (mut at_k, mut average) = (0.0, 0.0);
        for (i, &label) in query_labels.iter().enumerate() {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
            let q = queries.row(i);
            let cosine = |j: usize| dot(q, gallery.row(j)) / dot(gallery.row(j), gallery.row(j)).sqrt();
            let mut order: Vec<usize> = (0..gallery.rows()).collect();
            order.sort_by(|a, b| cosine(*b).total_cmp(&cosine(*a)));
            let hit = |rank: usize| gallery_labels[order[rank]] == label;
            at_k += (0..k).filter(|&r| hit(r)).count() as f64 / k as f64 / queries.rows() as f64;
            let relevant = gallery_labels.iter().filter(|l| **l == label).count();
            let precision_at = |r: usize| (0..=r).filter(|&s| hit(s)).count() as f64 / (r + 1) as f64;
            let sum: f64 = (0..order.len()).filter(|&r| hit(r)).map(precision_at).sum();
            average += sum / relevant as f64 / queries.rows() as f64;
        }
        assert!((precision(&found, &gallery_labels, &query_labels) - at_k).abs() < 1e-12);
        let map = || mean_average_precision(&gallery, &gallery_labels, &queries, &query_labels).unwrap().unwrap();
        assert!((map() - average).abs() < 1e-12, "{} {average}", map());
        assert_eq!(on_threads(1, map), on_threads(3, map));
    }

    #[test]
    fn classes_that_the_gallery_lacks_are_left_out() {
        let (gallery, queries) = (noise(1, 10, 3), noise(2, 4, 3));
        assert_eq!(mean_average_precision(&gallery, &[0; 10], &queries, &[1; 4]).unwrap(), None);
        assert_eq!(mean_average_precision(&gallery, &[0; 10], &queries, &[1, 0, 1, 0]).unwrap(), Some(1.0));
        assert!(mean_average_precision(&gallery, &[0; 9], &queries, &[1; 4]).is_err());
        assert!(mean_average_precision(&gallery, &[0; 10], &noise(2, 4, 5), &[1; 4]).is_err());
    }
}
