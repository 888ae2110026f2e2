//! How close a contender's embeddings are to the float encoder's, and what they are worth: accuracy by k-NN and linear probe.

use super::contender::Files;
use super::process::Process;
use crate::cli::Output;
use crate::data::{Dataset, Split};
use crate::eval::agreement::Agreement;
use crate::eval::embedder::embed;
use crate::eval::run_encoder::RunEncoder;
use crate::eval::standardise::Standardiser;
use crate::eval::{Features, knn, probe};
use crate::onnx::{Description, Form};
use crate::run_dir::RunDir;
use crate::runtime::Runtime;
use crate::train::checkpoint::{Checkpoint, Which};
use crate::{Error, Result};
use half::f16;
use ldae_shared::format::Artifact;
use serde::Serialize;
use std::path::Path;
use std::sync::Mutex;

/// Accuracies on the held-out pictures, shares of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// k-NN.
    pub knn: f64,
    /// Linear probe, mean of its seeds.
    pub probe: f64,
    /// Its deviation over seeds.
    pub probe_deviation: f64,
}

/// The float encoder's embeddings, and scores that were computed before.
pub(super) struct Judge {
    reference: Option<(String, Features)>,
    /// Kernels give equal bits: their scores are computed once.
    known: Mutex<Vec<(Features, Features, Scores)>>,
}

impl Judge {
    /// Embeds the held-out pictures with the float encoder of the artifact's run, else with the float ONNX file.
    ///
    /// # Errors
    /// The float encoder refuses the pictures.
    pub(super) fn new(files: &Files, dataset: &Dataset, out: &Output) -> Result<Self> {
        let held_out = dataset.held_out();
        let reference = match of_run(files)? {
            Some((name, encoder, head)) => {
                let mut features = embed(&encoder, held_out, "float", out)?.remove(0);
                head.apply(&mut features);
                Some((name, features))
            }
            None => files
                .of(Form::Float32)
                .map(|file| {
                    let runtime = exact();
                    let name = format!("{} on {}", file.path.display(), runtime.name());
                    Ok::<_, Error>((name, on(runtime, &file.bytes, &file.description, held_out)?))
                })
                .transpose()?,
        };
        Ok(Judge { reference, known: Mutex::default() })
    }

    /// What embeddings are compared with.
    pub(super) fn reference(&self) -> Option<String> {
        self.reference.as_ref().map(|(name, _)| name.clone())
    }

    /// Embeds the pictures with a contender and compares.
    ///
    /// # Errors
    /// It fails on a picture, or gives values that are not finite.
    pub(super) fn judge(
        &self,
        process: &mut Process,
        dataset: &Dataset,
    ) -> Result<(Option<Agreement>, Option<Scores>)> {
        let held_out = process.embed(dataset.held_out())?;
        let agreement = self.reference.as_ref().map(|(_, f)| Agreement::of(&held_out, f)).transpose()?;
        let scores = match (dataset.train.labels(), dataset.held_out().labels()) {
            (Some(train_labels), Some(labels)) => {
                let train = process.embed(&dataset.train)?;
                Some(self.scores(train, train_labels, held_out, labels)?)
            }
            _ => None,
        };
        Ok((agreement, scores))
    }

    fn scores(&self, train: Features, train_labels: &[u16], test: Features, labels: &[u16]) -> Result<Scores> {
        let poisoned = |_| Error::new("another thread failed while scoring");
        if let Some((.., scores)) =
            self.known.lock().map_err(poisoned)?.iter().find(|(a, b, _)| *a == train && *b == test)
        {
            return Ok(*scores);
        }
        let knn = knn::accuracy(&train, train_labels, &test, labels, knn::K)?;
        let probe = probe::probe(&train, train_labels, &test, labels)?;
        let scores = Scores { knn, probe: probe.mean, probe_deviation: probe.deviation };
        self.known.lock().map_err(|_| Error::new("another thread failed while scoring"))?.push((train, test, scores));
        Ok(scores)
    }
}

/// The float encoder of the run that the artifact lies in, if its checkpoint is the one that was exported, and the moments that
/// its embedding is standardised with.
fn of_run(files: &Files) -> Result<Option<(String, RunEncoder, Standardiser)>> {
    let export = files.artifact_path.parent().filter(|p| p.file_name().is_some_and(|n| n == "export"));
    let Some(run) = export.and_then(Path::parent).map(RunDir::new).filter(|r| r.config().is_file()) else {
        return Ok(None);
    };
    let steps = |c: &Checkpoint| Some(c.header.step) == files.facts.train_step;
    let checkpoints = ["last", "best"].into_iter().filter_map(|n| Checkpoint::load(&run.checkpoint(n)).ok());
    let Some(checkpoint) = checkpoints.into_iter().find(steps) else { return Ok(None) };
    let (t, pooling) = (files.facts.time_step, files.spec.pooling);
    let encoder = RunEncoder::new("float", &checkpoint.weights(Which::Average)?, t, &[pooling])?;
    let (head, precision) = match files.of(Form::Float32) {
        Some(file) => (file.description.head.clone(), "f32"),
        None => (of_artifact(files)?, "f16"),
    };
    let name = format!(
        "the run's float network at step {}, t = {t}, standardised with the export's {precision} moments",
        checkpoint.header.step
    );
    Ok(Some((name, encoder, head)))
}

/// The artifact's own moments: rounded to f16, which is visible in the largest errors.
fn of_artifact(files: &Files) -> Result<Standardiser> {
    let artifact = Artifact::parse_anywhere(&files.artifact)
        .map_err(|e| Error::new("the artifact cannot be read again").caused_by(e))?;
    let moments = (0..files.spec.embedding() as usize).map_while(|i| artifact.standardisation(i));
    let (mean, deviation): (Vec<f32>, Vec<f32>) =
        moments.map(|(m, d)| (f16::from_bits(m).to_f32(), f16::from_bits(d).to_f32())).unzip();
    if mean.len() != files.spec.embedding() as usize {
        return Err(Error::new("the artifact has no moments to standardise the float embedding with")
            .hint("export it again with --onnx"));
    }
    Ok(Standardiser::new(&mean, &deviation))
}

/// The runtime that keeps a float file's arithmetic.
fn exact() -> Runtime {
    #[cfg(feature = "tract")]
    return Runtime::Tract;
    #[cfg(not(feature = "tract"))]
    Runtime::Onnxruntime(crate::runtime::Optimisation::Basic)
}

fn on(runtime: Runtime, file: &[u8], description: &Description, pictures: &Split) -> Result<Features> {
    let prepared = runtime.prepare(file)?;
    let mut session = prepared.open()?;
    let e = description.spec.embedding() as usize;
    let mut values = vec![0.0; pictures.len() * e];
    for (i, row) in values.chunks_exact_mut(e).enumerate() {
        session.embed(pictures.image(i), row)?;
    }
    Features::new(pictures.len(), e, values)
}
