//! Exact k-nearest-neighbour search and classification by cosine similarity.
//!
//! Protocol (the same for every embedding and every baseline): k = 20; cosine similarity on standardised features
//! (see [`super::standardise`]); each neighbour has one vote; most votes win; equal votes are decided by the larger
//! sum of similarities, then by the smaller class number. This is the plain majority vote: no temperature to tune.
//!
//! The search is brute force through blocked matrix products. Block shapes are fixed, so the result does not depend on
//! the number of threads. Equal similarities are ordered by index. A row of norm 0 has similarity 0 to everything.

use super::Features;
use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Neighbours that vote (papers and METHOD.md section 5 use 20).
pub const K: usize = 20;

/// Rows of queries and of the gallery in one product: 128·1024 similarities are 512 KB, which stays in L2.
const QUERIES: usize = 128;
const GALLERY: usize = 1024;
/// Queries whose similarities to the whole gallery are in memory at once, a task: 13 MB with 50 000 pictures in it.
const RANKED: usize = 64;

/// One found row of the gallery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Row of the gallery.
    pub index: u32,
    /// Cosine similarity to the query.
    pub similarity: f32,
}

/// The `k` nearest rows of `gallery` for each row of `queries`, best first; row i of the answer is `[i*k..(i+1)*k]`,
/// with k cut to the size of the gallery. With `exclude_self`, row i of `queries` never finds row i of the gallery
/// (for a set searched in itself).
///
/// # Errors
/// The two sets have different numbers of components, or nothing is left to find.
pub fn neighbours(queries: &Features, gallery: &Features, k: usize, exclude_self: bool) -> Result<Vec<Vec<Neighbour>>> {
    if queries.dim() != gallery.dim() {
        return Err(super::different_dims(gallery.dim(), queries.dim()));
    }
    let k = k.min(gallery.rows() - usize::from(exclude_self));
    if k == 0 {
        return Err(Error::new("no neighbour to find: k is 0 or the gallery is empty")
            .hint("give --k 1 or more, and more pictures"));
    }
    let dim = queries.dim();
    let (query_scale, gallery_scale) = (inverse_norms(queries), inverse_norms(gallery));
    let found: Vec<Vec<Vec<Neighbour>>> = queries
        .values()
        .par_chunks(QUERIES * dim)
        .enumerate()
        .map(|(block, rows)| {
            let first = block * QUERIES;
            let q = rows.len() / dim;
            let mut best = vec![Vec::with_capacity(k + 1); q];
            let mut products = vec![0f32; QUERIES * GALLERY];
            for (gallery_block, others) in gallery.values().chunks(GALLERY * dim).enumerate() {
                let offset = gallery_block * GALLERY;
                let g = others.len() / dim;
                let products = &mut products[..q * g];
                multiply(rows, others, dim, products);
                let scale = &gallery_scale[offset..offset + g];
                for (i, (row, best)) in products.chunks_exact(g).zip(&mut best).enumerate() {
                    let skip = if exclude_self { first + i } else { usize::MAX };
                    keep_best(row, scale, query_scale[first + i], offset, skip, k, best);
                }
            }
            best
        })
        .collect();
    Ok(found.into_iter().flatten().collect())
}

/// Merges one row of products into `best` (at most k, best first). The gallery is walked in index order and only a
/// strictly larger similarity moves ahead, so equal ones stay ordered by index.
fn keep_best(
    products: &[f32],
    scale: &[f32],
    own: f32,
    offset: usize,
    skip: usize,
    k: usize,
    best: &mut Vec<Neighbour>,
) {
    let mut worst = if best.len() == k { best[k - 1].similarity } else { f32::NEG_INFINITY };
    for (j, (p, s)) in products.iter().zip(scale).enumerate() {
        let similarity = p * s * own;
        if similarity <= worst || offset + j == skip {
            continue;
        }
        let at = best.partition_point(|b| b.similarity >= similarity);
        best.insert(at, Neighbour { index: (offset + j) as u32, similarity });
        best.truncate(k);
        if best.len() == k {
            worst = best[k - 1].similarity;
        }
    }
}

