//! `ldae embed`: pictures to a .npy matrix, with their names and labels beside it.

use super::eval::{adjust, pooling};
use super::{Outcome, Output};
use crate::data::{self, Dataset, Split};
use crate::error::Context;
use crate::eval::artifact::IntegerEncoder;
use crate::eval::embedder::{Embedder, embed_silently};
use crate::eval::subject::Subject;
use crate::{Error, Result, atomic};
use ldae_shared::npy;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Pictures embedded between two writes: bounds the memory (64 MB at 2,048 components).
const BLOCK: usize = 8192;

/// Arguments of `ldae embed`.
#[derive(clap::Args)]
pub struct Args {
    /// A run directory (float, raw pooled values) or a .ldae file (integer, standardised values).
    subject: PathBuf,
    /// Pictures: a folder, a tar, CIFAR, IDX, or `drawn`. Default: the run's own.
    #[arg(long)]
    data: Option<String>,
    /// The .npy file; NAME.names.txt and, where classes are known, NAME.labels.txt are written beside it.
    #[arg(long)]
    out: PathBuf,
    /// Which pictures.
    #[arg(long, value_parser = ["all", "train", "val", "test", "unlabelled"], default_value = "all")]
    split: String,
    /// At most so many pictures, a fixed random choice.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Signed bytes as the device computes them instead of f32 (.ldae files only).
    #[arg(long)]
    codes: bool,
    /// mean, mean-std or grid2x2 (runs only). Default: the run's.
    #[arg(long)]
    pooling: Option<String>,
    /// Time step of the encoder, 0 to 1000 (runs only). Default: the run's.
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1000))]
    t: Option<u16>,
    /// Which checkpoint of the run.
    #[arg(long, value_parser = ["last", "best"], default_value = "last")]
    checkpoint: String,
    /// Damaged files that are tolerated.
    #[arg(long)]
    max_bad: Option<usize>,
    /// Enlarge pictures that are smaller than the encoder's.
    #[arg(long)]
    upscale: bool,
}

