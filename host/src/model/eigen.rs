//! Eigenvalues of real symmetric matrices by faer, sequentially: a parallel decomposition may round differently with
//! the number of threads, and runs must not depend on that.

use crate::{Error, Result};
use faer::{Mat, Par, Side};

fn from_rows(matrix: &[f64], p: usize) -> Mat<f64> {
    Mat::from_fn(p, p, |i, j| matrix[i * p + j])
}

fn sequentially<R>(work: impl FnOnce() -> R) -> R {
    let parallelism = faer::get_global_parallelism();
    faer::set_global_parallelism(Par::Seq);
    let result = work();
    faer::set_global_parallelism(parallelism);
    result
}

/// Eigenvalues (falling) and eigenvectors (rows) of a symmetric p×p matrix; the largest-magnitude value of every
/// eigenvector is positive.
///
/// # Errors
/// The matrix has values that are not finite.
pub fn symmetric_eigen(matrix: &[f64], p: usize) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
    let eigen = sequentially(|| from_rows(matrix, p).self_adjoint_eigen(Side::Lower))
        .map_err(|e| Error::new(format!("a covariance has no eigenvectors ({e:?})")))?;
    // faer gives rising eigenvalues in the columns of U.
    let values = (0..p).rev().map(|i| eigen.S()[i]).collect();
    let rows = (0..p)
        .rev()
        .map(|i| {
            let column = eigen.U().col(i);
            let largest = (0..p).fold(0, |best, k| if column[k].abs() > column[best].abs() { k } else { best });
            let sign = if column[largest] < 0.0 { -1.0 } else { 1.0 };
            (0..p).map(|k| sign * column[k]).collect()
        })
        .collect();
    Ok((values, rows))
}

/// Eigenvalues (falling) of a symmetric p×p matrix.
///
/// # Errors
/// The matrix has values that are not finite.
pub fn symmetric_eigenvalues(matrix: &[f64], p: usize) -> Result<Vec<f64>> {
    let mut values = sequentially(|| from_rows(matrix, p).self_adjoint_eigenvalues(Side::Lower))
        .map_err(|e| Error::new(format!("a covariance has no eigenvalues ({e:?})")))?;
    values.reverse();
    Ok(values)
}
