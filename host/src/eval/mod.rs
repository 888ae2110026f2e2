//! How good embeddings are: k-NN and linear probe of a run or an exported encoder, beside the baselines.
//!
//! ```text
//! Subject (run or .ldae) -> Embedders (trained, untrained, PCA latents, pixels) -> Features [n, E]
//!     -> standardise with train statistics -> k-NN, linear probe -> rows of one table -> RUN/eval/NAME.json
//! ```
//!
//! [`comparison::compare`] is the whole of it; the protocols stand in [`knn`], [`probe`], [`few_label`] and [`retrieval`], next to
//! the code; [`curve`] scores the trained encoder at other time steps and inner layers.
//! [`quality`] compares integer with float embeddings for the exporter. Results do not depend on the number of threads:
//! every sum is over fixed parts in a fixed order.

mod activation;
pub mod agreement;
pub mod artifact;
pub mod baselines;
pub mod comparison;
pub mod curve;
pub mod embedder;
pub mod evaluation;
pub mod features;
pub mod few_label;
pub mod fine_tune;
pub mod frechet;
pub mod input_noise;
pub mod knn;
mod linear;
pub mod margin;
pub mod pooling;
pub mod probe;
pub mod quality;
pub mod retrieval;
pub mod run_encoder;
pub mod standardise;
pub mod subject;
#[cfg(test)]
mod testing;
mod text;

pub use features::Features;

use crate::{Error, Result};

/// One label per row, or an error that says which are missing.
fn check_labels(features: &Features, labels: &[u16]) -> Result<()> {
    if features.rows() == labels.len() {
        return Ok(());
    }
    Err(Error::new(format!("{} labels for {} pictures", labels.len(), features.rows()))
        .hint("k-NN and probe need a label for every picture: name the folders by class, or use a labelled data set"))
}

fn different_dims(train: usize, test: usize) -> Error {
    Error::new(format!("training features have {train} components, held-out features {test}"))
        .hint("embed both splits with the same encoder and pooling")
}