/// `rank(i, similarities)` of every query i with its cosine to all rows of the gallery, in order.
///
/// # Errors
/// The two sets have different numbers of components.
pub(super) fn similarities<T: Send>(
    queries: &Features,
    gallery: &Features,
    rank: impl Fn(usize, &[f32]) -> T + Sync,
) -> Result<Vec<T>> {
    if queries.dim() != gallery.dim() {
        return Err(super::different_dims(gallery.dim(), queries.dim()));
    }
    let (dim, g) = (queries.dim(), gallery.rows());
    let (query_scale, gallery_scale) = (inverse_norms(queries), inverse_norms(gallery));
    let blocks: Vec<Vec<T>> = queries
        .values()
        .par_chunks(RANKED * dim)
        .enumerate()
        .map(|(block, rows)| {
            let mut products = vec![0f32; rows.len() / dim * g];
            multiply(rows, gallery.values(), dim, &mut products);
            let of_row = |(i, row): (usize, &mut [f32])| {
                let query = block * RANKED + i;
                row.iter_mut().zip(&gallery_scale).for_each(|(p, scale)| *p *= scale * query_scale[query]);
                rank(query, row)
            };
            products.chunks_exact_mut(g).enumerate().map(of_row).collect()
        })
        .collect();
    Ok(blocks.into_iter().flatten().collect())
}

/// rows [q, dim] x others [g, dim] transposed -> products [q, g].
fn multiply(rows: &[f32], others: &[f32], dim: usize, products: &mut [f32]) {
    let (q, g) = (rows.len() / dim, others.len() / dim);
    matmul(
        MatMut::from_row_major_slice_mut(products, q, g),
        Accum::Replace,
        MatRef::from_row_major_slice(rows, q, dim),
        MatRef::from_row_major_slice(others, g, dim).transpose(),
        1.0,
        Par::Seq,
    );
}

fn inverse_norms(features: &Features) -> Vec<f32> {
    features
        .values()
        .par_chunks(features.dim())
        .map(|row| {
            let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
            if square > 0.0 { (1.0 / square.sqrt()) as f32 } else { 0.0 }
        })
        .collect()
}

/// The class the neighbours vote for (protocol above).
pub fn vote(neighbours: &[Neighbour], labels: &[u16]) -> u16 {
    let mut classes: Vec<(u16, u32, f32)> = Vec::with_capacity(neighbours.len());
    for n in neighbours {
        let class = labels[n.index as usize];
        match classes.iter_mut().find(|c| c.0 == class) {
            Some(c) => {
                c.1 += 1;
                c.2 += n.similarity;
            }
            None => classes.push((class, 1, n.similarity)),
        }
    }
    classes.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(a.2.total_cmp(&b.2)).then(b.0.cmp(&a.0))).map_or(0, |c| c.0)
}

/// Share of `test` pictures (0 to 1) whose class the `k` nearest pictures of `train` vote for. Both sets are taken as
/// they are: standardise them first.
///
/// # Errors
/// Different numbers of components, or labels that do not match the rows.
pub fn accuracy(train: &Features, train_labels: &[u16], test: &Features, test_labels: &[u16], k: usize) -> Result<f64> {
    super::check_labels(train, train_labels)?;
    super::check_labels(test, test_labels)?;
    Ok(share_right(&neighbours(test, train, k, false)?, train_labels, test_labels))
}

