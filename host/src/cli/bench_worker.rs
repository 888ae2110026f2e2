//! `ldae bench-worker`: one contender of `ldae bench`, in a process of its own. Not for people: requests come on standard input.

use super::Outcome;
use crate::Result;
use crate::bench::runtimes::worker::{Job, serve};
use std::path::PathBuf;

/// Arguments of `ldae bench-worker`.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the runtime.
    runtime: String,
    /// What it reads.
    file: PathBuf,
    /// Pictures that it is timed on.
    pictures: PathBuf,
    /// Bytes of a picture.
    pixels: usize,
    /// Components of an embedding.
    components: usize,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<Outcome> {
    serve(&Job {
        runtime: &args.runtime,
        file: &args.file,
        pictures: &args.pictures,
        sizes: (args.pixels, args.components),
    })?;
    Ok(Outcome::Passed)
}
