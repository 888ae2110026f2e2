//! `ldae data`: what is in a data set.

use super::{Outcome, Output};
use crate::Result;
use crate::data::{self, BadFile, Dataset, LoadOptions, Sizes, Split};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `ldae data`.
#[derive(clap::Args)]
pub struct Args {
    /// A folder of images, a tar file or a folder of them, a CIFAR or IDX folder, or `drawn`
    /// (`drawn:train=4000,test=1000,side=32,channels=3,seed=1`).
    source: String,
    /// Bring pictures to this height and width [default: the most common shorter side].
    #[arg(long, value_name = "PIXELS")]
    side: Option<usize>,
    /// 1 (grey) or 3 (RGB) [default: 3 if any picture is in colour].
    #[arg(long, value_name = "N")]
    channels: Option<usize>,
    /// Damaged files to list before giving up.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_bad: usize,
    /// At most this many pictures of each split.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Enlarge pictures smaller than `--side` instead of refusing them.
    #[arg(long)]
    upscale: bool,
    /// Keep decoded pictures in this folder, so that the next load is quick.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Write a contact sheet of the training pictures, one row per class.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
}

/// What the verb prints under `--json`.
#[derive(Serialize)]
struct Facts<'a> {
    name: &'a str,
    kind: &'a str,
    pictures: usize,
    side: usize,
    channels: usize,
    /// Before the resize.
    sizes: &'a Sizes,
    splits: Vec<SplitFacts>,
    classes: &'a [String],
    test_is_cut: bool,
    bad: &'a [BadFile],
    fingerprint: &'a str,
}

#[derive(Serialize)]
struct SplitFacts {
    name: &'static str,
    pictures: usize,
    /// Pictures of each class, where labels exist.
    per_class: Option<Vec<usize>>,
}

fn per_class(split: &Split, classes: usize) -> Option<Vec<usize>> {
    let mut counts = vec![0; classes];
    split.labels()?.iter().for_each(|&l| counts[usize::from(l)] += 1);
    Some(counts)
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let options = LoadOptions {
        side: args.side,
        channels: args.channels,
        max_bad: args.max_bad,
        limit: args.limit,
        cache: args.cache,
        upscale: args.upscale,
        ..LoadOptions::default()
    };
    let bar = out.progress("reading", 0);
    let dataset = data::load_with_progress(&args.source, &options, &mut |done, all| {
        bar.set_length(all.unwrap_or(done) as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if let Some(path) = &args.sheet {
        data::contact_sheet(&dataset.train, 12, path)?;
    }
    let splits: Vec<SplitFacts> = dataset
        .splits()
        .into_iter()
        .map(|(name, s)| SplitFacts { name, pictures: s.len(), per_class: per_class(s, dataset.classes.len()) })
        .collect();
    let facts = Facts {
        name: &dataset.name,
        kind: &dataset.kind,
        pictures: splits.iter().map(|s| s.pictures).sum(),
        side: dataset.side(),
        channels: dataset.channels(),
        sizes: &dataset.sizes,
        splits,
        classes: &dataset.classes,
        test_is_cut: dataset.test_is_cut,
        bad: &dataset.bad,
        fingerprint: &dataset.fingerprint,
    };
    let mut text = describe(&facts, &dataset);
    if let Some(path) = &args.sheet {
        let _ = write!(text, "\ncontact sheet   {}", path.display());
    }
    out.facts(&facts, text);
    Ok(Outcome::Passed)
}

/// The facts as text. Writing to a String cannot fail, so those results are dropped.
fn describe(facts: &Facts, dataset: &Dataset) -> String {
    let Facts { sizes, side, channels, .. } = facts;
    let size = |(w, h): (u32, u32)| format!("{w}x{h}");
    let mut text = format!("{}: {}\n", facts.name, facts.kind);
    let _ = write!(text, "pictures        {} at {side}x{side}x{channels}", facts.pictures);
    let _ = if sizes.distinct == 1 {
        write!(text, ", all {} before the resize", size(sizes.common))
    } else {
        write!(
            text,
            "\nbefore resize   {} sizes, {} to {}, most common {} ({})",
            sizes.distinct,
            size(sizes.min),
            size(sizes.max),
            size(sizes.common),
            sizes.common_count
        )
    };
    for split in &facts.splits {
        let cut = if dataset.test_is_cut && split.name == "test" { " (a tenth, cut from train)" } else { "" };
        let labels = if split.per_class.is_some() { "" } else { ", no labels" };
        let _ = write!(text, "\n{:<15} {}{labels}{cut}", split.name, split.pictures);
    }
    if facts.classes.is_empty() {
        text.push_str("\nclasses         none");
    } else {
        let _ = write!(text, "\nclasses         {}", facts.classes.len());
    }
    const SHOWN: usize = 100;
    let labelled: Vec<_> =
        facts.splits.iter().filter_map(|s| s.per_class.as_ref().map(|counts| (s.name, counts))).collect();
    for (c, class) in facts.classes.iter().enumerate().take(SHOWN) {
        let counts: Vec<String> = labelled.iter().map(|(name, counts)| format!("{} {name}", counts[c])).collect();
        let _ = write!(text, "\n  {c:>3} {class:<20} {}", counts.join(", "));
    }
    if facts.classes.len() > SHOWN {
        let _ = write!(text, "\n  ... (all with --json)");
    }
    if facts.bad.is_empty() {
        text.push_str("\nunreadable      none");
    } else {
        let _ = write!(text, "\nunreadable      {}", facts.bad.len());
        for bad in facts.bad.iter().take(SHOWN) {
            let _ = write!(text, "\n  {}: {}", bad.name, bad.reason);
        }
        if facts.bad.len() > SHOWN {
            let _ = write!(text, "\n  ... (all with --json)");
        }
    }
    let _ = write!(text, "\nfingerprint     {}", facts.fingerprint);
    text
}
