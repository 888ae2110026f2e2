//! Checkpoints: one safetensors file with weights, moving average, optimiser state and PCA, all f32.
//!
//! Tensor names are those of [`crate::model::layout`] with the prefix `model.`, `ema.`, `adam.m.` or `adam.v.`, and
//! `pca.mean`, `pca.basis`, `pca.scale` without one, nor have those of a trained tokenizer (`tokenizer.*`). The header's metadata has one entry, `ldae`, a JSON object
//! ([`Header`]) that ends with a sha256 over its own text and all names, shapes and values: a damaged file is refused.
//! Nothing depends on the clock.

use super::config::TrainConfig;
use super::optimiser::State;
use crate::error::{Context, Result};
use crate::model::layout::{Parameter, layout};
use crate::model::pca::PatchPca;
use crate::model::{ModelSpec, NamedTensor, Weights, canonical};
use crate::recipe::Schedule;
use crate::tokenizer::Tokenizer;
use crate::{Error, atomic};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Version of names and header.
pub const CHECKPOINT_FORMAT: u32 = 2;
const METADATA_KEY: &str = "ldae";

/// The best score so far and where it was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// `knn` (higher is better) or `loss` (lower is better).
    pub metric: String,
    /// Its value; f32, so that its JSON reads back as the same number.
    pub value: f32,
    /// Steps taken by then.
    pub step: u64,
}

/// What a checkpoint says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`CHECKPOINT_FORMAT`].
    pub format: u32,
    /// Version of the program.
    pub tool: String,
    /// Steps taken.
    pub step: u64,
    /// Epochs seen, as a number of passes over the training pictures.
    pub epoch: f64,
    /// Seed of the run.
    pub seed: u64,
    /// The run's configuration (`config.toml` holds its exact numbers).
    pub config: TrainConfig,
    /// sha256 of `config.toml`.
    pub config_sha256: String,
    /// Bytes of `metrics.jsonl` that were written before this checkpoint.
    pub metrics_bytes: u64,
    /// Best score so far.
    pub best: Option<Best>,
    /// sha256 of the file's content; the last field, see [`sealed`].
    pub sha256: String,
}

/// Text of a header before its hash: `{...,"sha256":"`.
const SEAL: &str = "\"sha256\":\"";

/// The header as JSON, its last field the hash over the text before it and over `tensors`.
fn sealed(header: &Header, tensors: &Tensors) -> Result<String> {
    let open = Header { sha256: String::new(), ..header.clone() };
    let text = serde_json::to_string(&open).context(|| "cannot write the checkpoint's header")?;
    let body = text.trim_end_matches("\"}");
    Ok(format!("{body}{}\"}}", digest(body, tensors)))
}

/// True when the hash at the end of a header's text is that of the text before it and of `tensors`.
fn seal_holds(text: &str, tensors: &Tensors) -> bool {
    text.rfind(SEAL).is_some_and(|at| {
        let (body, seal) = text.split_at(at + SEAL.len());
        seal.strip_suffix("\"}").is_some_and(|hash| hash == digest(body, tensors))
    })
}

/// Shape and values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A checkpoint in memory.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What it says about itself.
    pub header: Header,
    spec: ModelSpec,
    tensors: Tensors,
}

/// Which weights of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The weights the optimiser works on.
    Current,
    /// Their moving average: what is evaluated and exported.
    Average,
}

impl Which {
    fn prefix(self) -> &'static str {
        match self {
            Which::Current => "model",
            Which::Average => "ema",
        }
    }
}

/// Values of a tensor.
///
/// # Errors
/// The device does not hand them over.
pub fn read_tensor(tensor: &Tensor<1>) -> Result<Vec<f32>> {
    tensor
        .clone()
        .into_data()
        .try_to_vec::<f32>()
        .map_err(|e| Error::new(format!("cannot read weights from the device: {e:?}")))
}

