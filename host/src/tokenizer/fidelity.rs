//! How well a tokenizer gives pictures back: peak signal-to-noise ratio over a split.
//!
//! PSNR = 10·log10(2² / MSE) dB: pixels are in [-1, 1], so their range is 2; MSE over all pixel values of all pictures.

use crate::data::Split;
use crate::train::batch::patches;
use crate::train::workers::Workers;
use burn::tensor::{Device, Tensor};
use ldae_shared::patch::PatchGrid;

/// Pictures of one pass.
const PART: usize = 64;
/// Square of the range of pixel values.
const PEAK_SQUARE: f64 = 4.0;

/// PSNR in dB of `reconstruct`, patches [B, N, P] to patches [B, N, P], over the pictures of `split`.
pub fn psnr(
    split: &Split,
    grid: PatchGrid,
    workers: &Workers,
    device: &Device,
    reconstruct: impl Fn(Tensor<3>) -> Tensor<3> + Sync,
) -> f64 {
    let mut squares = 0f64;
    let part = |i: usize| {
        let pictures: Vec<&[u8]> = (i * PART..split.len().min((i + 1) * PART)).map(|i| split.image(i)).collect();
        let x = patches(grid, &pictures, device);
        let error = (reconstruct(x.clone()) - x).square();
        error.into_data().iter::<f32>().map(f64::from).sum::<f64>()
    };
    workers.for_each_in_order(split.len().div_ceil(PART), part, |_, sum| squares += sum);
    10.0 * (PEAK_SQUARE * (split.len() * grid.pixels()) as f64 / squares).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_error_has_its_psnr() {
        let grid = PatchGrid::new(4, 2, 3).unwrap();
        let split = Split::from_memory((0..200 * 48).map(|i| (i % 251) as u8).collect(), 4, 3, None);
        let workers = Workers::new(2).unwrap();
        let off = psnr(&split, grid, &workers, &Device::flex(), |x| x.add_scalar(0.02));
        assert!((off - 40.0).abs() < 1e-3, "{off}");
    }
}
