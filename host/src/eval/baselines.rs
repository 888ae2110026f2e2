//! What a trained score must be compared with (METHOD.md section 4): raw pixels and PCA latents. The untrained encoder
//! is an ordinary encoder with initial weights (`super::run_encoder`).

use super::embedder::{Embedder, Vector};
use super::pooling::pool;
use crate::Result;
use crate::model::pca::PatchPca;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ldae_shared::patch::{PatchGrid, pixel_value};
use ldae_shared::spec::Pooling;

/// The pixels themselves: side·side·C values in [-1, 1], nothing pooled.
pub struct RawPixels {
    /// Side of the pictures.
    pub side: usize,
    /// 1 or 3.
    pub channels: usize,
}

impl Embedder for RawPixels {
    fn name(&self) -> String {
        "raw pixels".into()
    }

    fn takes(&self) -> (usize, usize) {
        (self.side, self.channels)
    }

    fn vectors(&self) -> Vec<Vector> {
        vec![Vector { pooling: None, dim: self.side * self.side * self.channels }]
    }

    fn embed(&self, picture: &[u8], out: &mut [&mut [f32]]) -> Result<()> {
        out[0].iter_mut().zip(picture).for_each(|(v, &byte)| *v = pixel_value(byte));
        Ok(())
    }
}

/// The K latents of each patch, z = V_K (x - mean) / s, without any network: all of them in a row (N·K), and pooled
/// over tokens like the encoder's.
pub struct PcaLatents {
    grid: PatchGrid,
    side: usize,
    channels: usize,
    rank: usize,
    /// V_K / s, [K, P].
    projection: Vec<f32>,
    /// -V_K·mean / s, [K].
    offset: Vec<f32>,
    poolings: Vec<Pooling>,
}

impl PcaLatents {
    /// Latents of rank `rank` of pictures cut by `grid`.
    ///
    /// # Panics
    /// When the PCA belongs to another grid.
    pub fn new(
        grid: PatchGrid,
        side: usize,
        channels: usize,
        pca: &PatchPca,
        rank: usize,
        poolings: &[Pooling],
    ) -> Self {
        let p = grid.patch_values();
        assert!(pca.mean.len() == p && pca.basis.len() >= rank * p, "a PCA of another patch size");
        let projection: Vec<f32> = pca.basis[..rank * p].iter().map(|v| v / pca.scale).collect();
        let offset = projection
            .chunks_exact(p)
            .map(|row| -row.iter().zip(&pca.mean).map(|(v, m)| f64::from(*v) * f64::from(*m)).sum::<f64>() as f32)
            .collect();
        PcaLatents { grid, side, channels, rank, projection, offset, poolings: poolings.to_vec() }
    }
}

impl Embedder for PcaLatents {
    fn name(&self) -> String {
        format!("PCA-{} latents", self.rank)
    }

    fn takes(&self) -> (usize, usize) {
        (self.side, self.channels)
    }

    fn vectors(&self) -> Vec<Vector> {
        let flat = Vector { pooling: None, dim: self.grid.tokens() * self.rank };
        let pooled = self.poolings.iter().map(|&p| Vector { pooling: Some(p), dim: p.factor() as usize * self.rank });
        std::iter::once(flat).chain(pooled).collect()
    }

    fn embed(&self, picture: &[u8], out: &mut [&mut [f32]]) -> Result<()> {
        let (n, p, k) = (self.grid.tokens(), self.grid.patch_values(), self.rank);
        let pixels: Vec<f32> = picture.iter().map(|&byte| pixel_value(byte)).collect();
        let mut patches = vec![0.0; n * p];
        self.grid.patchify(&pixels, &mut patches);
        let (flat, pooled) = out.split_at_mut(1);
        let latents = &mut *flat[0];
        latents.chunks_exact_mut(k).for_each(|z| z.copy_from_slice(&self.offset));
        // [N, P] x [P, K] -> [N, K]
        matmul(
            MatMut::from_row_major_slice_mut(latents, n, k),
            Accum::Add,
            MatRef::from_row_major_slice(&patches, n, p),
            MatRef::from_row_major_slice(&self.projection, k, p).transpose(),
            1.0,
            Par::Seq,
        );
        for (pooling, out) in self.poolings.iter().zip(pooled) {
            pool(latents, self.grid.side(), *pooling, out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Output;
    use crate::data::Split;
    use crate::eval::embedder::embed;
    use crate::eval::{Features, pooling};

    fn pictures() -> Split {
        let bytes: Vec<u8> = (0..5 * 8 * 8 * 3).map(|i| ((i * i * 31 + i * 7) % 251) as u8).collect();
        Split::from_memory(bytes, 8, 3, None)
    }

    fn pca() -> PatchPca {
        let s = pictures();
        let grid = PatchGrid::new(8, 4, 3).unwrap();
        crate::model::pca::fit(grid, 6, s.len(), |i| s.image(i), 200, 1).unwrap()
    }

    #[test]
    fn pixels_are_scaled_to_one() {
        let f = embed(&RawPixels { side: 8, channels: 3 }, &pictures(), "pixels", &Output::new(true)).unwrap();
        assert_eq!((f.len(), f[0].rows(), f[0].dim()), (1, 5, 192));
        assert_eq!(f[0].row(0)[0], -1.0);
        assert_eq!(f[0].row(4)[3], (f32::from(pictures().image(4)[3]) - 127.5) / 127.5);
    }

    #[test]
    fn latents_are_the_shared_projection_and_pooling() {
        let (pictures, pca) = (pictures(), pca());
        let grid = PatchGrid::new(8, 4, 3).unwrap();
        let latents = PcaLatents::new(grid, 8, 3, &pca, 6, &pooling::ALL);
        let f = embed(&latents, &pictures, "latents", &Output::new(true)).unwrap();
        assert_eq!(f.iter().map(Features::dim).collect::<Vec<_>>(), [24, 6, 12, 24]);
        for i in 0..pictures.len() {
            let pixels: Vec<f32> = pictures.image(i).iter().map(|&b| pixel_value(b)).collect();
            let (mut patch, mut z) = ([0.0; 48], [0.0; 6]);
            for token in 0..4 {
                grid.copy_patch(&pixels, token, &mut patch);
                pca.view().project(&patch, &mut z);
                for (a, b) in f[0].row(i)[token * 6..].iter().zip(&z) {
                    assert!((a - b).abs() < 1e-4, "{a} {b}");
                }
            }
            // Each token of a 2x2 grid is its own quarter.
            assert_eq!(f[3].row(i), f[0].row(i));
        }
    }

    #[test]
    fn refuses_pictures_of_another_shape() {
        let error = embed(&RawPixels { side: 16, channels: 1 }, &pictures(), "pixels", &Output::new(true)).unwrap_err();
        assert!(error.to_string().contains("takes 16x16 pictures with 1 channels, these are 8x8 with 3"));
    }
}