/// [`accuracy`] of neighbours already found; `found[i]` belongs to test picture i.
pub fn share_right(found: &[Vec<Neighbour>], train_labels: &[u16], test_labels: &[u16]) -> f64 {
    let right = found.iter().zip(test_labels).filter(|(n, label)| vote(n, train_labels) == **label).count();
    right as f64 / test_labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{clusters, noise, on_threads};

    /// Cosine neighbours by definition, in f64.
    fn naive(queries: &Features, gallery: &Features, k: usize) -> Vec<Vec<u32>> {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        (0..queries.rows())
            .map(|i| {
                let q = queries.row(i);
                let mut all: Vec<(f64, u32)> = (0..gallery.rows())
                    .map(|j| {
                        let g = gallery.row(j);
                        (dot(q, g) / (dot(q, q) * dot(g, g)).sqrt(), j as u32)
                    })
                    .collect();
                all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                all.truncate(k);
                all.into_iter().map(|a| a.1).collect()
            })
            .collect()
    }

    #[test]
    fn finds_what_the_definition_finds_across_block_borders() {
        // More than one block of queries and of the gallery, with partial last blocks.
        let queries = noise(1, QUERIES + 37, 19);
        let gallery = noise(2, 2 * GALLERY + 5, 19);
        let found = neighbours(&queries, &gallery, 20, false).unwrap();
        let found: Vec<Vec<u32>> = found.iter().map(|row| row.iter().map(|n| n.index).collect()).collect();
        assert_eq!(found, naive(&queries, &gallery, 20));
    }

    #[test]
    fn equal_rows_come_in_index_order_and_self_is_excluded() {
        let same = Features::new(5, 2, [1.0, 2.0].repeat(5)).unwrap();
        let order = |f: &[Neighbour]| f.iter().map(|n| n.index).collect::<Vec<_>>();
        let all = neighbours(&same, &same, 9, false).unwrap();
        assert_eq!(order(&all[3]), [0, 1, 2, 3, 4]);
        let others = neighbours(&same, &same, 3, true).unwrap();
        assert_eq!(order(&others[1]), [0, 2, 3]);
        assert!((others[1][0].similarity - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_zero_row_has_similarity_zero() {
        let gallery = Features::new(2, 2, vec![0.0, 0.0, -1.0, 0.0]).unwrap();
        let query = Features::new(1, 2, vec![1.0, 0.0]).unwrap();
        let found = neighbours(&query, &gallery, 2, false).unwrap();
        assert_eq!((found[0][0].index, found[0][0].similarity), (0, 0.0));
    }

    #[test]
    fn votes_are_counted_then_weighed_then_ordered() {
        let n = |index, similarity| Neighbour { index, similarity };
        let labels = [7, 3, 3, 7, 1];
        assert_eq!(vote(&[n(0, 0.9), n(1, 0.2), n(2, 0.1)], &labels), 3, "more votes win");
        assert_eq!(vote(&[n(1, 0.2), n(2, 0.1), n(0, 0.9), n(3, 0.1)], &labels), 7, "then similarity");
        assert_eq!(vote(&[n(0, 0.5), n(4, 0.5)], &labels), 1, "then the smaller class");
    }

    #[test]
    fn clusters_are_told_apart_and_threads_do_not_matter() {
        let (train, train_labels) = clusters(3, 600, 16, 4, 3.0);
        let (test, test_labels) = clusters(4, 300, 16, 4, 3.0);
        let run = || {
            let found = neighbours(&test, &train, K, false).unwrap();
            (accuracy(&train, &train_labels, &test, &test_labels, K).unwrap(), found)
        };
        let one = on_threads(1, run);
        assert!(one.0 > 0.95, "{}", one.0);
        assert_eq!(one, on_threads(4, run));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let a = noise(1, 3, 2);
        assert!(neighbours(&a, &noise(1, 3, 4), 1, false).is_err());
        assert!(neighbours(&a, &a, 0, false).is_err());
        assert!(neighbours(&noise(1, 1, 2), &noise(1, 1, 2), 1, true).is_err());
        assert!(accuracy(&a, &[0, 1], &a, &[0, 1, 0], 1).is_err());
    }
}
