//! What turns pictures into features, and the loop that runs it over a split on all cores.

use super::Features;
use crate::cli::Output;
use crate::data::Split;
use crate::{Error, Result};
use ldae_shared::spec::Pooling;
use rayon::prelude::*;

/// Pictures of one task. Embedding one picture never depends on its neighbours.
const PICTURES: usize = 32;

/// One of the vectors an embedder makes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector {
    /// How tokens were pooled; `None` for all values in a row (pixels, flat latents).
    pub pooling: Option<Pooling>,
    /// Components.
    pub dim: usize,
}

impl Vector {
    /// The pooling as reports name it.
    pub fn pooling_name(&self) -> &'static str {
        self.pooling.map_or("flat", Pooling::name)
    }
}

/// What an embedding is in a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The encoder under evaluation.
    Trained,
    /// What it has to beat.
    Baseline,
    /// The same encoder trained with labels: what could be reached, not what has to be beaten.
    Yardstick,
}

/// Turns one picture into one or more vectors, all from one pass.
pub trait Embedder: Sync {
    /// As it stands in reports: "trained, float", "raw pixels".
    fn name(&self) -> String;

    /// Side and channels of the pictures it takes.
    fn takes(&self) -> (usize, usize);

    /// The vectors, in a fixed order.
    fn vectors(&self) -> Vec<Vector>;

    /// What it is in the comparison.
    fn role(&self) -> Role {
        Role::Baseline
    }

    /// True when the vectors are standardised already, by the encoder itself (exported encoders, NUMERICS.md rule 9).
    fn is_standardised(&self) -> bool {
        false
    }

    /// Embeds one picture (u8, row-major HWC) into `out`, one slice per vector.
    ///
    /// # Errors
    /// The encoder refuses the picture.
    fn embed(&self, picture: &[u8], out: &mut [&mut [f32]]) -> Result<()>;
}

/// All vectors of all pictures of `split`, one matrix per vector; `what` names the progress bar.
///
/// # Errors
/// Pictures of another shape, an empty split, or an error of the embedder.
pub fn embed(embedder: &dyn Embedder, split: &Split, what: &str, out: &Output) -> Result<Vec<Features>> {
    let bar = out.progress(what, split.len() as u64);
    let features = embed_silently(embedder, split, &|| bar.inc(1));
    bar.finish_and_clear();
    features
}

/// [`embed`] without a progress bar of its own: calls `done` after each picture, from any thread.
///
/// # Errors
/// As [`embed`].
pub fn embed_silently(embedder: &dyn Embedder, split: &Split, done: &(dyn Fn() + Sync)) -> Result<Vec<Features>> {
    check_shape(embedder, split)?;
    let n = split.len();
    let vectors = embedder.vectors();
    let mut matrices: Vec<Vec<f32>> = vectors.iter().map(|v| vec![0.0; n * v.dim]).collect();
    // Task t owns rows t·PICTURES.. of every matrix.
    let mut tasks: Vec<Vec<&mut [f32]>> = (0..n.div_ceil(PICTURES)).map(|_| Vec::new()).collect();
    for (matrix, v) in matrices.iter_mut().zip(&vectors) {
        for (task, rows) in tasks.iter_mut().zip(matrix.chunks_mut(PICTURES * v.dim)) {
            task.push(rows);
        }
    }
    tasks.into_par_iter().enumerate().try_for_each(|(t, blocks)| -> Result<()> {
        let mut rows: Vec<_> = blocks.into_iter().zip(&vectors).map(|(b, v)| b.chunks_exact_mut(v.dim)).collect();
        for i in t * PICTURES..n.min((t + 1) * PICTURES) {
            let mut slices: Vec<&mut [f32]> = rows.iter_mut().filter_map(Iterator::next).collect();
            embedder.embed(split.image(i), &mut slices)?;
            done();
        }
        Ok(())
    })?;
    matrices.into_iter().zip(&vectors).map(|(values, v)| Features::new(n, v.dim, values)).collect()
}

/// Refuses pictures that the embedder cannot take.
fn check_shape(embedder: &dyn Embedder, split: &Split) -> Result<()> {
    let (side, channels) = embedder.takes();
    if (split.side(), split.channels()) == (side, channels) {
        return Ok(());
    }
    Err(Error::new(format!(
        "{} takes {side}x{side} pictures with {channels} channels, these are {}x{} with {}",
        embedder.name(),
        split.side(),
        split.side(),
        split.channels()
    ))
    .hint("load the pictures at the side and with the channels of the encoder"))
}
