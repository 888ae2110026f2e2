//! The resolved configuration of a run: every number that decides its result, as `config.toml` in the run directory.

use crate::data::{Augment, Dataset, LoadOptions};
use crate::error::{Context, Result};
use crate::model::{ModelSpec, Precision};
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::tokenizer::{Choice, conv};
use crate::{Error, atomic};
use ldae_shared::spec::{EncoderSpec, Pooling};
use serde::{Deserialize, Serialize};

/// Version of the meaning of these fields.
pub const CONFIG_FORMAT: u32 = 2;

/// All settings of a run after presets, files and the command line. The same configuration on the same pictures gives
/// the same `metrics.jsonl` on a CPU, whatever the number of cores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// [`CONFIG_FORMAT`].
    pub format: u32,
    /// Preset the shape started from.
    pub preset: String,
    /// Where the pictures come from.
    pub data: DataConfig,
    /// Shape of encoder and decoder.
    pub model: ModelConfig,
    /// Optimisation.
    pub optimiser: OptimiserConfig,
    /// What is measured and saved, and when.
    pub schedule: ScheduleConfig,
    /// What is trained.
    pub recipe: Recipe,
    /// Shape and training of a convolutional tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<conv::Settings>,
}

/// Where the pictures come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// `drawn`, a folder, a tar archive, CIFAR or IDX.
    pub source: String,
    /// At most this many pictures of each split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Whether smaller pictures are enlarged.
    pub upscale: bool,
    /// Damaged files that are tolerated.
    pub max_bad: usize,
    /// Augmentation of training pictures.
    pub augment: Augment,
    /// Training pictures found.
    pub pictures: usize,
    /// Fingerprint of the pictures: a resumed run must see the same ones.
    pub fingerprint: String,
}

/// Shape of encoder and decoder (see [`EncoderSpec`] and [`ModelSpec`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of EncoderSpec and ModelSpec")]
pub struct ModelConfig {
    pub image: u16,
    pub channels: u8,
    pub patch: u16,
    pub rank: u16,
    pub width: u16,
    pub depth: u16,
    pub heads: u16,
    pub mlp_ratio: u8,
    pub pooling: String,
    pub decoder_depth: usize,
    pub decoder_width: usize,
    pub decoder_heads: usize,
    /// Classes of the training pictures; 0 without labels.
    pub classes: usize,
}

/// Optimisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimiserConfig {
    /// Seed of weights, order, noise and augmentation.
    pub seed: u64,
    /// Steps in all.
    pub steps: u64,
    /// Pictures of one step.
    pub batch: usize,
    /// Parts a batch is cut into on a CPU; they run on the cores in parallel.
    pub shards: usize,
    /// Parts a batch is cut into on a GPU; they run one after the other, so that large batches fit.
    pub accumulate: usize,
    /// Whether activations that are cheap to compute are computed again for the gradients instead of kept.
    pub recompute: bool,
    /// Of the products in the blocks.
    pub precision: Precision,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Decoupled weight decay of the trunk's matrices; biases, modulation and the final layer have none.
    pub weight_decay: f64,
    /// Decay of the weights' moving average.
    pub average_decay: f64,
    /// Largest global gradient norm; 0 switches clipping off.
    pub clip: f64,
    /// Loss weight of the directions that the PCA drops (0.1 in paper A).
    pub residual_weight: f64,
    /// Patches the PCA is fitted on.
    pub pca_patches: usize,
}

/// What is measured and saved, and when. Intervals are in steps; `checkpoint_every` and `knn_every` are multiples of
/// `log_every`, so that no running mean is cut in two by a resumed run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Steps per metrics line.
    pub log_every: u64,
    /// Steps per `last` checkpoint.
    pub checkpoint_every: u64,
    /// Steps per k-NN accuracy and collapse check.
    pub knn_every: u64,
    /// Training pictures of the k-NN gallery.
    pub knn_train: usize,
    /// Held-out pictures of the k-NN check.
    pub knn_test: usize,
    /// Time step at which the encoder embeds (10 of 1000: METHOD.md section 1).
    pub t_embed: u32,
}

