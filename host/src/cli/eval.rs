//! `ldae eval`: how good the embeddings of a run or an artifact are, beside the baselines.

use super::{Outcome, Output};
use crate::atomic;
use crate::data::{self, LoadOptions};
use crate::error::Context;
use crate::eval::comparison::{Request, compare};
use crate::eval::curve::Layers;
use crate::eval::evaluation::{DEFAULT_MEMORY, Protocol};
use crate::eval::knn;
use crate::eval::subject::Subject;
use crate::{Error, Result};
use ldae_shared::spec::Pooling;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `ldae eval`.
#[derive(clap::Args)]
pub struct Args {
    /// A run directory (its exported encoders are evaluated too), or one .ldae file.
    subject: PathBuf,
    /// Labelled pictures: a folder with one folder per class, a tar, CIFAR, IDX, or `drawn`. Default: the run's own.
    #[arg(long)]
    data: Option<String>,
    /// all, or a list of mean, mean-std, grid2x2. Of a .ldae file: the one it was exported with.
    #[arg(long, default_value = "all", value_delimiter = ',')]
    pooling: Vec<String>,
    /// At most so many training and so many held-out pictures, a fixed random choice.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Time step of the encoder, 0 to 1000. Default: the run's.
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1000))]
    t: Option<u16>,
    /// Neighbours that vote in k-NN.
    #[arg(long, default_value_t = knn::K as u32, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,
    /// Train linear probes (the default).
    #[arg(long, overrides_with = "no_probe")]
    probe: bool,
    /// k-NN only, no linear probes.
    #[arg(long)]
    no_probe: bool,
    /// Also score the trained encoder at these time steps (a list; without one 0 to 1000 in nine steps), on clean and noised pictures.
    #[arg(long, value_name = "LIST", num_args = 0..=1, value_delimiter = ',', default_missing_value = TIMES,
        value_parser = clap::value_parser!(u16).range(0..=1000))]
    t_sweep: Vec<u16>,
    /// Also score the tokens after these blocks of the encoder: all, or a list (0: before any block).
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    layer: Vec<String>,
    /// Also train probes on 1 % and 10 % of the labels.
    #[arg(long)]
    few_label: bool,
    /// Also fine-tune the encoder with labels for so many epochs (100 when left out), beside the same from initial weights.
    #[arg(long, value_name = "EPOCHS", num_args = 0..=1, default_missing_value = "100", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    fine_tune: Option<u32>,
    /// Evaluate raw pixels, PCA latents and the untrained encoder too.
    #[arg(long, value_enum, default_value_t = Baselines::All)]
    baselines: Baselines,
    /// Also train the same encoder with labels, for STEPS steps (as many as the run when left out), as a yardstick.
    #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "0")]
    supervised: Option<u64>,
    /// Which checkpoint of the run.
    #[arg(long, value_parser = ["last", "best"], default_value = "last")]
    checkpoint: String,
    /// MiB for the features of one embedding; of larger training sets a fixed random choice that fits is used.
    #[arg(long, default_value_t = DEFAULT_MEMORY >> 20, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    memory: u64,
    /// Damaged files that are tolerated.
    #[arg(long)]
    max_bad: Option<usize>,
    /// Enlarge pictures that are smaller than the encoder's.
    #[arg(long)]
    upscale: bool,
    /// Name of the result in RUN/eval/. Default: the data set's name.
    #[arg(long)]
    name: Option<String>,
}

/// [`crate::eval::curve::TIMES`].
pub(super) const TIMES: &str = "0,10,20,40,80,160,320,640,1000";

#[derive(Clone, Copy, clap::ValueEnum)]
enum Baselines {
    /// All of them.
    All,
    /// None.
    None,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let poolings = poolings(&args.pooling)?;
    let name = args.name.as_deref().map(file_name).transpose()?;
    let subject = Subject::open(&args.subject, &args.checkpoint)?;
    let source = subject.source_of_pictures(args.data.as_deref())?;
    let mut options = subject.load_options(args.data.is_none())?;
    adjust(&mut options, args.max_bad, args.upscale);
    let dataset = data::load(&source, &options)?;
    let limit = args.limit.map(|n| n as usize);
    let protocol = Protocol {
        k: args.k as usize,
        probe: !args.no_probe,
        few_label: args.few_label,
        train_limit: limit,
        test_limit: limit,
        memory: args.memory << 20,
    };
    let baselines = matches!(args.baselines, Baselines::All);
    let request = Request {
        poolings,
        t: subject.time_step(args.t),
        baselines,
        pixels: baselines,
        supervised: args.supervised,
        times: args.t_sweep,
        layers: layers(&args.layer)?,
        fine_tune: args.fine_tune,
        protocol,
    };
    let evaluation = compare(&subject, &dataset, &request, out)?;

