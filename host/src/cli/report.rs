//! `ldae report`: one self-contained page of a run, and its model card.

use super::{Outcome, Output};
use crate::Result;
use crate::report;
use crate::run_dir::RunDir;
use std::path::PathBuf;

/// Arguments of `ldae report`.
#[derive(clap::Args)]
pub struct Args {
    /// Run directory written by `ldae train`.
    run: PathBuf,
    /// Pictures to show [default: the run's own]
    #[arg(long)]
    data: Option<String>,
    /// Where to write the page; the model card goes beside it [default: RUN/report.html]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let run = RunDir::new(&args.run);
    let material = report::collect(&run, args.data.as_deref(), out)?;
    let page = args.out.unwrap_or_else(|| run.report());
    let card = page.with_file_name("card.md");
    report::write(&material, &page, &card)?;
    let facts = serde_json::json!({ "report": page, "card": card });
    out.facts(&facts, format!("report {}\ncard   {}", page.display(), card.display()));
    Ok(Outcome::Passed)
}
