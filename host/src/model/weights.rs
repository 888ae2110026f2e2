//! Weights as plain named f32 arrays: what checkpoints hold, what evaluation and export read.

use super::ModelSpec;
use super::layout::layout;
use super::pca::PatchPca;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// One tensor, row-major f32.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Name as in [`layout`], or `pca.mean`, `pca.basis`, `pca.scale`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Vec<f32>,
}

/// All tensors of a model in layout order, then the PCA.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    spec: ModelSpec,
    tensors: Vec<NamedTensor>,
    index: BTreeMap<String, usize>,
}

impl Weights {
    /// Collects parameter values given in layout order with the PCA of the run.
    ///
    /// # Errors
    /// The number of values of a tensor is not the layout's.
    pub fn new(spec: ModelSpec, parameters: Vec<Vec<f32>>, pca: &PatchPca) -> Result<Self> {
        let layout = layout(&spec);
        if layout.len() != parameters.len() {
            return Err(Error::new(format!("the model has {} tensors, not {}", layout.len(), parameters.len())));
        }
        let mut tensors = Vec::with_capacity(layout.len() + 3);
        for (parameter, values) in layout.into_iter().zip(parameters) {
            if parameter.len() != values.len() {
                return Err(Error::new(format!(
                    "tensor {} has {} values, not {}",
                    parameter.name,
                    values.len(),
                    parameter.len()
                )));
            }
            tensors.push(NamedTensor { name: parameter.name, shape: parameter.shape, values });
        }
        let p = pca.mean.len();
        for (name, shape, values) in [
            ("pca.mean", vec![p], &pca.mean),
            ("pca.basis", vec![p, p], &pca.basis),
            ("pca.scale", vec![1], &vec![pca.scale]),
        ] {
            tensors.push(NamedTensor { name: name.to_owned(), shape, values: values.clone() });
        }
        let index = tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
        Ok(Weights { spec, tensors, index })
    }

    /// Shape of the model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// All tensors: parameters in layout order, then the PCA.
    pub fn tensors(&self) -> &[NamedTensor] {
        &self.tensors
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> Option<&NamedTensor> {
        self.index.get(name).map(|&i| &self.tensors[i])
    }

    /// Trainable parameters only, in layout order.
    pub fn parameters(&self) -> impl Iterator<Item = &NamedTensor> {
        self.tensors[..self.tensors.len() - 3].iter()
    }

    /// Mutable access to the values of a tensor.
    pub(super) fn values_mut(&mut self, name: &str) -> Option<&mut Vec<f32>> {
        self.index.get(name).map(|&i| &mut self.tensors[i].values)
    }

    /// The PCA tensors as a fitted PCA (without eigenvalues, which are not kept with the weights).
    pub fn pca(&self) -> PatchPca {
        let [mean, basis, scale] = &self.tensors[self.tensors.len() - 3..] else { unreachable!("`new` adds three") };
        PatchPca {
            mean: mean.values.clone(),
            basis: basis.values.clone(),
            scale: scale.values[0],
            eigenvalues: Vec::new(),
        }
    }
}
