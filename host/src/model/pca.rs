//! Fitting the patch PCA: covariance of many randomly sampled training patches, eigenvectors by faer.
//!
//! METHOD.md section 1: V has orthonormal rows by falling eigenvalue, the patch mean is subtracted, and one scalar s, the
//! root mean square of the K kept coefficients over the sample, gives the latents unit scale. Signs are fixed: the
//! largest-magnitude value of every row is positive. Everything is f64 until the end; the result does not depend on the
//! number of threads.

use super::eigen::symmetric_eigen;
use crate::{Error, Result};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::{PatchGrid, pixel_value};
use ldae_shared::pca::{Covariance, Pca};
use rayon::prelude::*;

/// Accumulators that fill in parallel and are summed in order: enough for a few cores, small for P = 4096.
const PARTS: usize = 4;

/// A fitted patch PCA.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchPca {
    /// Mean patch, P values.
    pub mean: Vec<f32>,
    /// V, P·P values, rows by falling eigenvalue.
    pub basis: Vec<f32>,
    /// s, the root mean square of the K kept coefficients.
    pub scale: f32,
    /// Variances of the coefficients, falling (empty when read from a checkpoint).
    pub eigenvalues: Vec<f64>,
}

impl PatchPca {
    /// The same as slices, for the shared arithmetic.
    pub fn view(&self) -> Pca<'_> {
        Pca { mean: &self.mean, basis: &self.basis, scale: self.scale }
    }

    /// Share of the variance in the first `rank` components.
    pub fn explained(&self, rank: usize) -> f64 {
        let total: f64 = self.eigenvalues.iter().sum();
        self.eigenvalues.iter().take(rank).sum::<f64>() / total.max(f64::MIN_POSITIVE)
    }
}

/// Fits the PCA of `grid` on `samples` patches: sample i is a uniformly drawn picture and token.
/// `picture(i)` returns the u8 values of picture i of `count`.
///
/// # Errors
/// There are no pictures, or all patches are equal.
pub fn fit<'a>(
    grid: PatchGrid,
    rank: usize,
    count: usize,
    picture: impl Fn(usize) -> &'a [u8] + Sync,
    samples: usize,
    seed: u64,
) -> Result<PatchPca> {
    let p = grid.patch_values();
    if count == 0 || samples == 0 {
        return Err(Error::new("the patch PCA needs pictures, and there are none"));
    }
    let mut sums = vec![0.0; PARTS * p];
    let mut products = vec![0.0; PARTS * p * p];
    let mut parts: Vec<Covariance> = sums
        .par_chunks_mut(p)
        .zip(products.par_chunks_mut(p * p))
        .enumerate()
        .map(|(part, (sum, product))| {
            let mut covariance = Covariance::new(sum, product).expect("the lengths are p and p·p");
            let (mut bytes, mut values) = (vec![0u8; p], vec![0f32; p]);
            for sample in samples * part / PARTS..samples * (part + 1) / PARTS {
                let mut stream = Stream::new(seed, Purpose::Patches, 0, sample as u32);
                let image = picture(stream.below(count as u32) as usize);
                grid.copy_patch(image, stream.below(grid.tokens() as u32) as usize, &mut bytes);
                for (value, &byte) in values.iter_mut().zip(&bytes) {
                    *value = pixel_value(byte);
                }
                covariance.add(&values);
            }
            covariance
        })
        .collect();
    let mut whole = parts.remove(0);
    parts.iter().for_each(|part| whole.merge(part));
    drop(parts);
    whole.finish();
    decompose(&sums[..p], &products[..p * p], rank)
}

