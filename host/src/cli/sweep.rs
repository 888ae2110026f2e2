//! `ldae sweep`: a grid over recipes or settings and several seeds: one table and one plot with error bars.

use super::{Outcome, Output};
use crate::eval::evaluation::Protocol;
use crate::eval::knn;
use crate::sweep::{self, Budget, Grid, Pictures, Shard, Sweep};
use crate::train::{TrainOptions, device};
use crate::{Error, Result};
use std::path::PathBuf;

/// Arguments of `ldae sweep`.
#[derive(clap::Args)]
#[group(id = "which", required = true, multiple = false, args = ["grid", "road", "ranks", "noise"])]
pub struct Args {
    /// TOML file with `seeds`, a table `base` of options of `ldae train`, and a table `axes` of lists
    #[arg(long, value_name = "FILE", help_heading = "Grid")]
    grid: Option<PathBuf>,
    /// Every recipe on the road from DDM to l-DAE, and what they are compared with
    #[arg(long, help_heading = "Grid")]
    road: bool,
    /// PCA ranks
    #[arg(long, help_heading = "Grid")]
    ranks: bool,
    /// Single noise levels
    #[arg(long, help_heading = "Grid")]
    noise: bool,
    /// How much the cells of a built-in grid train, where no option says it [default: small]
    #[arg(long, value_enum, help_heading = "Grid")]
    budget: Option<Budget>,
    /// Seeds of each setting: so many from --seed on [default: the file's, else 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Grid")]
    seeds: Option<u32>,
    /// Directory of the cells, their results, and sweep.html; a sweep that is there goes on
    #[arg(long)]
    out: PathBuf,
    /// Only part i of n of the cells; without it the same command merges the parts
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Train and evaluate everything again
    #[arg(long)]
    overwrite: bool,
    /// Print the table in Markdown
    #[arg(long)]
    md: bool,
    /// auto (a GPU if there is one), cpu, cuda or cuda:INDEX
    #[arg(long, default_value = "auto")]
    device: String,
    /// Neighbours that vote in k-NN
    #[arg(long, default_value_t = knn::K as u32, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Evaluation")]
    k: u32,
    /// k-NN only, no linear probes
    #[arg(long, help_heading = "Evaluation")]
    no_probe: bool,
    /// Also score the trained encoders at these time steps, on clean and on noised pictures
    #[arg(long, value_name = "LIST", num_args = 0..=1, value_delimiter = ',', default_missing_value = super::eval::TIMES,
        value_parser = clap::value_parser!(u16).range(0..=1000), help_heading = "Evaluation")]
    t_sweep: Vec<u16>,
    /// Score with at most so many training and so many held-out pictures, a fixed random choice
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Evaluation")]
    eval_limit: Option<u32>,
    #[command(flatten)]
    options: TrainOptions,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let (file, base) = match &args.grid {
        Some(path) => {
            let (grid, base) = Grid::from_file(path)?;
            (Some(grid), args.options.or(base))
        }
        None => (None, args.options),
    };
    let budget = args.budget.or((args.grid.is_none()).then_some(Budget::Small));
    let options = budget.map_or(base.clone(), |b| base.or(b.options()));
    let mut pictures = Pictures::default();
    let grid = match file {
        Some(grid) => grid,
        None if args.road => sweep::road(),
        None if args.noise => sweep::noise(),
        None => sweep::ranks(&options, pictures.of(&options)?.channels())?,
    };
    let seeds = seeds(args.seeds, &options, &grid);
    let cells = sweep::cells(&grid, &options, &seeds)?;
    let source = cells[0].options.data.clone();
    let labelled = pictures.of(&cells[0].options)?;
    if labelled.train.labels().is_none() || labelled.held_out().labels().is_none() {
        return Err(Error::new(format!("the pictures of {} have no labels", labelled.name)).hint(
            "a sweep compares by k-NN and probe, which need classes: one folder per class, CIFAR, IDX or `drawn`",
        ));
    }
    let limit = args.eval_limit.map(|n| n as usize);
    let protocol = Protocol {
        k: args.k as usize,
        probe: !args.no_probe,
        train_limit: limit,
        test_limit: limit,
        ..Protocol::default()
    };
    let device = device::choose(&args.device)?;
    let job = Sweep {
        root: &args.out,
        cells: &cells,
        protocol: &protocol,
        times: &args.t_sweep,
        shard: args.shard,
        overwrite: args.overwrite,
        device: &device,
    };
    let results = sweep::run(&job, &mut pictures, out)?;
    let summary =
        sweep::summarise(&grid.name, &source.unwrap_or_default(), &sweep::describe_limits(&protocol), &cells, &results);
    let written = if args.shard.is_none() {
        sweep::write(&args.out, &summary)?;
        format!("\nwritten to {}", args.out.join("sweep.html").display())
    } else {
        "\nrun the same command without --shard to merge all parts into sweep.html".to_owned()
    };
    let text = if args.md { sweep::markdown(&summary) } else { sweep::text(&summary) + &written };
    out.facts(&summary, text);
    // What other shards have failed is their exit status.
    let mine = |name: &str| cells.iter().any(|c| c.name == name && args.shard.is_none_or(|s| s.has(c.index)));
    let failed = summary.failed.iter().any(|f| mine(&f.cell));
    Ok(if failed { Outcome::CheckFailed } else { Outcome::Passed })
}

/// So many from the options' seed on; else the grid's own; else three.
fn seeds(asked: Option<u32>, options: &TrainOptions, grid: &Grid) -> Vec<u64> {
    let first = options.seed.unwrap_or(1);
    match (asked, grid.seeds.as_slice()) {
        (None, own) if !own.is_empty() => own.to_vec(),
        (asked, _) => (0..u64::from(asked.unwrap_or(3))).map(|i| first.wrapping_add(i)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_the_callers_the_files_or_three() {
        let grid = Grid { seeds: vec![7, 9], ..Grid::default() };
        let options = TrainOptions { seed: Some(5), ..TrainOptions::default() };
        assert_eq!(seeds(None, &options, &grid), [7, 9]);
        assert_eq!(seeds(Some(2), &options, &grid), [5, 6]);
        assert_eq!(seeds(None, &TrainOptions::default(), &Grid::default()), [1, 2, 3]);
    }
}
