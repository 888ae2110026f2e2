//! Fréchet distance between two sets of embeddings, each taken as a Gaussian (Fréchet, 1957; Dowson, Landau, 1982):
//!
//! ```text
//! d² = ‖m1 − m2‖² + tr(C1 + C2 − 2 (C1 C2)^½)
//! ```
//!
//! The formula of FID (Heusel et al., 2017) in the space of any encoder. FID itself is this in one layer of one Inception network
//! on its own preprocessing, so numbers from here are not FIDs and compare only with each other, encoder and number of pictures being
//! equal. Means and covariances (divisor n − 1) are f64. (C1 C2)^½ has the trace Σ √λ over the eigenvalues λ of C1^½ C2 C1^½, which is
//! symmetric.
//!
//! With fewer pictures than components the covariances are singular and the distance is biased upwards: that is reported by the
//! caller, not refused. Refused: different numbers of components, fewer than two pictures.

use super::Features;
use crate::model::eigen::{symmetric_eigen, symmetric_eigenvalues};
use crate::{Error, Result};

/// Squared Fréchet distance of the Gaussians with the moments of `a` and `b`, in squared units of the components.
///
/// # Errors
/// The sets have different numbers of components, or one has fewer than two pictures.
pub fn frechet_distance(a: &Features, b: &Features) -> Result<f64> {
    let e = a.dim();
    if e != b.dim() {
        return Err(Error::new(format!("a Fréchet distance needs one embedding, not {e} and {} components", b.dim()))
            .hint("embed both sets of pictures with the same encoder"));
    }
    let ((m1, c1), (m2, c2)) = (moments(a)?, moments(b)?);
    let means: f64 = m1.iter().zip(&m2).map(|(x, y)| (x - y).powi(2)).sum();
    let trace = |c: &[f64]| (0..e).map(|i| c[i * e + i]).sum::<f64>();
    let root = square_root(&c1, e)?;
    let middle = symmetric(product(&product(&root, &c2, e), &root, e), e);
    let cross: f64 = symmetric_eigenvalues(&middle, e)?.iter().map(|l| l.max(0.0).sqrt()).sum();
    // Rounding may leave equal sets a hair below zero.
    Ok((means + trace(&c1) + trace(&c2) - 2.0 * cross).max(0.0))
}

/// Mean [E] and covariance [E, E] with divisor n − 1.
fn moments(features: &Features) -> Result<(Vec<f64>, Vec<f64>)> {
    let (n, e) = (features.rows(), features.dim());
    if n < 2 {
        return Err(Error::new("a covariance needs at least two pictures").hint("draw more pictures with --count"));
    }
    let mut mean = vec![0f64; e];
    for i in 0..n {
        mean.iter_mut().zip(features.row(i)).for_each(|(m, &v)| *m += f64::from(v) / n as f64);
    }
    let mut covariance = vec![0f64; e * e];
    let mut centred = vec![0f64; e];
    for i in 0..n {
        centred.iter_mut().zip(features.row(i)).zip(&mean).for_each(|((c, &v), m)| *c = f64::from(v) - m);
        for (row, &x) in covariance.chunks_exact_mut(e).zip(&centred) {
            row.iter_mut().zip(&centred).for_each(|(value, y)| *value += x * y);
        }
    }
    covariance.iter_mut().for_each(|v| *v /= (n - 1) as f64);
    Ok((mean, covariance))
}

/// The symmetric root of a positive semidefinite matrix [E, E]; eigenvalues below zero are rounding and count as zero.
fn square_root(matrix: &[f64], e: usize) -> Result<Vec<f64>> {
    let (values, vectors) = symmetric_eigen(matrix, e)?;
    let mut root = vec![0f64; e * e];
    for (value, vector) in values.iter().zip(&vectors) {
        let factor = value.max(0.0).sqrt();
        for (row, x) in root.chunks_exact_mut(e).zip(vector) {
            row.iter_mut().zip(vector).for_each(|(r, y)| *r += factor * x * y);
        }
    }
    Ok(root)
}

/// a·b of matrices [E, E].
fn product(a: &[f64], b: &[f64], e: usize) -> Vec<f64> {
    let mut out = vec![0f64; e * e];
    for (row, line) in out.chunks_exact_mut(e).zip(a.chunks_exact(e)) {
        for (x, other) in line.iter().zip(b.chunks_exact(e)) {
            row.iter_mut().zip(other).for_each(|(value, y)| *value += x * y);
        }
    }
    out
}

