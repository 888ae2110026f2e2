//! `ldae sample`: pictures drawn by a run, as a grid, and how far they are from real ones in the space of an encoder.

use super::{Outcome, Output};
use crate::data::{self, Dataset, Split, contact_sheet};
use crate::eval::Features;
use crate::eval::embedder::embed;
use crate::eval::frechet::frechet_distance;
use crate::eval::subject::Subject;
use crate::run_dir::RunDir;
use crate::sample::{Generator, Request, Sampler};
use crate::train::checkpoint::Checkpoint;
use crate::train::device;
use crate::train::workers::Workers;
use crate::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Arguments of `ldae sample`.
#[derive(clap::Args)]
pub struct Args {
    /// Run directory of a recipe that draws pictures.
    run: PathBuf,
    /// Pictures.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Steps of the sampler.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// How a step is taken: ddim adds no noise, ancestral does.
    #[arg(long, value_enum, default_value_t = Sampler::Ddim)]
    sampler: Sampler,
    /// Class number, for runs that were told the classes [default: all in turn]
    #[arg(long)]
    class: Option<u16>,
    /// Random seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The grid as PNG [default: RUN/samples.png, which the report shows]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the Fréchet distance to real pictures in the embedding space of this run or .ldae file.
    #[arg(long, value_name = "ENCODER")]
    frechet: Option<PathBuf>,
    /// Real pictures for --frechet [default: those of ENCODER's run]
    #[arg(long, requires = "frechet")]
    data: Option<String>,
    /// Time step at which ENCODER embeds, 0 to 1000.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
    t: u16,
    /// Which checkpoint of the run.
    #[arg(long, value_parser = ["last", "best"], default_value = "last")]
    checkpoint: String,
    /// auto (a GPU if there is one), cpu, cuda or cuda:INDEX
    #[arg(long, default_value = "auto")]
    device: String,
}

/// What was drawn.
#[derive(Serialize)]
struct Facts {
    grid: PathBuf,
    recipe: String,
    step: u64,
    count: u32,
    steps: u32,
    sampler: Sampler,
    seed: u64,
    class: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frechet: Option<Distance>,
}

/// Fréchet distances in one embedding space, all between sets of the same number of pictures.
#[derive(Serialize)]
struct Distance {
    /// The encoder.
    encoder: PathBuf,
    /// Components of its embedding.
    components: usize,
    /// Pictures of each set.
    pictures: usize,
    /// Drawn pictures to held-out real ones.
    drawn: f64,
    /// Real training pictures to the same held-out ones: what perfect pictures would have.
    real: f64,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let run = RunDir::new(&args.run);
    let checkpoint = Checkpoint::load(&run.checkpoint(&args.checkpoint))?;
    let device = device::choose(&args.device)?;
    let generator = Generator::open(&checkpoint, &device)?;
    let request =
        Request { count: args.count, steps: args.steps, sampler: args.sampler, seed: args.seed, class: args.class };
    let labels = generator.labels(&request)?;
    // A GPU takes one part after the other.
    let workers = if device::is_cpu(&device) { Workers::all_cores()? } else { Workers::new(1)? };
    let bar = out.progress("samples", request.count.into());
    let pictures = generator.draw(&request, &workers, |count| bar.inc(count))?;
    bar.finish_and_clear();
    let spec = checkpoint.spec().encoder;
    // A row of the grid for each class, unless there is only one.
    let labels = labels.filter(|_| args.class.is_none());
    let drawn = Split::from_memory(pictures.concat(), spec.image.into(), spec.channels.into(), labels);

    let grid = args.out.unwrap_or_else(|| run.samples());
    contact_sheet(&drawn, columns(&drawn), &grid)?;
    let frechet =
        args.frechet.as_deref().map(|e| distance(e, args.t, args.data.as_deref(), &drawn, out)).transpose()?;
    let facts = Facts {
        grid,
        recipe: checkpoint.header.config.recipe.name.clone(),
        step: checkpoint.header.step,
        count: request.count,
        steps: request.steps,
        sampler: request.sampler,
        seed: request.seed,
        class: request.class,
        frechet,
    };
    out.facts(&facts, text(&facts));
    Ok(Outcome::Passed)
}

/// Pictures in a row: as many of each class as there are, or a square.
fn columns(drawn: &Split) -> usize {
    match drawn.labels() {
        Some(labels) => {
            let of = |class: u16| labels.iter().filter(|&&l| l == class).count();
            labels.iter().map(|&l| of(l)).max().unwrap_or(1).min(16)
        }
        None => (1..).find(|c| c * c >= drawn.len()).unwrap_or(1).min(32),
    }
}

fn text(facts: &Facts) -> String {
    let mut text = format!("{} pictures in {}", facts.count, facts.grid.display());
    if let Some(d) = &facts.frechet {
        text += &format!(
            "\nFréchet distance to held-out pictures in the {} components of {} ({} pictures a set):\n  drawn {:.3}, \
             training pictures {:.3}",
            d.components,
            d.encoder.display(),
            d.pictures,
            d.drawn,
            d.real
        );
    }
    text
}

/// Distance of the drawn pictures, and of as many training pictures, to as many held-out ones.
fn distance(encoder: &Path, t: u16, data: Option<&str>, drawn: &Split, out: &Output) -> Result<Distance> {
    let subject = Subject::open(encoder, "last")?;
    let spec = subject.spec()?;
    let source = subject.source_of_pictures(data)?;
    let dataset: Dataset = data::load(&source, &subject.load_options(data.is_none())?)?;
    let pictures = drawn.len().min(dataset.held_out().len()).min(dataset.train.len());
    if pictures < 2 {
        return Err(Error::new(format!("a Fréchet distance of {pictures} pictures says nothing"))
            .hint("draw more with --count, or give more with --data"));
    }
    if pictures <= spec.embedding() as usize {
        out.warn(format_args!(
            "{pictures} pictures do not span the {} components of the embedding: distances are too large; draw more with --count",
            spec.embedding()
        ));
    }
    let float = subject.float(t, &[spec.pooling])?;
    let features = |split: &Split, what: &str| -> Result<Features> {
        let split = split.limit(pictures).resized(spec.image.into(), spec.channels.into());
        let mut all = match &float {
            Some(encoder) => embed(encoder, &split, what, out)?,
            None => embed(&subject.integer()?[0], &split, what, out)?,
        };
        Ok(all.swap_remove(0))
    };
    let held_out = features(dataset.held_out(), "held-out")?;
    Ok(Distance {
        encoder: encoder.to_owned(),
        components: held_out.dim(),
        pictures,
        drawn: frechet_distance(&features(drawn, "drawn")?, &held_out)?,
        real: frechet_distance(&features(&dataset.train, "training")?, &held_out)?,
    })
}
