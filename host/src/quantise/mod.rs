//! From trained weights to integers (NUMERICS.md): fold the conditioning away, run the float reference over calibration
//! pictures, choose ranges that minimise the error, quantise, correct biases with the device crate itself.
//!
//! ```text
//! Weights --fold(t)--> FloatEncoder --equalise--> same function --calibrate(pictures)--> Statistics --build--> ArtifactDesc --correct--> artifact
//! ```

mod build;
mod calibrate;
mod correct;
#[cfg(test)]
pub(crate) mod dead_leaves;
mod dense;
mod equalise;
mod factor;
mod float;
mod fold;
mod histograms;
mod layers;
mod range;
#[cfg(test)]
mod tests;
mod weight_only;

pub use calibrate::{MIN_PICTURES, Statistics, calibrate};
pub(crate) use correct::aligned;
pub use correct::{Quantised, quantise};
pub use dense::Dense;
pub use float::{FloatBlock, FloatEncoder};
pub use layers::LayerNoise;
pub use weight_only::{Int8Block, Int8Dense, WeightOnly};
