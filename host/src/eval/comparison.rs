//! One whole evaluation: the trained encoder, float and integer, beside all baselines (METHOD.md section 4).

use super::baselines::{PcaLatents, RawPixels};
use super::curve::{self, Layers};
use super::embedder::Embedder;
use super::evaluation::{Evaluation, NotRun, Pictures, Protocol, describe, evaluate};
use super::margin::margins;
use super::pooling;
use super::subject::Subject;
use crate::cli::Output;
use crate::data::Dataset;
use crate::{Error, Result};
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::Pooling;

/// What to compare.
#[derive(Clone, Debug)]
pub struct Request {
    /// Poolings of the float encoders and of the PCA latents; all that the token grid has when empty. An exported
    /// encoder has one only, so of a lone artifact it is that one.
    pub poolings: Vec<Pooling>,
    /// Time step of the float encoders, 0 to 1000.
    pub t: u16,
    /// Also evaluate PCA latents and the untrained encoder.
    pub baselines: bool,
    /// Also evaluate raw pixels, which depend on the pictures alone: a sweep measures them once.
    pub pixels: bool,
    /// Also train the same encoder with labels for so many steps (0: as many as the run), and evaluate it.
    pub supervised: Option<u64>,
    /// Time steps at which the trained encoder is also scored, on clean and on noised pictures.
    pub times: Vec<u16>,
    /// Blocks after which the trained encoder's tokens are also scored.
    pub layers: Layers,
    /// Also fine-tune the trained encoder with labels for so many epochs.
    pub fine_tune: Option<u32>,
    /// How everything is measured.
    pub protocol: Protocol,
}

impl Default for Request {
    fn default() -> Self {
        // t = 10 of 1000 on the clean picture: METHOD.md section 1.
        Request {
            poolings: Vec::new(),
            t: 10,
            baselines: true,
            pixels: true,
            supervised: None,
            times: Vec::new(),
            layers: Layers::default(),
            fine_tune: None,
            protocol: Protocol::default(),
        }
    }
}

/// Embeds and scores the trained encoder and its baselines on the same pictures.
///
/// # Errors
/// Pictures without labels or of another shape, a pooling that the grid does not have, or a damaged artifact.
pub fn compare(subject: &Subject, dataset: &Dataset, request: &Request, out: &Output) -> Result<Evaluation> {
    let pictures = Pictures::of(dataset, &request.protocol)?;
    let spec = subject.spec()?;
    let grid = PatchGrid::of(&spec).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
    let poolings = poolings(&request.poolings, subject.is_run(), spec.pooling, grid.side());

    let float = subject.float(request.t, &poolings)?;
    let integer = subject.integer()?;
    let mut embedders: Vec<&dyn Embedder> = Vec::new();
    embedders.extend(float.as_ref().map(|e| e as &dyn Embedder));
    embedders.extend(integer.iter().map(|e| e as &dyn Embedder));

    let (side, channels) = (spec.image.into(), spec.channels.into());
    let pixels = RawPixels { side, channels };
    let (untrained, latents);
    if request.baselines {
        let pca = subject.pca(dataset)?;
        untrained = subject.untrained(request.t, &poolings, &pca)?;
        latents = PcaLatents::new(grid, side, channels, &pca, spec.rank.into(), &poolings);
        embedders.extend(untrained.iter().map(|e| e as &dyn Embedder));
        embedders.push(&latents);
    }
    if request.pixels {
        embedders.push(&pixels);
    }
    let yardstick;
    if let Some(steps) = request.supervised {
        yardstick = subject.supervised(dataset, request.t, &poolings, steps, out)?;
        embedders.push(&yardstick);
    }
    let rows = evaluate(&embedders, &pictures, &request.protocol, out)?;
    let curves = curve::curves(subject, &pictures, request, &poolings, out)?;
    let tune = |epochs| subject.fine_tune(&pictures, request.t, epochs, out);
    let fine_tuned = request.fine_tune.map(tune).transpose()?;
    let mut not_run = Vec::new();
    if request.supervised.is_none() {
        not_run.push(NotRun {
            embedding: "trained with labels".into(),
            reason: "--supervised trains the same encoder with labels (as long as the run did)".into(),
        });
    }
    if !request.baselines {
        not_run.push(NotRun {
            embedding: "untrained encoder, PCA latents, raw pixels".into(),
            reason: "--baselines all runs them".into(),
        });
    }
    Ok(Evaluation {
        source: subject.source.clone(),
        step: subject.step,
        dataset: dataset.name.clone(),
        fingerprint: dataset.fingerprint.clone(),
        classes: dataset.classes.len(),
        t: subject.is_run().then_some(request.t),
        protocol: describe(&request.protocol),
        margins: margins(&rows),
        rows,
        not_run,
        curves,
        fine_tuned,
    })
}

/// What was asked for; by default all that the grid has for a run, the built-in one for an artifact.
fn poolings(asked: &[Pooling], is_run: bool, own: Pooling, side: usize) -> Vec<Pooling> {
    match asked {
        [] if is_run => pooling::ALL.into_iter().filter(|&p| pooling::check(p, side).is_ok()).collect(),
        [] => vec![own],
        asked => asked.to_vec(),
    }
}