    let written = match &subject.run {
        Some(run) => {
            let stem = name.unwrap_or_else(|| default_name(&dataset.name, &args.subject, subject.is_run()));
            let path = run.eval(&stem);
            let json = serde_json::to_vec_pretty(&evaluation).context(|| "cannot write the evaluation as JSON")?;
            fs::create_dir_all(path.parent().unwrap_or(run.root()))
                .context(|| format!("cannot create {}", path.display()))?;
            atomic::write(&path, &json)?;
            Some(path.display().to_string())
        }
        None => None,
    };
    let place = written
        .as_ref()
        .map_or("not written: the artifact lies in no run directory".into(), |p| format!("written to {p}"));
    let mut facts = serde_json::to_value(&evaluation).context(|| "cannot write the evaluation as JSON")?;
    facts["file"] = written.into();
    out.facts(&facts, format!("{evaluation}{place}"));
    Ok(Outcome::Passed)
}

/// Options shared by all verbs that load pictures for an encoder.
pub(super) fn adjust(options: &mut LoadOptions, max_bad: Option<usize>, upscale: bool) {
    options.max_bad = max_bad.unwrap_or(options.max_bad);
    options.upscale |= upscale;
}

/// Empty for `all`.
fn poolings(names: &[String]) -> Result<Vec<Pooling>> {
    if names.iter().any(|n| n == "all") {
        return Ok(Vec::new());
    }
    names.iter().map(|name| pooling(name)).collect()
}

/// Which blocks `--layer` names.
fn layers(names: &[String]) -> Result<Layers> {
    match names {
        [] => Ok(Layers::None),
        [all] if all == "all" => Ok(Layers::All),
        names => names
            .iter()
            .map(|n| {
                n.parse()
                    .map_err(|_| Error::new(format!("`{n}` is no block")).hint("give --layer all, or numbers: 0,2,4"))
            })
            .collect::<Result<_>>()
            .map(Layers::Some),
    }
}

/// One pooling by name.
pub(super) fn pooling(name: &str) -> Result<Pooling> {
    Pooling::from_name(name).ok_or_else(|| {
        Error::new(format!("unknown pooling {name}")).hint("the poolings are mean, mean-std and grid2x2")
    })
}

/// A name that stays inside RUN/eval.
fn file_name(name: &str) -> Result<String> {
    let plain = name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) && !name.starts_with('.');
    if name.is_empty() || !plain {
        return Err(
            Error::new(format!("{name:?} cannot name a file")).hint("use letters, digits, '-', '_' and '.' for --name")
        );
    }
    Ok(name.to_owned())
}

/// The data set's name; of an artifact with the file's stem behind it.
fn default_name(dataset: &str, subject: &Path, is_run: bool) -> String {
    let plain = |s: &str| s.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    let dataset: String = plain(dataset);
    if is_run {
        return dataset;
    }
    let stem: String = plain(&subject.file_stem().unwrap_or_default().to_string_lossy());
    format!("{dataset}-{stem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_poolings_and_files() {
        assert_eq!(poolings(&["all".into()]).unwrap(), []);
        assert_eq!(poolings(&["mean".into(), "grid2x2".into()]).unwrap(), [Pooling::Mean, Pooling::Grid2x2]);
        assert!(poolings(&["max".into()]).is_err());
        assert_eq!(layers(&["all".into()]).unwrap(), Layers::All);
        assert_eq!(layers(&["0".into(), "3".into()]).unwrap(), Layers::Some(vec![0, 3]));
        assert!(layers(&["-1".into()]).is_err());
        assert_eq!(TIMES, crate::eval::curve::TIMES.map(|t| t.to_string()).join(","));
        assert!(file_name("cifar-10_t.20").is_ok());
        for bad in ["", "../x", "a/b", ".x"] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
        assert_eq!(default_name("cifar 10", Path::new("r/export/a.b.ldae"), false), "cifar-10-a-b");
    }
}
