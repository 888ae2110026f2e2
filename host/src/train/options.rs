//! What a user sets (on the command line or in a TOML file) and how it becomes a resolved [`TrainConfig`].

use super::config::*;
use crate::Error;
use crate::data::{Augment, Dataset};
use crate::error::{Context, Result};
use crate::model::Precision;
use crate::recipe::{self, Method, Recipe, Schedule, TokenizerKind};
use crate::tokenizer;
use ldae_shared::spec::{self, EncoderSpec, Pooling};
use serde::Deserialize;
use std::path::Path;

/// Preset of `ldae train` without `--preset`.
pub const DEFAULT_PRESET: &str = "xs";
/// Passes over the training pictures without `--epochs` or `--steps`.
const DEFAULT_EPOCHS: f64 = 30.0;
/// Pictures of a step without `--batch`.
pub const DEFAULT_BATCH: usize = 128;
/// Peak learning rate of board presets without `--lr` (vit-* presets: paper A's 1e-4·batch/256).
const BOARD_LEARNING_RATE: f64 = 1e-3;
/// Share of the steps that warm up (paper A: a quarter of its 400 epochs; short runs cannot afford that).
const WARMUP_SHARE: f64 = 0.05;
/// Recipe without `--recipe`.
const DEFAULT_RECIPE: &str = "l-dae";
/// Decay of the momentum encoder (MoCo v3, section 5).
const MOMENTUM_ENCODER: f64 = 0.99;
/// Weight decay of the recipes that do not denoise: 0.05 of MAE and of METHOD.md's fine-tuning; the denoisers have none.
pub(super) const YARDSTICK_WEIGHT_DECAY: f64 = 0.05;
/// Decay of the moving average (DiT); short runs follow faster, see [`super::optimiser`].
const AVERAGE_DECAY: f64 = 0.9999;
/// Largest number of rows (tokens) in one part of a batch: its activations then stay in a core's cache.
const ROWS_PER_PART: usize = 1024;
/// Parts that a batch is cut into at least, so that up to this many cores have work; parts of 128 rows were measured
/// to cost no more than parts of 1024.
const MIN_PARTS: usize = 8;
/// Pictures of a part below which it is not cut further.
const MIN_PART: usize = 4;
/// Patches of the PCA sample: 500 per value at P = 192.
const PCA_PATCHES: usize = 100_000;
/// k-NN checks in a run.
const CHECKS: u64 = 10;
/// Multiply-accumulates between two `last` checkpoints: about a minute on two cores (measured: 10 GMAC/s in training).
const CHECKPOINT_MACS: u64 = 600_000_000_000;

