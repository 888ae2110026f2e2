//! The training network itself as a session: the encoder half in Burn, unfolded, fed with the picture's projection on the K kept
//! PCA directions, as training fed it. Whatever is exported must agree with this.

use super::{Session, check_pixels, check_sizes};
use crate::eval::pooling::{self, pool};
use crate::eval::standardise::Standardiser;
use crate::model::net::{Frame, Net};
use crate::model::pca::PatchPca;
use crate::model::{ModelSpec, Weights};
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::patch::{PatchGrid, pixel_value};
use ldae_shared::spec::{EncoderSpec, Pooling};

/// The network on one device at one time step.
pub struct Network<'a> {
    spec: EncoderSpec,
    net: Net,
    t: u32,
    grid: PatchGrid,
    pca: PatchPca,
    device: Device,
    standardiser: &'a Standardiser,
}

impl<'a> Network<'a> {
    /// The encoder half of `weights` at time step `t` on the named device (`cpu`, `cuda`, `cuda:i`), pooled by `pooling`.
    ///
    /// # Errors
    /// The device is not there, or the token grid has no such pooling.
    pub fn new(
        weights: &Weights,
        t: u16,
        pooling: Pooling,
        standardiser: &'a Standardiser,
        device: &str,
    ) -> Result<Self> {
        weights.check_exportable()?;
        let weights = &*weights.at(t);
        let device = crate::train::device::choose(device)?;
        let spec = EncoderSpec { pooling, ..weights.spec().encoder };
        let grid = PatchGrid::of(&spec).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
        pooling::check(pooling, grid.side())?;
        let parameters: Vec<Vec<f32>> = weights.parameters().map(|p| p.values.clone()).collect();
        let model = ModelSpec { encoder: spec, ..*weights.spec() };
        let net = Frame::new(model, &device).build(&crate::train::checkpoint::to_device(&parameters, &device));
        Ok(Network { spec, net, t: t.into(), grid, pca: weights.pca(), device, standardiser })
    }

    /// Embeds several pictures in one pass; rows of E components, one after the other.
    ///
    /// # Errors
    /// A picture of another size, or the device failed.
    pub fn embed_batch(&self, pictures: &[&[u8]]) -> Result<Vec<f32>> {
        let s = &self.spec;
        let (n, p, w) = (s.tokens() as usize, s.patch_values() as usize, usize::from(s.width));
        let mut patches = Vec::with_capacity(pictures.len() * n * p);
        for picture in pictures {
            check_pixels(picture.len(), s.pixels() as usize)?;
            self.project(picture, &mut patches);
        }
        let patches = Tensor::<3>::from_data(TensorData::new(patches, [pictures.len(), n, p]), &self.device);
        let condition = self.net.condition(Net::time_table(&vec![self.t; pictures.len()], &self.device), None);
        let tokens = self.net.encode(patches, &condition).into_data();
        let tokens =
            tokens.try_to_vec::<f32>().map_err(|e| Error::new(format!("cannot read the network's output: {e:?}")))?;
        let e = s.embedding() as usize;
        let mut out = vec![0.0; pictures.len() * e];
        for (tokens, row) in tokens.chunks_exact(n * w).zip(out.chunks_exact_mut(e)) {
            pool(tokens, self.grid.side(), s.pooling, row);
            self.standardiser.apply_to(row);
        }
        Ok(out)
    }

    /// Appends the patches of the picture's projection, mean + V_Kᵀ V_K (x − mean), [N, P]; in f64, so that what is compared is
    /// the network and not the rounding of its input.
    fn project(&self, picture: &[u8], patches: &mut Vec<f32>) {
        let p = self.spec.patch_values() as usize;
        let kept = &self.pca.basis[..usize::from(self.spec.rank) * p];
        let mut bytes = vec![0u8; p];
        for token in 0..self.grid.tokens() {
            self.grid.copy_patch(picture, token, &mut bytes);
            let centred: Vec<f64> =
                bytes.iter().zip(&self.pca.mean).map(|(b, m)| f64::from(pixel_value(*b)) - f64::from(*m)).collect();
            let mut projected: Vec<f64> = self.pca.mean.iter().map(|&m| f64::from(m)).collect();
            for row in kept.chunks_exact(p) {
                let z: f64 = row.iter().zip(&centred).map(|(v, x)| f64::from(*v) * x).sum();
                projected.iter_mut().zip(row).for_each(|(x, v)| *x += z * f64::from(*v));
            }
            patches.extend(projected.into_iter().map(|x| x as f32));
        }
    }
}

impl Session for Network<'_> {
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<()> {
        check_sizes(pixels, out, (self.spec.pixels() as usize, self.spec.embedding() as usize))?;
        out.copy_from_slice(&self.embed_batch(&[pixels])?);
        Ok(())
    }
}