impl TrainConfig {
    /// The model's shape.
    ///
    /// # Errors
    /// The pooling has an unknown name or the shape is impossible.
    pub fn model_spec(&self) -> Result<ModelSpec> {
        let m = &self.model;
        let pooling = Pooling::from_name(&m.pooling)
            .ok_or_else(|| Error::new(format!("unknown pooling `{}`", m.pooling)).hint(POOLINGS))?;
        let encoder = EncoderSpec {
            image: m.image,
            channels: m.channels,
            patch: m.patch,
            rank: m.rank,
            width: m.width,
            depth: m.depth,
            heads: m.heads,
            mlp_ratio: m.mlp_ratio,
            pooling,
        };
        let spec = self.recipe.model(encoder, (m.decoder_depth, m.decoder_width, m.decoder_heads), m.classes);
        spec.check()?;
        if let Some(tokenizer) = &self.tokenizer {
            tokenizer.check()?;
        }
        if self.recipe.tokenizer().is_linear() != self.tokenizer.is_none() {
            return Err(Error::new(format!(
                "recipe `{}` and the settings of its tokenizer do not belong together",
                self.recipe.name
            ))
            .hint("the configuration was edited; train again into another directory"));
        }
        Ok(spec)
    }

    /// The tokenizer, for encoders of `spec`.
    pub fn tokenizer<'a>(&'a self, spec: &'a EncoderSpec) -> Choice<'a> {
        Choice { kind: self.recipe.tokenizer(), conv: self.tokenizer.as_ref(), spec }
    }

    /// How the run's pictures are loaded.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            side: Some(self.model.image.into()),
            channels: Some(self.model.channels.into()),
            limit: self.data.limit,
            upscale: self.data.upscale,
            max_bad: self.data.max_bad,
            ..LoadOptions::default()
        }
    }

    /// Refuses a data set whose pictures are not those the run was configured for.
    ///
    /// # Errors
    /// Shape or fingerprint differ.
    pub fn check_dataset(&self, dataset: &Dataset) -> Result<()> {
        if (dataset.side(), dataset.channels()) != (self.model.image.into(), self.model.channels.into()) {
            return Err(Error::new(format!(
                "the pictures are {0}x{0}x{1}, the model takes {2}x{2}x{3}",
                dataset.side(),
                dataset.channels(),
                self.model.image,
                self.model.channels
            )));
        }
        if dataset.fingerprint != self.data.fingerprint {
            return Err(Error::new(format!(
                "`{}` is not the data set of this run: its pictures changed",
                self.data.source
            ))
            .hint("restore the pictures, or start a new run with another --out"));
        }
        if self.recipe.needs_labels() && dataset.train.labels().is_none() {
            return Err(Error::new(format!("recipe `{}` needs labels, and there are none", self.recipe.name)).hint(
                "use a folder with one folder per class, CIFAR, IDX or `drawn`, or a recipe without labels such as l-dae",
            ));
        }
        Ok(())
    }

    /// sha256 (hex) of the configuration.
    ///
    /// # Errors
    /// It cannot be written as TOML (never, for a configuration that was resolved).
    pub fn hash(&self) -> Result<String> {
        Ok(crate::digest::sha256_hex(self.to_toml()?.as_bytes()))
    }

    fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context(|| "cannot write the configuration as TOML")
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    /// The directory is unwritable or the disk full.
    pub fn save(&self, run: &RunDir) -> Result<()> {
        atomic::write(&run.config(), self.to_toml()?.as_bytes())
    }

    /// Reads `config.toml` of a run.
    ///
    /// # Errors
    /// There is none, or it is not a configuration of this version.
    pub fn load(run: &RunDir) -> Result<Self> {
        let path = run.config();
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Error::new(format!("cannot read {}", path.display()))
                .caused_by(e)
                .hint("a run directory is what `ldae train --out DIR` made")
        })?;
        let config: TrainConfig = toml::from_str(&text).map_err(|e| {
            Error::new(format!("{} is not a run configuration: {}", path.display(), e.message()))
                .hint("it was edited, or written by another version; train again into another directory")
        })?;
        if config.format != CONFIG_FORMAT {
            return Err(Error::new(format!(
                "{} has format {}, this program reads format {CONFIG_FORMAT}",
                path.display(),
                config.format
            ))
            .hint("use the version of ldae that made the run"));
        }
        Ok(config)
    }
}

/// Names of the poolings, for hints.
pub const POOLINGS: &str = "use mean, mean-std or grid2x2";