/// Settings of a run; everything unset comes from the preset or a default.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainOptions {
    /// Pictures: `drawn`, a folder, a tar archive, CIFAR or IDX
    #[arg(long)]
    pub data: Option<String>,
    /// Named shape: xs, s, s-plus, m, l, vit-tiny, vit-small, vit-base, vit-large [default: xs]
    #[arg(long)]
    pub preset: Option<String>,
    /// What is trained: l-dae, another named recipe, or a TOML file with a recipe of one's own [default: l-dae]
    #[arg(long)]
    pub recipe: Option<String>,
    /// Tokenizer, instead of the recipe's
    #[arg(long, help_heading = "Recipe")]
    pub tokenizer: Option<TokenizerKind>,
    /// One noise level sigma, instead of the recipe's schedule
    #[arg(long, help_heading = "Recipe")]
    pub sigma: Option<f64>,
    /// Image side in pixels
    #[arg(long, help_heading = "Shape")]
    pub image: Option<u16>,
    /// Channels, 1 or 3 [default: those of the pictures]
    #[arg(long, help_heading = "Shape")]
    pub channels: Option<u8>,
    /// Patch side in pixels
    #[arg(long, help_heading = "Shape")]
    pub patch: Option<u16>,
    /// PCA rank K
    #[arg(long, help_heading = "Shape")]
    pub rank: Option<u16>,
    /// Width W
    #[arg(long, help_heading = "Shape")]
    pub width: Option<u16>,
    /// Encoder blocks L
    #[arg(long, help_heading = "Shape")]
    pub depth: Option<u16>,
    /// Attention heads H
    #[arg(long, help_heading = "Shape")]
    pub heads: Option<u16>,
    /// MLP ratio r
    #[arg(long, help_heading = "Shape")]
    pub mlp_ratio: Option<u8>,
    /// Pooling of tokens: mean, mean-std or grid2x2
    #[arg(long, help_heading = "Shape")]
    pub pooling: Option<String>,
    /// Decoder blocks [default: as the encoder]
    #[arg(long, help_heading = "Shape")]
    pub decoder_depth: Option<usize>,
    /// Decoder width [default: as the encoder]
    #[arg(long, help_heading = "Shape")]
    pub decoder_width: Option<usize>,
    /// Decoder heads [default: as the encoder]
    #[arg(long, help_heading = "Shape")]
    pub decoder_heads: Option<usize>,
    /// Passes over the training pictures [default: 30]
    #[arg(long, conflicts_with = "steps", help_heading = "Optimisation")]
    pub epochs: Option<f64>,
    /// Steps, instead of epochs
    #[arg(long, help_heading = "Optimisation")]
    pub steps: Option<u64>,
    /// Pictures of a step [default: 128]
    #[arg(long, help_heading = "Optimisation")]
    pub batch: Option<usize>,
    /// Peak learning rate [default: 1e-3; vit-*: 1e-4·batch/256]
    #[arg(long, help_heading = "Optimisation")]
    pub lr: Option<f64>,
    /// Steps of linear warm-up [default: a twentieth of the steps]
    #[arg(long, help_heading = "Optimisation")]
    pub warmup: Option<u64>,
    /// Weight decay [default: 0]
    #[arg(long, help_heading = "Optimisation")]
    pub weight_decay: Option<f64>,
    /// Decay of the weights' moving average [default: 0.9999, less in the first steps]
    #[arg(long, help_heading = "Optimisation")]
    pub ema: Option<f64>,
    /// Largest global gradient norm; 0 switches clipping off [default: 1]
    #[arg(long, help_heading = "Optimisation")]
    pub clip: Option<f64>,
    /// Loss weight of the directions the PCA drops [default: 0.1]
    #[arg(long, help_heading = "Optimisation")]
    pub residual_weight: Option<f64>,
    /// Seed of everything random [default: 1]
    #[arg(long, help_heading = "Optimisation")]
    pub seed: Option<u64>,
    /// Augmentation of training pictures [default: flip; moco-v3: crop-colour]
    #[arg(long, help_heading = "Optimisation")]
    pub augment: Option<Augment>,
    /// Parts a batch is cut into for the cores of a CPU [default: at least 8, of at most 1024 tokens]
    #[arg(long, help_heading = "Optimisation")]
    pub shards: Option<usize>,
    /// Parts a batch is cut into on a GPU, one after the other, for batches that do not fit [default: 1]
    #[arg(long, help_heading = "Optimisation")]
    pub accumulate: Option<usize>,
    /// Gradient checkpointing: compute cheap activations twice instead of keeping them
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Optimisation")]
    pub recompute: Option<bool>,
    /// Of the blocks' products; all else is f32 [default: f32]
    #[arg(long, help_heading = "Optimisation")]
    pub precision: Option<Precision>,
    /// Patches the PCA is fitted on [default: 100000]
    #[arg(long, help_heading = "Optimisation")]
    pub pca_patches: Option<usize>,
    /// At most this many pictures of each split
    #[arg(long, help_heading = "Data")]
    pub limit: Option<usize>,
    /// Enlarge pictures smaller than the model's side
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Data")]
    pub upscale: Option<bool>,
    /// Damaged files that are skipped before giving up [default: 10]
    #[arg(long, help_heading = "Data")]
    pub max_bad: Option<usize>,
    /// Steps per metrics line [default: 50, at least ten lines a run]
    #[arg(long, help_heading = "Schedule")]
    pub log_every: Option<u64>,
    /// Steps per checkpoint [default: about a minute on two cores]
    #[arg(long, help_heading = "Schedule")]
    pub checkpoint_every: Option<u64>,
    /// Steps per k-NN accuracy and collapse check [default: a tenth of the steps]
    #[arg(long, help_heading = "Schedule")]
    pub knn_every: Option<u64>,
    /// Gallery pictures of the k-NN check [default: 2000]
    #[arg(long, help_heading = "Schedule")]
    pub knn_train: Option<usize>,
    /// Held-out pictures of the k-NN check [default: 1000]
    #[arg(long, help_heading = "Schedule")]
    pub knn_test: Option<usize>,
    /// Time step at which the encoder embeds [default: 10]
    #[arg(long, help_heading = "Schedule")]
    pub t_embed: Option<u32>,
}