/// The mean of a matrix and its transpose.
fn symmetric(mut matrix: Vec<f64>, e: usize) -> Vec<f64> {
    for i in 0..e {
        for j in 0..i {
            let mean = 0.5 * (matrix[i * e + j] + matrix[j * e + i]);
            (matrix[i * e + j], matrix[j * e + i]) = (mean, mean);
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::noise;

    fn near(ours: f64, exact: f64) {
        assert!((ours - exact).abs() < 1e-6 * exact.abs().max(1.0), "{ours} against {exact}");
    }

    /// Rows ±a on each axis in turn: mean `at`, diagonal covariance 2a²/(n − 1) exactly.
    fn axes(at: &[f32], a: &[f32]) -> Features {
        let mut values = Vec::new();
        for axis in 0..at.len() {
            for sign in [1.0, -1.0] {
                values.extend((0..at.len()).map(|i| at[i] + if i == axis { sign * a[i] } else { 0.0 }));
            }
        }
        Features::new(2 * at.len(), at.len(), values).unwrap()
    }

    #[test]
    fn equal_sets_have_distance_zero() {
        let features = noise(1, 100, 12);
        assert!(frechet_distance(&features, &features).unwrap() < 1e-9);
        // Fewer pictures than components: singular covariances, whose zero eigenvalues have roots of about √1e-16 each.
        let few = noise(2, 5, 12);
        assert!(frechet_distance(&few, &few).unwrap() < 1e-6);
    }

    /// Diagonal Gaussians: Σ (m1 − m2)² + (s1 − s2)².
    #[test]
    fn diagonal_gaussians_have_their_closed_form() {
        let (a, b) = (axes(&[0.0, 1.0, -2.0], &[1.0, 0.5, 3.0]), axes(&[0.5, 1.0, 4.0], &[2.0, 0.25, 0.0]));
        let deviation = |a: f64| a * (2.0f64 / 5.0).sqrt();
        let exact = 0.25
            + 36.0
            + [(1.0, 2.0), (0.5, 0.25), (3.0, 0.0)].map(|(x, y)| deviation(x - y).powi(2)).iter().sum::<f64>();
        near(frechet_distance(&a, &b).unwrap(), exact);
        near(frechet_distance(&b, &a).unwrap(), exact);
    }

    /// Full covariances in two dimensions: tr (C1 C2)^½ = √(tr(C1 C2) + 2 √(det C1 det C2)).
    #[test]
    fn correlated_pairs_have_their_closed_form() {
        let (a, b) = (noise(3, 40, 2), noise(4, 60, 2));
        // Sheared, so that the two covariances do not commute.
        let shear = |f: &Features, k: f32| {
            let values = f.values().chunks_exact(2).flat_map(|r| [r[0] + k * r[1], 2.0 * r[1]]).collect();
            Features::new(f.rows(), 2, values).unwrap()
        };
        let (a, b) = (shear(&a, 1.5), shear(&b, -0.7));
        let direct = |f: &Features| {
            let n = f.rows() as f64;
            let column = |i: usize| f.values().chunks_exact(2).map(move |r| f64::from(r[i]));
            let mean = [0, 1].map(|i| column(i).sum::<f64>() / n);
            let cov = |i: usize, j: usize| {
                column(i).zip(column(j)).map(|(x, y)| (x - mean[i]) * (y - mean[j])).sum::<f64>() / (n - 1.0)
            };
            (mean, [cov(0, 0), cov(0, 1), cov(1, 1)])
        };
        let ((m, [p, q, r]), (k, [s, t, u])) = (direct(&a), direct(&b));
        let determinants = (p * r - q * q) * (s * u - t * t);
        let cross = (p * s + 2.0 * q * t + r * u + 2.0 * determinants.sqrt()).sqrt();
        let exact = (m[0] - k[0]).powi(2) + (m[1] - k[1]).powi(2) + p + r + s + u - 2.0 * cross;
        near(frechet_distance(&a, &b).unwrap(), exact);
    }

    #[test]
    fn different_embeddings_and_single_pictures_are_refused() {
        assert!(frechet_distance(&noise(1, 10, 3), &noise(1, 10, 4)).unwrap_err().to_string().contains("3 and 4"));
        assert!(frechet_distance(&noise(1, 10, 3), &noise(1, 1, 3)).is_err());
    }
}
