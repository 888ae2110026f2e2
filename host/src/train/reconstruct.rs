//! What the network sees and what it answers at chosen noise levels, as pictures for the report.

use super::batch::patches;
use super::checkpoint::{Checkpoint, Which, to_device};
use super::objective::{Objective, Sample};
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::PatchGrid;

/// One picture at one noise level, u8 HWC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconstruction {
    /// Time step.
    pub t: u32,
    /// x_t: the picture with latent noise, as the network sees it.
    pub noisy: Vec<u8>,
    /// The network's clean picture.
    pub predicted: Vec<u8>,
}

/// Noisy input and prediction of each picture (u8 HWC of the model's side and channels) at each time step, by the
/// averaged weights. The noise of picture i is the training noise `Stream(seed, Latent, u32::MAX, i)`, the same at every
/// level. Runs on the CPU; the result is the same every time. Outer order: pictures; inner: time steps. Nothing for a run whose
/// recipe does not denoise.
///
/// # Errors
/// A picture has another size than the model takes.
pub fn reconstruct(checkpoint: &Checkpoint, pictures: &[&[u8]], times: &[u32]) -> Result<Vec<Vec<Reconstruction>>> {
    let spec = checkpoint.spec();
    let grid =
        PatchGrid::of(&spec.encoder).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
    if let Some(picture) = pictures.iter().find(|p| p.len() != grid.pixels()) {
        return Err(Error::new(format!("a picture has {} values, the model takes {}", picture.len(), grid.pixels()))
            .hint("load the pictures with the run's own settings"));
    }
    let (device, rank) = (Device::flex(), usize::from(spec.encoder.rank));
    let objective = Objective::of(checkpoint, &device)?;
    let net = objective.frame().build(&to_device(&checkpoint.parameters(Which::Average), &device));
    let Some(denoising) = objective.denoising() else { return Ok(Vec::new()) };
    let n = grid.tokens();
    let mut all = Vec::with_capacity(pictures.len());
    for (i, picture) in pictures.iter().enumerate() {
        let mut eps = vec![0f32; n * rank];
        Stream::new(checkpoint.header.seed, Purpose::Latent, u32::MAX, i as u32).fill_gaussian(&mut eps);
        let b = times.len();
        let noise = Tensor::from_data(TensorData::new(eps.repeat(b), [b, n, rank]), &device);
        let sample = Sample::plain(patches(grid, &vec![*picture; b], &device), noise, times.to_vec());
        let (noisy, predicted) = denoising.reconstruct(&net, &sample);
        let (noisy, predicted) = (to_pictures(grid, noisy)?, to_pictures(grid, predicted)?);
        all.push(
            times
                .iter()
                .zip(noisy.into_iter().zip(predicted))
                .map(|(&t, (noisy, predicted))| Reconstruction { t, noisy, predicted })
                .collect(),
        );
    }
    Ok(all)
}

/// [B, N, P] network values → B pictures, rounded and clamped to u8.
pub(crate) fn to_pictures(grid: PatchGrid, patches: Tensor<3>) -> Result<Vec<Vec<u8>>> {
    let values = patches
        .into_data()
        .try_to_vec::<f32>()
        .map_err(|e| Error::new(format!("cannot read the prediction: {e:?}")))?;
    let picture = |patches: &[f32]| {
        let mut pixels = vec![0f32; grid.pixels()];
        grid.unpatchify(patches, &mut pixels);
        pixels.into_iter().map(|x| (x * 127.5 + 127.5).round().clamp(0.0, 255.0) as u8).collect()
    };
    Ok(values.chunks_exact(grid.pixels()).map(picture).collect())
}
