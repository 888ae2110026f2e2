//! What is evaluated or embedded with: a run directory or an exported `.ldae` file, with everything the baselines need.

use super::artifact::IntegerEncoder;
use super::embedder::Role;
use super::evaluation::Pictures;
use super::fine_tune::{FineTuned, fine_tune};
use super::input_noise::InputNoise;
use super::run_encoder::RunEncoder;
use crate::cli::Output;
use crate::data::{Dataset, LoadOptions};
use crate::error::Context;
use crate::model::pca::{self, PatchPca};
use crate::model::{ModelSpec, Weights, init_weights, randomise_gates};
use crate::pack::InMemory;
use crate::run_dir::RunDir;
use crate::tokenizer::Tokenizer;
use crate::train::TrainConfig;
use crate::train::checkpoint::{Checkpoint, Which};
use crate::{Error, Result};
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::fs;
use std::path::{Path, PathBuf};

/// Patches that the PCA baseline of a lone artifact is fitted on (a run brings its own PCA).
const PCA_PATCHES: usize = 100_000;
/// Time step of encoders that no run accompanies (METHOD.md section 1).
const DEFAULT_T: u16 = 10;
/// Seed of the untrained encoder beside a lone artifact (a run's is its own seed).
const SEED: u64 = 1;

/// A run or an artifact, opened.
pub struct Subject {
    /// Path as given.
    pub source: String,
    /// The run it is or belongs to.
    pub run: Option<RunDir>,
    config: Option<TrainConfig>,
    /// Averaged weights, of a run.
    weights: Option<Weights>,
    /// PCA of the run's patches, whatever its tokenizer.
    pca: Option<PatchPca>,
    tokenizer: Option<Tokenizer>,
    /// Steps behind the weights.
    pub step: Option<u64>,
    /// Exported encoders.
    artifacts: Vec<(PathBuf, InMemory)>,
}

impl Subject {
    /// Opens `path`: a run directory (its checkpoint `last` or `best`, and the encoders exported from it) or a `.ldae`
    /// file.
    ///
    /// # Errors
    /// Neither is there, or the files are damaged.
    pub fn open(path: &Path, checkpoint: &str) -> Result<Self> {
        let source = path.display().to_string();
        if path.is_dir() {
            let run = RunDir::new(path);
            let config = TrainConfig::load(&run)?;
            let checkpoint = Checkpoint::load(&run.checkpoint(checkpoint))?;
            let artifacts = exported(&run)?;
            let (weights, step) = (Some(checkpoint.weights(Which::Average)?), Some(checkpoint.header.step));
            let (pca, tokenizer) = (Some(checkpoint.pca()), Some(checkpoint.tokenizer()?));
            return Ok(Subject {
                source,
                run: Some(run),
                config: Some(config),
                weights,
                pca,
                tokenizer,
                step,
                artifacts,
            });
        }
        let bytes = fs::read(path).map_err(|e| {
            Error::new(format!("cannot read {source}"))
                .caused_by(e)
                .hint("name a run directory made by `ldae train --out DIR`, or a .ldae file made by `ldae export`")
        })?;
        // An encoder in RUN/export knows its run's data.
        let run = path.parent().filter(|p| p.ends_with("export")).and_then(Path::parent).map(RunDir::new);
        let run = run.filter(|r| r.config().is_file());
        let config = run.as_ref().map(TrainConfig::load).transpose()?;
        let artifacts = vec![(path.to_owned(), InMemory::for_this_machine(&bytes))];
        Ok(Subject { source, run, config, weights: None, pca: None, tokenizer: None, step: None, artifacts })
    }

    /// True for a run directory, false for a lone artifact.
    pub fn is_run(&self) -> bool {
        self.weights.is_some()
    }

    /// The time step at which a run embeds: the one asked for, or the run's own.
    pub fn time_step(&self, asked: Option<u16>) -> u16 {
        asked.unwrap_or_else(|| self.config.as_ref().map_or(DEFAULT_T, |c| c.schedule.t_embed as u16))
    }

    /// Shape of the encoder.
    ///
    /// # Errors
    /// The artifact is damaged.
    pub fn spec(&self) -> Result<EncoderSpec> {
        match &self.weights {
            Some(weights) => Ok(weights.spec().encoder),
            None => {
                let integer = self.integer()?;
                integer.first().map(|e| *e.spec()).ok_or_else(|| Error::new("there is no encoder in it"))
            }
        }
    }

    /// The trained encoder in float at time step `t`; `None` for an artifact.
    ///
    /// # Errors
    /// t lies outside 0 to 1000, or the grid has no such pooling.
    pub fn float(&self, t: u16, poolings: &[Pooling]) -> Result<Option<RunEncoder>> {
        let open = |w| RunEncoder::new("trained, float", w, t, poolings).map(|e| e.with_role(Role::Trained));
        self.weights.as_ref().map(open).transpose()
    }

    /// The noise that the run's recipe puts on a picture at time step `t`. `None` for an artifact, and for recipes that do not denoise.
    pub fn input_noise(&self, t: u16) -> Option<InputNoise> {
        let schedule = self.config.as_ref()?.recipe.denoise()?.schedule;
        InputNoise::new(schedule, t, self.tokenizer.as_ref()?, &self.weights.as_ref()?.pca())
    }