/// Eigenvectors of a covariance as a PCA of rank `rank`.
fn decompose(mean: &[f64], covariance: &[f64], rank: usize) -> Result<PatchPca> {
    let p = mean.len();
    let (mut eigenvalues, rows) = symmetric_eigen(covariance, p)?;
    eigenvalues.iter_mut().for_each(|v| *v = v.max(0.0));
    let basis = rows.iter().flatten().map(|&v| v as f32).collect();
    let scale = (eigenvalues[..rank].iter().sum::<f64>() / rank as f64).sqrt() as f32;
    // Below one hundredth of a grey level there is nothing to denoise.
    if !scale.is_finite() || scale < 1e-2 / 127.5 {
        return Err(Error::new("all sampled patches are equal: there is nothing to learn")
            .hint("check the pictures with `ldae data`"));
    }
    Ok(PatchPca { mean: mean.iter().map(|&m| m as f32).collect(), basis, scale, eigenvalues })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reference::noise_pictures;

    /// Cyclic Jacobi rotations, the small independent solver: eigenvalues (falling) of a symmetric matrix.
    fn jacobi_eigenvalues(mut a: Vec<f64>, p: usize) -> Vec<f64> {
        for _ in 0..60 {
            for i in 0..p {
                for j in i + 1..p {
                    if a[i * p + j].abs() < 1e-300 {
                        continue;
                    }
                    let theta = (a[j * p + j] - a[i * p + i]) / (2.0 * a[i * p + j]);
                    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                    let c = 1.0 / (t * t + 1.0).sqrt();
                    let s = t * c;
                    for k in 0..p {
                        let (x, y) = (a[k * p + i], a[k * p + j]);
                        (a[k * p + i], a[k * p + j]) = (c * x - s * y, s * x + c * y);
                    }
                    for k in 0..p {
                        let (x, y) = (a[i * p + k], a[j * p + k]);
                        (a[i * p + k], a[j * p + k]) = (c * x - s * y, s * x + c * y);
                    }
                }
            }
        }
        let mut values: Vec<f64> = (0..p).map(|i| a[i * p + i]).collect();
        values.sort_by(|x, y| y.total_cmp(x));
        values
    }

    #[test]
    fn faer_agrees_with_jacobi_and_definition() {
        let (side, count) = (8, 20);
        let pictures = noise_pictures(side, 3, count, 5);
        let grid = PatchGrid::new(side, 4, 3).unwrap();
        let (p, rank, samples) = (48, 16, 2000);
        let pca = fit(grid, rank, count, |i| &pictures[i], samples, 7).unwrap();

        // The same sample, summed directly.
        let mut rows = Vec::new();
        for sample in 0..samples {
            let mut stream = Stream::new(7, Purpose::Patches, 0, sample as u32);
            let mut patch = vec![0u8; p];
            let image = &pictures[stream.below(count as u32) as usize];
            grid.copy_patch(image, stream.below(grid.tokens() as u32) as usize, &mut patch);
            rows.push(patch.iter().map(|&b| f64::from(pixel_value(b))).collect::<Vec<_>>());
        }
        let mean: Vec<f64> = (0..p).map(|i| rows.iter().map(|r| r[i]).sum::<f64>() / samples as f64).collect();
        let mut cov = vec![0.0; p * p];
        for (i, line) in cov.chunks_exact_mut(p).enumerate() {
            for (j, value) in line.iter_mut().enumerate() {
                *value = rows.iter().map(|r| (r[i] - mean[i]) * (r[j] - mean[j])).sum::<f64>() / samples as f64;
            }
        }
        assert!(pca.mean.iter().zip(&mean).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6));
        let reference = jacobi_eigenvalues(cov.clone(), p);
        for (ours, theirs) in pca.eigenvalues.iter().zip(&reference) {
            assert!((ours - theirs).abs() < 1e-10, "{ours} {theirs}");
        }
        // Every row is an eigenvector of its eigenvalue, rows are orthonormal, signs are fixed.
        for (k, row) in pca.basis.chunks_exact(p).enumerate() {
            for i in 0..p {
                let product: f64 = (0..p).map(|j| cov[i * p + j] * f64::from(row[j])).sum();
                assert!((product - pca.eigenvalues[k] * f64::from(row[i])).abs() < 1e-6);
            }
            for (l, other) in pca.basis.chunks_exact(p).enumerate() {
                let dot: f64 = row.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                assert!((dot - f64::from(u8::from(k == l))).abs() < 1e-5);
            }
            let largest = row.iter().fold(0f32, |best, v| if v.abs() > best.abs() { *v } else { best });
            assert!(largest > 0.0);
        }
        // s is the root mean square of the kept coefficients of the sample.
        let mut squares = 0.0;
        for row in &rows {
            for v in pca.basis.chunks_exact(p).take(rank) {
                squares += (0..p).map(|i| f64::from(v[i]) * (row[i] - mean[i])).sum::<f64>().powi(2);
            }
        }
        let direct = (squares / (samples * rank) as f64).sqrt();
        assert!((f64::from(pca.scale) / direct - 1.0).abs() < 1e-5);
        assert!(pca.explained(p) > 0.999_999 && pca.explained(rank) < 1.0);
    }

    #[test]
    fn constant_pictures_are_refused() {
        let grid = PatchGrid::new(8, 4, 1).unwrap();
        let picture = vec![9u8; 64];
        assert!(fit(grid, 4, 3, |_| &picture, 100, 1).is_err());
        assert!(fit(grid, 4, 0, |_| &picture, 100, 1).is_err());
    }
}
