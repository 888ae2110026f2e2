//! The perceptual distance of two pictures: LPIPS (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual
//! metric", 2018) over the features of [`RotationNet`], all channels weighted equally: nobody's judgements are at hand to fit
//! weights to.
//!
//! ```text
//! d(x, y) = Σ_stages mean_positions ‖f(x)/‖f(x)‖ − f(y)/‖f(y)‖‖²       f: the channels at one position
//! ```

use super::loss::mean_of_each;
use super::rotation::RotationNet;
use burn::tensor::Tensor;

/// Guards the division by the norm of a position's features (LPIPS).
const EPSILON: f64 = 1e-10;

/// A trained feature network.
#[derive(Clone, Debug)]
pub struct Perceptual {
    /// The network.
    pub network: RotationNet,
    /// Its parameters, without autodiff: they do not change.
    pub parameters: Vec<Tensor<1>>,
}

impl Perceptual {
    /// Distance of each picture of `x` to that of `y`, both [B, C, H, W], `[B]`.
    pub fn distance(&self, x: Tensor<4>, y: Tensor<4>) -> Tensor<1> {
        let features = |pictures| self.network.features(&self.parameters, pictures);
        let stages = features(x).into_iter().zip(features(y)).map(|(x, y)| {
            let channels = x.dims()[1] as f64;
            mean_of_each((unit(x) - unit(y)).square()).mul_scalar(channels)
        });
        stages.reduce(|sum, stage| sum + stage).expect("there are stages")
    }
}

/// Unit length over the channels at every position, [B, C, H, W].
fn unit(x: Tensor<4>) -> Tensor<4> {
    let norm = x.clone().square().sum_dim(1).add_scalar(EPSILON).sqrt();
    x / norm
}