/// What was written.
#[derive(Serialize)]
struct Facts {
    file: String,
    names: String,
    labels: Option<String>,
    pictures: usize,
    components: usize,
    dtype: &'static str,
    standardised: bool,
    skipped: usize,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let subject = Subject::open(&args.subject, &args.checkpoint)?;
    let is_run = subject.is_run();
    if args.codes && is_run {
        return Err(Error::new("a run has no integer codes")
            .hint("export it first with `ldae export`, then embed with the .ldae file"));
    }
    if args.pooling.is_some() && !is_run {
        return Err(Error::new("an exported encoder has one pooling only").hint("leave out --pooling"));
    }
    if let Some(folder) = args.out.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir()) {
        return Err(
            Error::new(format!("there is no folder {}", folder.display())).hint("create it, or choose another --out")
        );
    }
    let own = subject.spec()?.pooling;
    let pooling = args.pooling.as_deref().map_or(Ok(own), pooling)?;
    let source = subject.source_of_pictures(args.data.as_deref())?;
    let mut options = subject.load_options(args.data.is_none())?;
    adjust(&mut options, args.max_bad, args.upscale);
    let dataset = data::load(&source, &options)?;
    let splits = chosen(&dataset, &args.split, args.limit.map(|n| n as usize))?;

    let float = subject.float(subject.time_step(args.t), &[pooling])?;
    let integer = subject.integer()?;
    let (dim, dtype) = match (&float, integer.first()) {
        (Some(e), _) => (e.vectors()[0].dim, npy::Type::F32),
        (None, Some(e)) => (e.vectors()[0].dim, if args.codes { npy::Type::I8 } else { npy::Type::F32 }),
        (None, None) => return Err(Error::new("there is no encoder in it")),
    };
    let pictures: usize = splits.iter().map(Split::len).sum();
    let (names, labels) = sidecars(&args.out, &dataset, &splits)?;
    let bar = out.progress("embed", pictures as u64);
    let done = || bar.inc(1);
    atomic::write_with(&args.out, |file| {
        let cannot = || format!("cannot write {}", args.out.display());
        file.write_all(&npy::header(dtype, pictures, dim)).context(cannot)?;
        for block in splits.iter().flat_map(blocks) {
            let bytes = match (&float, integer.first()) {
                (None, Some(e)) if args.codes => codes(e, &block, &done)?,
                (Some(e), _) => floats(e, &block, &done)?,
                (None, Some(e)) => floats(e, &block, &done)?,
                (None, None) => Vec::new(),
            };
            file.write_all(&bytes).context(cannot)?;
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    let facts = Facts {
        file: args.out.display().to_string(),
        names: names.display().to_string(),
        labels: labels.map(|l| l.display().to_string()),
        pictures,
        components: dim,
        dtype: dtype.name(),
        standardised: !is_run,
        skipped: dataset.bad.len(),
    };
    let labels = facts.labels.as_ref().map(|l| format!(", classes in {l}")).unwrap_or_default();
    let kind = if is_run { "pooled as they are" } else { "standardised" };
    let text = format!(
        "{pictures} pictures x {dim} components ({}, {kind}) in {}, names in {}{labels}",
        facts.dtype, facts.file, facts.names
    );
    out.facts(&facts, text);
    Ok(Outcome::Passed)
}

/// The splits to embed, in the order train, val, test, unlabelled.
fn chosen(dataset: &Dataset, name: &str, limit: Option<usize>) -> Result<Vec<Split>> {
    let mut splits: Vec<Split> = dataset
        .splits()
        .into_iter()
        .filter(|(split, _)| name == "all" || *split == name)
        .map(|(_, split)| split.clone())
        .collect();
    if splits.iter().all(Split::is_empty) {
        let present: Vec<&str> = dataset.splits().iter().filter(|s| !s.1.is_empty()).map(|s| s.0).collect();
        return Err(Error::new(format!("{} has no {name} pictures", dataset.name))
            .hint(format!("it has: {}", present.join(", "))));
    }
    if let Some(limit) = limit {
        let all: usize = splits.iter().map(Split::len).sum();
        // The limit is shared out in proportion, the remainder to the first splits.
        let (mut left, mut of) = (limit.min(all), all);
        for split in &mut splits {
            let share = (left * split.len()).div_ceil(of.max(1));
            of -= split.len();
            left -= share;
            *split = split.limit(share);
        }
    }
    Ok(splits)
}

/// A split cut into consecutive blocks.
fn blocks(split: &Split) -> impl Iterator<Item = Split> + use<'_> {
    (0..split.len()).step_by(BLOCK).map(|first| {
        let rows: Vec<u32> = (first as u32..split.len().min(first + BLOCK) as u32).collect();
        split.subset(&rows)
    })
}

fn floats(embedder: &dyn Embedder, block: &Split, done: &(dyn Fn() + Sync)) -> Result<Vec<u8>> {
    let features = embed_silently(embedder, block, done)?;
    Ok(features[0].values().iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn codes(encoder: &IntegerEncoder<'_>, block: &Split, done: &(dyn Fn() + Sync)) -> Result<Vec<u8>> {
    let rows: Vec<Vec<i8>> = (0..block.len())
        .into_par_iter()
        .map(|i| encoder.codes(block.image(i)).inspect(|_| done()))
        .collect::<Result<_>>()?;
    Ok(rows.into_iter().flatten().map(i8::cast_unsigned).collect())
}

/// Writes one line per row: the picture's name, and its class where the data set has classes (empty where it has none).
fn sidecars(npy: &Path, dataset: &Dataset, splits: &[Split]) -> Result<(PathBuf, Option<PathBuf>)> {
    let names = npy.with_extension("names.txt");
    let mut text = String::new();
    for split in splits {
        for i in 0..split.len() {
            // A line feed in a name would shift every line after it.
            text.push_str(&split.name(i).replace('\n', "?"));
            text.push('\n');
        }
    }
    atomic::write(&names, text.as_bytes())?;
    if splits.iter().all(|s| s.labels().is_none()) {
        return Ok((names, None));
    }
    let labels = npy.with_extension("labels.txt");
    let mut text = String::new();
    for split in splits {
        for i in 0..split.len() {
            if let Some(label) = split.label(i) {
                let class = dataset.classes.get(usize::from(label)).map_or_else(|| label.to_string(), String::clone);
                text.push_str(&class.replace('\n', "?"));
            }
            text.push('\n');
        }
    }
    atomic::write(&labels, text.as_bytes())?;
    Ok((names, Some(labels)))
}

#[cfg(test)]
mod tests {
    use ldae_shared::npy::{Type, header};
    use ndarray::Array2;
    use ndarray_npy::ReadNpyExt;

    #[test]
    fn another_reader_reads_the_matrix() {
        let mut file = header(Type::F32, 1, 2);
        file.extend([1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
        assert_eq!(Array2::<f32>::read_npy(&file[..]).unwrap(), ndarray::arr2(&[[1.5, -2.0]]));
        let mut file = header(Type::I8, 2, 2);
        file.extend([129, 127, 0, 5]);
        assert_eq!(Array2::<i8>::read_npy(&file[..]).unwrap(), ndarray::arr2(&[[-127, 127], [0, 5]]));
    }
}
