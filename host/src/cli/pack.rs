//! `ldae pack`: one core's flash image of an artifact.

use super::{Outcome, Output};
use crate::error::Context;
use crate::{Result, atomic, pack};
use std::path::PathBuf;

/// Arguments of `ldae pack`.
#[derive(clap::Args)]
pub struct Args {
    /// Artifact that `ldae export` wrote.
    encoder: PathBuf,
    /// Core: cortex-m0, cortex-m3, cortex-m4, cortex-m7, cortex-m33, cortex-m55, rv32imac, ...
    #[arg(long)]
    target: String,
    /// Where to write the image. Default: beside the artifact, named after the core.
    #[arg(long, short)]
    out: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let name = args.encoder.display().to_string();
    let bytes = std::fs::read(&args.encoder)
        .context(|| format!("cannot read {name}"))
        .map_err(|e| e.hint("give the .ldae file that `ldae export RUN` wrote"))?;
    let (image, facts) = pack::pack(&bytes, &args.target)?;
    let path = args.out.unwrap_or_else(|| args.encoder.with_extension(format!("{}.ldae", args.target)));
    atomic::write(&path, &image)?;
    let text = format!(
        "{}: {} bytes ({} canonical), layout {}, {} bytes of scratch on {}\nput it at a multiple of 16 bytes in flash",
        path.display(),
        facts.bytes,
        facts.canonical_bytes,
        facts.layout,
        facts.scratch_bytes,
        facts.target
    );
    out.facts(&serde_json::json!({ "image": path, "packed": facts }), text);
    Ok(Outcome::Passed)
}
