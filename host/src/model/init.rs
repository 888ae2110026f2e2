//! Initial weights, drawn from Philox so that they depend on the seed and the tensor alone.
//!
//! Linear layers are Xavier-uniform, biases zero; modulation and final layer are zero (adaLN-Zero, METHOD.md section 1).

use super::layout::{Group, layout};
use super::pca::PatchPca;
use super::{ModelSpec, Weights};
use crate::Result;
use ldae_shared::noise::{Purpose, Stream};

/// Initial parameters in layout order. Tensor `i` draws from `Stream(seed, Init, 0, i)`.
pub fn init_parameters(spec: &ModelSpec, seed: u64) -> Vec<Vec<f32>> {
    layout(spec)
        .iter()
        .enumerate()
        .map(|(i, parameter)| match parameter.group {
            Group::Weight | Group::Head => xavier(&parameter.shape, Stream::new(seed, Purpose::Init, 0, i as u32)),
            Group::ZeroWeight | Group::Bias => vec![0.0; parameter.len()],
        })
        .collect()
}

/// Uniform on ±sqrt(6 / (in + out)) (Glorot, Bengio, 2010).
fn xavier(shape: &[usize], mut stream: Stream) -> Vec<f32> {
    let bound = (6.0 / shape.iter().sum::<usize>() as f32).sqrt();
    (0..shape.iter().product()).map(|_| (2.0 * stream.uniform() - 1.0) * bound).collect()
}

/// The untrained model as named arrays: gates are zero, so every block is the identity.
///
/// # Errors
/// The PCA belongs to another patch shape.
pub fn init_weights(spec: &ModelSpec, seed: u64, pca: &PatchPca) -> Result<Weights> {
    Weights::new(*spec, init_parameters(spec, seed), pca)
}

/// Gives every block of `weights` random gates, N(0, 1) in the biases of its modulation: zero gates make an untrained
/// encoder a bare patch embedding, so the fair untrained baseline has both (METHOD.md section 4).
pub fn randomise_gates(weights: &mut Weights, seed: u64) {
    let (width, depth) = (usize::from(weights.spec().encoder.width), weights.spec().encoder.depth);
    for block in 0..u32::from(depth) {
        if let Some(bias) = weights.values_mut(&format!("encoder.blocks.{block}.modulation.bias")) {
            let mut stream = Stream::new(seed, Purpose::Init, 1, block);
            for gate in [2, 5] {
                stream.fill_gaussian(&mut bias[gate * width..(gate + 1) * width]);
            }
        }
    }
}

/// Initial parameters with noise on every value, zeros too, so that no path through the network is dead: what tests compare.
pub fn busy_parameters(spec: &ModelSpec, seed: u64) -> Vec<Vec<f32>> {
    let mut parameters = init_parameters(spec, seed);
    for (i, (values, parameter)) in parameters.iter_mut().zip(layout(spec)).enumerate() {
        let mut stream = Stream::new(seed, Purpose::Init, 9, i as u32);
        let spread = if parameter.shape.len() == 1 { 0.3 } else { 0.1 };
        values.iter_mut().for_each(|v| *v += spread * stream.gaussian());
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reference::tiny_spec;

    #[test]
    fn weights_are_bounded_and_zeros_are_zero() {
        let spec = tiny_spec();
        for (parameter, values) in layout(&spec).iter().zip(init_parameters(&spec, 1)) {
            let bound = (6.0 / parameter.shape.iter().sum::<usize>() as f32).sqrt();
            match parameter.group {
                Group::Weight | Group::Head => {
                    assert!(values.iter().all(|v| v.abs() <= bound), "{}", parameter.name);
                    let mean_square = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
                    assert!((mean_square / (bound * bound / 3.0) - 1.0).abs() < 0.3, "{}", parameter.name);
                }
                Group::ZeroWeight | Group::Bias => assert!(values.iter().all(|&v| v == 0.0), "{}", parameter.name),
            }
        }
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(init_parameters(&tiny_spec(), 1)[0], init_parameters(&tiny_spec(), 2)[0]);
        assert_eq!(init_parameters(&tiny_spec(), 1), init_parameters(&tiny_spec(), 1));
    }
}