fn upload(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// Plain values as tensors on `device`.
pub fn to_device(parameters: &[Vec<f32>], device: &Device) -> Vec<Tensor<1>> {
    parameters.iter().map(|v| upload(v, device)).collect()
}

impl Checkpoint {
    /// Copies a training state.
    ///
    /// # Errors
    /// The device does not hand over its values.
    pub fn new(header: Header, spec: ModelSpec, state: &State, pca: &PatchPca, tokenizer: &Tokenizer) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        let groups = [
            ("model", &state.parameters),
            ("ema", &state.average),
            ("adam.m", &state.first),
            ("adam.v", &state.second),
        ];
        for (prefix, group) in groups {
            for (parameter, tensor) in layout(&spec).into_iter().zip(group) {
                tensors.insert(format!("{prefix}.{}", parameter.name), (parameter.shape, read_tensor(tensor)?));
            }
        }
        let p = pca.mean.len();
        tensors.insert("pca.mean".to_owned(), (vec![p], pca.mean.clone()));
        tensors.insert("pca.basis".to_owned(), (vec![p, p], pca.basis.clone()));
        tensors.insert("pca.scale".to_owned(), (vec![1], vec![pca.scale]));
        for tensor in tokenizer.tensors() {
            tensors.insert(tensor.name, (tensor.shape, tensor.values));
        }
        Ok(Checkpoint { header, spec, tensors })
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// The directory is unwritable or the disk full; an older checkpoint is then untouched.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes: BTreeMap<&str, (&[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| {
                (name.as_str(), (shape.as_slice(), values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, (shape, data))| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), data)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .context(|| "cannot lay out the checkpoint")?;
        let header = sealed(&self.header, &self.tensors)?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), header)]);
        let file = safetensors::serialize(views, Some(metadata)).context(|| "cannot lay out the checkpoint")?;
        atomic::write(path, &file)
    }

    /// Reads and checks a file: header, names, shapes, hash, finite values.
    ///
    /// # Errors
    /// The file is missing, not a checkpoint of ldae, of another version, or damaged.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| {
            Error::new(format!("cannot read checkpoint {}", path.display()))
                .caused_by(e)
                .hint("train a run first with `ldae train --out DIR`")
        })?;
        Self::parse(&bytes).map_err(|why| {
            Error::new(format!("checkpoint {} cannot be used: {why}", path.display()))
                .hint("use the other checkpoint (last or best) of the run, or train again with --overwrite")
        })
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let damaged = |e: safetensors::SafeTensorError| format!("it is damaged or no safetensors file ({e})");
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(METADATA_KEY));
        let text = text.ok_or("it was not written by ldae")?;
        let raw: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("its header is damaged ({e})"))?;
        let format = raw.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(CHECKPOINT_FORMAT.into()) {
            let format = format.map_or("unknown".to_owned(), |f| f.to_string());
            return Err(format!("its format is {format}, this program reads {CHECKPOINT_FORMAT}"));
        }
        let header: Header = serde_json::from_value(raw).map_err(|e| format!("its header is damaged ({e})"))?;
        let spec = header.config.model_spec().map_err(|e| e.to_string())?;
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut tensors = BTreeMap::new();
        for (name, shape) in expected(&spec, &header.config) {
            let view = file.tensor(&name).map_err(|_| format!("tensor {name} is missing"))?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                return Err(format!("tensor {name} is {:?} {:?}, not F32 {shape:?}", view.dtype(), view.shape()));
            }
            let values: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            tensors.insert(name, (shape, values));
        }
        if file.len() != tensors.len() {
            return Err("it has tensors that do not belong to the model".to_owned());
        }
        if !seal_holds(text, &tensors) {
            return Err("it is damaged: the hash of its content is not the recorded one".to_owned());
        }
        Ok(Checkpoint { header, spec, tensors })
    }

    /// Shape of the model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The encoder in the one form that evaluation and export know, whatever the recipe ([`canonical`]).
    ///
    /// # Errors
    /// Never for a checkpoint that was loaded.
    pub fn weights(&self, which: Which) -> Result<Weights> {
        let config = &self.header.config;
        let schedule = config.recipe.denoise().map_or(Schedule::SigmaLinear, |d| d.schedule);
        let prefix = which.prefix();
        let parameter = |name: &str| self.tensors.get(&format!("{prefix}.{name}")).map(|(_, values)| values.as_slice());
        canonical::encoder(&self.spec, &parameter, &self.pca(), &self.tokenizer()?, schedule)
    }

    /// All trained parameters in layout order.
    pub fn parameters(&self, which: Which) -> Vec<Vec<f32>> {
        self.group(which.prefix())
    }

    /// The tokenizer of the run.
    ///
    /// # Errors
    /// Never for a checkpoint that was loaded.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let choice = self.header.config.tokenizer(&self.spec.encoder);
        let shapes = Tokenizer::shapes(&choice);
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let values = self.tensors[&name].1.clone();
            NamedTensor { name, shape, values }
        };
        Tokenizer::from_tensors(&choice, &self.pca(), shapes.into_iter().map(tensor).collect())
    }

    /// The PCA of the run (without eigenvalues).
    pub fn pca(&self) -> PatchPca {
        let values = |name: &str| self.tensors[name].1.clone();
        PatchPca {
            mean: values("pca.mean"),
            basis: values("pca.basis"),
            scale: self.tensors["pca.scale"].1[0],
            eigenvalues: Vec::new(),
        }
    }

    /// The optimiser's state on a device.
    pub fn state(&self, device: &Device) -> State {
        State {
            parameters: to_device(&self.group("model"), device),
            average: to_device(&self.group("ema"), device),
            first: to_device(&self.group("adam.m"), device),
            second: to_device(&self.group("adam.v"), device),
            step: self.header.step,
        }
    }

    fn group(&self, prefix: &str) -> Vec<Vec<f32>> {
        layout(&self.spec).iter().map(|p| self.tensors[&format!("{prefix}.{}", p.name)].1.clone()).collect()
    }
}

/// Names and shapes of all tensors of a checkpoint.
fn expected(spec: &ModelSpec, config: &TrainConfig) -> Vec<(String, Vec<usize>)> {
    let p = spec.encoder.patch_values() as usize;
    let layout = layout(spec);
    let with = |prefix: &'static str| {
        layout.iter().map(move |Parameter { name, shape, .. }| (format!("{prefix}.{name}"), shape.clone()))
    };
    let mut all: Vec<_> = ["model", "ema", "adam.m", "adam.v"].into_iter().flat_map(with).collect();
    all.extend([
        ("pca.mean".to_owned(), vec![p]),
        ("pca.basis".to_owned(), vec![p, p]),
        ("pca.scale".to_owned(), vec![1]),
    ]);
    all.extend(Tokenizer::shapes(&config.tokenizer(&spec.encoder)));
    all
}

fn digest(body: &str, tensors: &Tensors) -> String {
    let mut hash = Sha256::new_with_prefix(body);
    for (name, (shape, values)) in tensors {
        hash.update(format!("{name} {shape:?}\n"));
        for value in values {
            hash.update(value.to_le_bytes());
        }
    }
    crate::digest::hex(&hash.finalize())
}