    /// The exported encoders.
    ///
    /// # Errors
    /// One of them is damaged.
    pub fn integer<'a>(&'a self) -> Result<Vec<IntegerEncoder<'a>>> {
        let single = self.artifacts.len() == 1;
        let open = |(path, bytes): &'a (PathBuf, InMemory)| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let name = if single { "trained, integer".to_owned() } else { format!("trained, integer ({file})") };
            IntegerEncoder::new(&name, bytes, &path.display().to_string())
        };
        self.artifacts.iter().map(open).collect()
    }

    /// The same encoder with initial weights: zero gates, and random ones (zero gates make every block the identity).
    ///
    /// # Errors
    /// As [`Subject::float`].
    pub fn untrained(&self, t: u16, poolings: &[Pooling], pca: &PatchPca) -> Result<[RunEncoder; 2]> {
        let spec = match &self.weights {
            Some(weights) => *weights.spec(),
            None => ModelSpec::symmetric(self.spec()?).encoder_only(),
        };
        let seed = self.config.as_ref().map_or(SEED, |c| c.optimiser.seed);
        // What stands before a trained encoder stands before this one too: the span of its own tokenizer.
        let own = self.weights.as_ref().map(Weights::pca);
        let mut weights = init_weights(&spec, seed, own.as_ref().unwrap_or(pca))?;
        if let Some(trained) = &self.weights {
            weights = weights.with_front_of(trained);
        }
        let zero = RunEncoder::new("untrained, zero gates", &weights, t, poolings)?;
        randomise_gates(&mut weights, seed);
        Ok([zero, RunEncoder::new("untrained, random gates", &weights, t, poolings)?])
    }

    /// The same encoder trained with labels from the run's initial weights, for `steps` steps (as many as the run when
    /// 0), as a run in RUN/eval/supervised.
    ///
    /// # Errors
    /// It is no run, the pictures are not the run's own, or as [`Subject::float`].
    pub fn supervised(
        &self,
        dataset: &Dataset,
        t: u16,
        poolings: &[Pooling],
        steps: u64,
        out: &Output,
    ) -> Result<RunEncoder> {
        let (Some(config), Some(run), true) = (&self.config, &self.run, self.is_run()) else {
            return Err(Error::new("only a run says how to train the same encoder with labels")
                .hint("evaluate the run directory, or leave out --supervised"));
        };
        let steps = if steps == 0 { config.optimiser.steps } else { steps };
        let device = crate::train::device::choose("auto")?;
        let place = RunDir::new(run.eval("supervised").with_extension(""));
        let weights = crate::train::supervised(config, dataset, (steps, t.into()), &place, &device, out)?;
        let encoder = RunEncoder::new("trained with labels", &weights, t, poolings)?;
        Ok(encoder.with_role(Role::Yardstick))
    }

    /// Fine-tunes the run's encoder with labels.
    ///
    /// # Errors
    /// It is no run, or the loss is no longer finite.
    pub fn fine_tune(&self, pictures: &Pictures, t: u16, epochs: u32, out: &Output) -> Result<FineTuned> {
        let (Some(config), Some(weights)) = (&self.config, &self.weights) else {
            return Err(Error::new("an exported encoder cannot be fine-tuned")
                .hint("evaluate the run directory, or leave out --fine-tune"));
        };
        let device = crate::train::device::choose("auto")?;
        fine_tune(weights, t, pictures, epochs, config.optimiser.seed, &device, out)
    }

    /// The PCA of the run, or one fitted on the training pictures.
    ///
    /// # Errors
    /// All pictures are equal.
    pub fn pca(&self, dataset: &Dataset) -> Result<PatchPca> {
        if let Some(pca) = &self.pca {
            return Ok(pca.clone());
        }
        let spec = self.spec()?;
        let grid = PatchGrid::of(&spec).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
        let train = &dataset.train;
        pca::fit(grid, spec.rank.into(), train.len(), |i| train.image(i), PCA_PATCHES, SEED)
    }

    /// Source of the pictures: `data` if given, else the run's.
    ///
    /// # Errors
    /// A lone artifact names no data.
    pub fn source_of_pictures(&self, data: Option<&str>) -> Result<String> {
        data.map(str::to_owned).or_else(|| self.config.as_ref().map(|c| c.data.source.clone())).ok_or_else(|| {
            Error::new(format!("{} does not say which pictures to use", self.source))
                .hint("give them with --data: a folder, a tar, CIFAR, IDX, or `drawn`")
        })
    }

    /// How the pictures are loaded: the encoder's side and channels, and on the run's own data as the run did.
    ///
    /// # Errors
    /// The artifact is damaged.
    pub fn load_options(&self, own_data: bool) -> Result<LoadOptions> {
        if let Some(config) = self.config.as_ref().filter(|_| own_data) {
            return Ok(config.load_options());
        }
        let spec = self.spec()?;
        Ok(LoadOptions {
            side: Some(spec.image.into()),
            channels: Some(spec.channels.into()),
            ..LoadOptions::default()
        })
    }
}

/// The `.ldae` files of a run, by name.
fn exported(run: &RunDir) -> Result<Vec<(PathBuf, InMemory)>> {
    let Ok(entries) = fs::read_dir(run.export()) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "ldae")).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
            Ok((path, InMemory::for_this_machine(&bytes)))
        })
        .collect()
}
