//! Weights as plain named f32 arrays: what checkpoints hold, what evaluation and export read.

use super::ModelSpec;
use super::layout::layout;
use super::pca::PatchPca;
use crate::recipe::Schedule;
use crate::tokenizer::ConvTokenizer;
use crate::{Error, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

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
#[derive(Clone, Debug)]
pub struct Weights {
    spec: ModelSpec,
    tensors: Vec<NamedTensor>,
    index: BTreeMap<String, usize>,
    schedule: Schedule,
    /// What makes the latents that the embedding reads, if it is not the PCA.
    tokenizer: Option<Arc<ConvTokenizer>>,
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
        Ok(Weights { spec, tensors, index, schedule: Schedule::SigmaLinear, tokenizer: None })
    }

    /// The same weights, trained with another schedule than the l-DAE's.
    #[must_use]
    pub fn with_schedule(self, schedule: Schedule) -> Self {
        Weights { schedule, ..self }
    }

    /// The same weights behind a convolutional tokenizer.
    #[must_use]
    pub fn with_tokenizer(self, tokenizer: ConvTokenizer) -> Self {
        Weights { tokenizer: Some(Arc::new(tokenizer)), ..self }
    }

    /// The same weights behind the tokenizer, and with the schedule, of others.
    #[must_use]
    pub fn with_front_of(self, others: &Weights) -> Self {
        Weights { tokenizer: others.tokenizer.clone(), schedule: others.schedule, ..self }
    }

    /// The convolutional tokenizer in front of the encoder, if there is one.
    pub fn tokenizer(&self) -> Option<&Arc<ConvTokenizer>> {
        self.tokenizer.as_ref()
    }

    /// Refuses an encoder that boards and other runtimes cannot have.
    ///
    /// # Errors
    /// There is a convolutional tokenizer in front of it.
    pub fn check_exportable(&self) -> Result<()> {
        match self.tokenizer {
            None => Ok(()),
            Some(_) => Err(Error::new("the tokenizer of this run is convolutional, and exported encoders read patches")
                .hint("evaluate it with `ldae eval`, or train a recipe with a tokenizer per patch, such as tok-patch-pca or l-dae")),
        }
    }

    /// Noise levels of the training.
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// The weights with which pictures are embedded at time step t: where training scaled the clean part of its input by
    /// gamma_t, an embedding of mean + gamma_t·(x − mean); else these.
    pub fn at(&self, t: u16) -> Cow<'_, Weights> {
        let gamma = self.schedule.gamma(t.into());
        if gamma == 1.0 {
            return Cow::Borrowed(self);
        }
        let mut scaled = self.clone();
        let patches = self.tokenizer.is_none();
        let mean = scaled.get("pca.mean").map(|t| t.values.clone()).unwrap_or_default();
        let weight = scaled.get("encoder.embed.weight").map(|t| t.values.clone()).unwrap_or_default();
        if let Some(bias) = scaled.values_mut("encoder.embed.bias").filter(|_| patches) {
            let w = bias.len();
            for (c, bias) in bias.iter_mut().enumerate() {
                let offset: f64 =
                    mean.iter().enumerate().map(|(j, m)| f64::from(*m) * f64::from(weight[j * w + c])).sum();
                *bias += ((1.0 - gamma) * offset) as f32;
            }
        }
        if let Some(weight) = scaled.values_mut("encoder.embed.weight") {
            weight.iter_mut().for_each(|v| *v = (f64::from(*v) * gamma) as f32);
        }
        Cow::Owned(scaled)
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
