//! Patch PCA (paper A; METHOD.md section 1): streaming covariance, projection, reconstruction, residual split.
//!
//! V is the P×P orthonormal basis, rows by falling eigenvalue; V_K its first K rows. Latents are
//! z = V_K (x - mean) / s with one scalar s, the root mean square of the kept coefficients. The eigenvalue problem itself
//! is the host's (a linear-algebra library): a device only projects. Nothing allocates; callers bring the memory.

/// Sums of patches and of their products, added one patch at a time; f64 throughout. Sums of values in [-1, 1] keep 12
/// digits over 10^4 patches as over 10^8, so no running mean is needed.
#[derive(Debug)]
pub struct Covariance<'a> {
    count: u64,
    sum: &'a mut [f64],
    /// Upper triangle of the P×P sum of products (row ≤ column); the rest is filled by [`Covariance::finish`].
    products: &'a mut [f64],
}

impl<'a> Covariance<'a> {
    /// Starts from nothing: `sum` has P, `products` P·P values, both are cleared. `None` when the lengths disagree.
    pub fn new(sum: &'a mut [f64], products: &'a mut [f64]) -> Option<Self> {
        if sum.is_empty() || products.len() != sum.len() * sum.len() {
            return None;
        }
        sum.fill(0.0);
        products.fill(0.0);
        Some(Covariance { count: 0, sum, products })
    }

    /// Adds one patch of P values.
    ///
    /// # Panics
    /// When the patch has another length.
    pub fn add(&mut self, patch: &[f32]) {
        let p = self.sum.len();
        assert_eq!(patch.len(), p);
        for (sum, &value) in self.sum.iter_mut().zip(patch) {
            *sum += f64::from(value);
        }
        for (row, products) in self.products.chunks_exact_mut(p).enumerate() {
            let left = f64::from(patch[row]);
            for (product, &value) in products[row..].iter_mut().zip(&patch[row..]) {
                *product += left * f64::from(value);
            }
        }
        self.count += 1;
    }

    /// Adds the sums of another accumulator over the same patch shape (parts summed in a fixed order give the same bits
    /// whatever thread worked on them).
    ///
    /// # Panics
    /// When the patch shapes differ.
    pub fn merge(&mut self, other: &Covariance) {
        assert_eq!(self.sum.len(), other.sum.len());
        for (sum, value) in self.sum.iter_mut().zip(other.sum.iter()) {
            *sum += value;
        }
        for (product, value) in self.products.iter_mut().zip(other.products.iter()) {
            *product += value;
        }
        self.count += other.count;
    }

    /// Patches added so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Turns the sums into the mean (in `sum`) and the full symmetric covariance (in `products`), divided by the count.
    /// False, with the memory cleared, when no patch was added.
    pub fn finish(self) -> bool {
        let p = self.sum.len();
        let scale = if self.count == 0 { 0.0 } else { 1.0 / self.count as f64 };
        for sum in self.sum.iter_mut() {
            *sum *= scale;
        }
        for row in 0..p {
            for column in row..p {
                let value = self.products[row * p + column] * scale - self.sum[row] * self.sum[column];
                self.products[row * p + column] = value;
                self.products[column * p + row] = value;
            }
        }
        self.count > 0
    }
}

/// A fitted PCA, borrowed. `mean` has P values, `basis` at least K rows of P values, `scale` is s > 0.
#[derive(Clone, Copy, Debug)]
pub struct Pca<'a> {
    /// Mean patch.
    pub mean: &'a [f32],
    /// Rows of V by falling eigenvalue.
    pub basis: &'a [f32],
    /// Root mean square s of the kept coefficients.
    pub scale: f32,
}