macro_rules! prefer {
    ($over:expr, $under:expr; $($field:ident)*) => { TrainOptions { $($field: $over.$field.or($under.$field)),* } };
}

impl TrainOptions {
    /// Reads options from a TOML file; its keys are the long options of `ldae train`.
    ///
    /// # Errors
    /// The file is missing or has an unknown key.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).map_err(|e| {
            Error::new(format!("{} is no options file: {}", path.display(), e.message()))
                .hint("its keys are the long options of `ldae train`, for instance `mlp-ratio = 3`")
        })
    }

    /// These options, and `under` where they are unset.
    #[must_use]
    pub fn or(self, under: TrainOptions) -> TrainOptions {
        prefer!(self, under; data preset recipe tokenizer sigma image channels patch rank width depth heads mlp_ratio pooling decoder_depth
            decoder_width decoder_heads epochs steps batch lr warmup weight_decay ema clip residual_weight seed augment
            shards accumulate recompute precision pca_patches limit upscale max_bad log_every checkpoint_every knn_every knn_train knn_test t_embed)
    }

    /// The recipe with the parts that are chosen one by one.
    ///
    /// # Errors
    /// There is none of that name, or its parts contradict each other.
    pub fn recipe(&self) -> Result<Recipe> {
        let name = self.recipe.as_deref().unwrap_or(DEFAULT_RECIPE);
        let mut recipe =
            if name.ends_with(".toml") { recipe::from_file(Path::new(name))? } else { recipe::named(name)? };
        if let Some(tokenizer) = self.tokenizer {
            recipe.denoise_mut("--tokenizer")?.tokenizer = tokenizer;
        }
        if let Some(sigma) = self.sigma {
            recipe.denoise_mut("--sigma")?.schedule = Schedule::Single(sigma);
        }
        recipe.check()?;
        Ok(recipe)
    }

    /// The preset.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn preset(&self) -> Result<&'static spec::Preset> {
        let name = self.preset.as_deref().unwrap_or(DEFAULT_PRESET);
        spec::preset(name).ok_or_else(|| {
            let names: Vec<_> = spec::PRESETS.iter().map(|p| p.name).collect();
            Error::new(format!("there is no preset `{name}`")).hint(format!("presets: {}", names.join(", ")))
        })
    }

    /// How the pictures are loaded for these options.
    ///
    /// # Errors
    /// The preset is unknown.
    pub fn load_options(&self) -> Result<crate::data::LoadOptions> {
        let defaults = crate::data::LoadOptions::default();
        Ok(crate::data::LoadOptions {
            side: Some(self.image.unwrap_or(self.preset()?.spec.image).into()),
            channels: self.channels.map(usize::from),
            limit: self.limit,
            upscale: self.upscale.unwrap_or(false),
            max_bad: self.max_bad.unwrap_or(defaults.max_bad),
            ..defaults
        })
    }

    /// Shape of the encoder on pictures with `channels` channels. A rank that comes from the preset is clipped to the
    /// patch length; the second value says so.
    fn encoder(&self, channels: usize, recipe: &Recipe) -> Result<(EncoderSpec, Option<String>)> {
        let mut e = self.preset()?.spec;
        e.channels = u8::try_from(channels).unwrap_or(u8::MAX);
        e.image = self.image.unwrap_or(e.image);
        e.patch = self.patch.unwrap_or(e.patch);
        e.width = self.width.unwrap_or(e.width);
        e.depth = self.depth.unwrap_or(e.depth);
        e.heads = self.heads.unwrap_or(e.heads);
        e.mlp_ratio = self.mlp_ratio.unwrap_or(e.mlp_ratio);
        if let Some(name) = &self.pooling {
            e.pooling = Pooling::from_name(name)
                .ok_or_else(|| Error::new(format!("unknown pooling `{name}`")).hint(POOLINGS))?;
        }
        let mut note = None;
        let whole = recipe.tokenizer() == TokenizerKind::Pixel;
        match self.rank {
            Some(rank) if whole && u32::from(rank) != e.patch_values() => {
                return Err(Error::new(format!(
                    "recipe `{}` noises all {} values of a patch, and --rank is {rank}",
                    recipe.name,
                    e.patch_values()
                ))
                .hint("leave --rank out, or choose --tokenizer patch-pca"));
            }
            Some(rank) => e.rank = rank,
            None if whole => e.rank = u16::try_from(e.patch_values()).unwrap_or(u16::MAX),
            None if u32::from(e.rank) > e.patch_values() && e.patch_values() > 0 => {
                note = Some(format!(
                    "rank {} of preset {} clipped to the {} values of a patch",
                    e.rank,
                    self.preset()?.name,
                    e.patch_values()
                ));
                e.rank = e.patch_values() as u16;
            }
            None => {}
        }
        Ok((e, note))
    }

    /// Resolves all settings for a loaded data set; the second value is a note for the user.
    ///
    /// # Errors
    /// A shape is impossible, a number is out of range, or the set is too small.
    pub fn resolve(&self, dataset: &Dataset) -> Result<(TrainConfig, Option<String>)> {
        let recipe = self.recipe()?;
        let (e, note) = self.encoder(dataset.channels(), &recipe)?;
        let pictures = dataset.train.len();
        let batch = self.batch.unwrap_or(DEFAULT_BATCH).min(pictures);
        if batch == 0 {
            return Err(Error::new("there is nothing to train on: the batch or the training split is empty")
                .hint("give --batch at least 1 and --data at least one picture"));
        }
        let per_epoch = (pictures / batch) as u64;
        let epochs = self.epochs.unwrap_or(DEFAULT_EPOCHS);
        let steps = self.steps.unwrap_or((epochs * per_epoch as f64).round().max(0.0) as u64);
        let positive = [
            ("--epochs or --steps", steps as f64),
            ("--lr", self.lr.unwrap_or(1.0)),
            ("--log-every", self.log_every.unwrap_or(1) as f64),
            ("--knn-every", self.knn_every.unwrap_or(1) as f64),
            ("--checkpoint-every", self.checkpoint_every.unwrap_or(1) as f64),
            ("--pca-patches", self.pca_patches.unwrap_or(1) as f64),
            ("--knn-test", self.knn_test.unwrap_or(1) as f64),
            ("--knn-train", self.knn_train.unwrap_or(1) as f64),
        ];
        if let Some((name, value)) = positive.into_iter().find(|(_, v)| !v.is_finite() || *v <= 0.0) {
            return Err(Error::new(format!("{name} is {value}")).hint("it must be above zero"));
        }
        let fractions = [("--ema", self.ema), ("--residual-weight", self.residual_weight)];
        if let Some((name, Some(value))) =
            fractions.into_iter().find(|(_, v)| v.is_some_and(|v| !(0.0..=1.0).contains(&v)))
        {
            return Err(Error::new(format!("{name} is {value}")).hint("it must lie between 0 and 1"));
        }
        let t_embed = self.t_embed.unwrap_or(recipe.embedding_step());
        if t_embed > ldae_shared::noise::schedule::STEPS {
            return Err(Error::new(format!("--t-embed is {t_embed}")).hint("time steps go from 0 to 1000"));
        }
        let preset = self.preset()?;
        let paper = preset.name.starts_with("vit-");
        let learning_rate = self.lr.unwrap_or(if paper { 1e-4 * batch as f64 / 256.0 } else { BOARD_LEARNING_RATE });
        let log_every = self.log_every.unwrap_or((steps / 10).clamp(1, 50));
        let whole = |every: u64| every.div_ceil(log_every) * log_every;
        let tokens = e.tokens().max(1) as usize;
        let part = (ROWS_PER_PART / tokens).max(1);
        let shards = batch.div_ceil(part).max(MIN_PARTS.min(batch / MIN_PART));
        let contrastive = matches!(recipe.method, Method::Contrastive(_));
        let average_decay = if contrastive { MOMENTUM_ENCODER } else { AVERAGE_DECAY };
        let weight_decay = if recipe.denoise().is_some() { 0.0 } else { YARDSTICK_WEIGHT_DECAY };
        let mut config = TrainConfig {
            format: CONFIG_FORMAT,
            preset: preset.name.to_owned(),
            data: DataConfig {
                source: self.data.clone().unwrap_or_default(),
                limit: self.limit,
                upscale: self.upscale.unwrap_or(false),
                max_bad: self.max_bad.unwrap_or(crate::data::LoadOptions::default().max_bad),
                augment: self.augment.unwrap_or(if contrastive { Augment::CropColour } else { Augment::default() }),
                pictures,
                fingerprint: dataset.fingerprint.clone(),
            },
            model: ModelConfig {
                image: e.image,
                channels: e.channels,
                patch: e.patch,
                rank: e.rank,
                width: e.width,
                depth: e.depth,
                heads: e.heads,
                mlp_ratio: e.mlp_ratio,
                pooling: e.pooling.name().to_owned(),
                decoder_depth: self.decoder_depth.unwrap_or(e.depth.into()),
                decoder_width: self.decoder_width.unwrap_or(e.width.into()),
                decoder_heads: self.decoder_heads.unwrap_or(e.heads.into()),
                classes: if recipe.needs_labels() { dataset.label_count() } else { 0 },
            },
            optimiser: OptimiserConfig {
                seed: self.seed.unwrap_or(1),
                steps,
                batch,
                shards: self.shards.unwrap_or(shards).clamp(1, batch),
                accumulate: self.accumulate.unwrap_or(1).clamp(1, batch),
                recompute: self.recompute.unwrap_or(false),
                precision: self.precision.unwrap_or_default(),
                learning_rate,
                warmup: self.warmup.unwrap_or((steps as f64 * WARMUP_SHARE).round() as u64),
                weight_decay: self.weight_decay.unwrap_or(weight_decay),
                average_decay: self.ema.unwrap_or(average_decay),
                clip: self.clip.unwrap_or(1.0),
                residual_weight: self.residual_weight.unwrap_or(0.1),
                pca_patches: self.pca_patches.unwrap_or(PCA_PATCHES),
            },
            schedule: ScheduleConfig {
                log_every,
                checkpoint_every: 0,
                knn_every: whole(self.knn_every.unwrap_or(steps.div_ceil(CHECKS))),
                knn_train: self.knn_train.unwrap_or(2000),
                knn_test: self.knn_test.unwrap_or(1000),
                t_embed,
            },
            tokenizer: tokenizer::conv_settings(recipe.tokenizer(), &e),
            recipe,
        };
        let step_macs = 3 * config.model_spec()?.training_macs() * batch as u64;
        let minute = (CHECKPOINT_MACS / step_macs.max(1)).max(1);
        config.schedule.checkpoint_every = whole(self.checkpoint_every.unwrap_or(minute));
        Ok((config, note))
    }
}