impl Pca<'_> {
    /// z = V_K (x - mean) / s; K is the length of `latents`.
    ///
    /// # Panics
    /// When `patch` has not P values or the basis fewer than K rows.
    pub fn project(&self, patch: &[f32], latents: &mut [f32]) {
        let p = self.mean.len();
        assert!(patch.len() == p && self.basis.len() >= latents.len() * p);
        for (latent, row) in latents.iter_mut().zip(self.basis.chunks_exact(p)) {
            let dot: f32 = row.iter().zip(patch.iter().zip(self.mean)).map(|(v, (x, mean))| v * (x - mean)).sum();
            *latent = dot / self.scale;
        }
    }

    /// x = mean + s·V_Kᵀ z; K is the length of `latents`.
    ///
    /// # Panics
    /// When `patch` has not P values or the basis fewer than K rows.
    pub fn reconstruct(&self, latents: &[f32], patch: &mut [f32]) {
        let p = self.mean.len();
        assert!(patch.len() == p && self.basis.len() >= latents.len() * p);
        patch.copy_from_slice(self.mean);
        for (latent, row) in latents.iter().zip(self.basis.chunks_exact(p)) {
            let factor = latent * self.scale;
            for (value, v) in patch.iter_mut().zip(row) {
                *value += factor * v;
            }
        }
    }

    /// Squared length of `residual` (P values) inside the span of the first `rank` rows and outside it:
    /// (sum of r_i² for i ≤ K, sum for i > K) with r = V·residual. The second is taken from the total length, which the
    /// orthonormal basis keeps.
    ///
    /// # Panics
    /// When `residual` has not P values or the basis fewer than `rank` rows.
    pub fn residual_split(&self, residual: &[f32], rank: usize) -> (f32, f32) {
        let p = self.mean.len();
        assert!(residual.len() == p && self.basis.len() >= rank * p);
        let total: f32 = residual.iter().map(|r| r * r).sum();
        let mut kept = 0.0;
        for row in self.basis.chunks_exact(p).take(rank) {
            let dot: f32 = row.iter().zip(residual).map(|(v, r)| v * r).sum();
            kept += dot * dot;
        }
        (kept, (total - kept).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Purpose, Stream};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// Patches with strong correlation and an offset.
    fn patches(p: usize, count: usize, seed: u64) -> Vec<Vec<f32>> {
        (0..count)
            .map(|i| {
                let mut stream = Stream::new(seed, Purpose::Patches, 0, i as u32);
                let common = stream.gaussian();
                (0..p).map(|k| 0.3 * common * (k + 1) as f32 / p as f32 + 0.1 * stream.gaussian() + 0.5).collect()
            })
            .collect()
    }

    /// Cyclic Jacobi rotations: the small reference solver. Returns eigenvalues and eigenvectors (rows), falling.
    fn jacobi(matrix: &[f64], p: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut a = matrix.to_vec();
        let mut v: Vec<f64> = (0..p * p).map(|i| f64::from(u8::from(i / p == i % p))).collect();
        for _ in 0..50 {
            for i in 0..p {
                for j in i + 1..p {
                    if a[i * p + j].abs() < 1e-300 {
                        continue;
                    }
                    let theta = (a[j * p + j] - a[i * p + i]) / (2.0 * a[i * p + j]);
                    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                    let c = 1.0 / (t * t + 1.0).sqrt();
                    let s = t * c;
                    let rotate = |m: &mut [f64], x: usize, y: usize| {
                        let (mx, my) = (m[x], m[y]);
                        (m[x], m[y]) = (c * mx - s * my, s * mx + c * my);
                    };
                    for k in 0..p {
                        rotate(&mut a, k * p + i, k * p + j);
                    }
                    for k in 0..p {
                        rotate(&mut a, i * p + k, j * p + k);
                        rotate(&mut v, i * p + k, j * p + k);
                    }
                }
            }
        }
        let mut order: Vec<usize> = (0..p).collect();
        order.sort_by(|&x, &y| a[y * p + y].total_cmp(&a[x * p + x]));
        (order.iter().map(|&i| a[i * p + i]).collect(), order.iter().map(|&i| v[i * p..(i + 1) * p].to_vec()).collect())
    }

    fn covariance(sample: &[Vec<f32>]) -> (Vec<f64>, Vec<f64>) {
        let p = sample[0].len();
        let (mut mean, mut cov) = (vec![1.0; p], vec![1.0; p * p]);
        let mut stream = Covariance::new(&mut mean, &mut cov).unwrap();
        sample.iter().for_each(|patch| stream.add(patch));
        assert_eq!(stream.count(), sample.len() as u64);
        assert!(stream.finish());
        (mean, cov)
    }

    #[test]
    fn streaming_equals_direct() {
        let (p, n) = (7, 500);
        let sample = patches(p, n, 1);
        let (mean, cov) = covariance(&sample);
        for i in 0..p {
            let direct = sample.iter().map(|x| f64::from(x[i])).sum::<f64>() / n as f64;
            assert!((mean[i] - direct).abs() < 1e-12);
            for j in 0..p {
                let direct =
                    sample.iter().map(|x| (f64::from(x[i]) - mean[i]) * (f64::from(x[j]) - mean[j])).sum::<f64>();
                assert!((cov[i * p + j] - direct / n as f64).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let (p, sample) = (5, patches(5, 100, 3));
        let (mean, cov) = covariance(&sample);
        let (mut sums, mut products) = (vec![0.0; 2 * p], vec![0.0; 2 * p * p]);
        let ((s0, s1), (p0, p1)) = (sums.split_at_mut(p), products.split_at_mut(p * p));
        let (mut a, mut b) = (Covariance::new(s0, p0).unwrap(), Covariance::new(s1, p1).unwrap());
        sample[..30].iter().for_each(|x| a.add(x));
        sample[30..].iter().for_each(|x| b.add(x));
        a.merge(&b);
        assert!(a.count() == 100 && a.finish());
        assert!(mean.iter().zip(&sums).all(|(x, y)| (x - y).abs() < 1e-12));
        assert!(cov.iter().zip(&products).all(|(x, y)| (x - y).abs() < 1e-12));
    }

    #[test]
    fn nothing_added_is_no_covariance() {
        let (mut mean, mut cov) = ([1.0; 2], [1.0; 4]);
        assert!(!Covariance::new(&mut mean, &mut cov).unwrap().finish());
        assert!(Covariance::new(&mut mean, &mut [0.0; 3]).is_none());
    }

    #[test]
    fn jacobi_diagonalises() {
        let (p, sample) = (9, patches(9, 300, 2));
        let (_, cov) = covariance(&sample);
        let (values, rows) = jacobi(&cov, p);
        for (value, row) in values.iter().zip(&rows) {
            for i in 0..p {
                let product: f64 = (0..p).map(|j| cov[i * p + j] * row[j]).sum();
                assert!((product - value * row[i]).abs() < 1e-12);
            }
        }
        assert!(values.windows(2).all(|w| w[0] >= w[1]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn projection_reconstruction_and_split(seed in 0u64..1000, p in 2usize..12, rank in 1usize..12) {
            let rank = rank.min(p);
            let sample = patches(p, 200, seed);
            let (mean, cov) = covariance(&sample);
            let (_, rows) = jacobi(&cov, p);
            let mean: Vec<f32> = mean.iter().map(|&m| m as f32).collect();
            let basis: Vec<f32> = rows.iter().flatten().map(|&v| v as f32).collect();
            let pca = Pca { mean: &mean, basis: &basis, scale: 0.7 };
            let (x, mut back) = (&sample[0], vec![0.0; p]);
            // Full rank reconstructs.
            let mut all = vec![0.0; p];
            pca.project(x, &mut all);
            pca.reconstruct(&all, &mut back);
            prop_assert!(x.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5));
            // Rank K: projecting the reconstruction changes nothing, and the lost part lies outside the span.
            let (mut z, mut again) = (vec![0.0; rank], vec![0.0; rank]);
            pca.project(x, &mut z);
            prop_assert_eq!(&z[..], &all[..rank]);
            pca.reconstruct(&z, &mut back);
            pca.project(&back, &mut again);
            prop_assert!(z.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-4));
            let lost: Vec<f32> = x.iter().zip(&back).map(|(a, b)| a - b).collect();
            let (kept, rest) = pca.residual_split(&lost, rank);
            prop_assert!(kept < 1e-9);
            // Both parts of any residual add up to its length; the full basis leaves nothing outside.
            let length: f32 = x.iter().map(|v| v * v).sum();
            let (kept, outside) = pca.residual_split(x, rank);
            prop_assert!((kept + outside - length).abs() <= 1e-5 * length);
            prop_assert!(pca.residual_split(x, p).1 <= 1e-5 * length);
            // Direct: the coefficients beyond K, one by one.
            let direct: f32 = all[rank..].iter().map(|c| (c * pca.scale) * (c * pca.scale)).sum();
            prop_assert!((direct - rest).abs() < 1e-5);
        }
    }
}
