//! `ldae bench`: latency of an exported encoder on this machine.

use super::{Outcome, Output};
use crate::error::Context;
use crate::{Error, Result, bench};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `ldae bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Artifact (.ldae).
    encoder: PathBuf,
    /// Threads of the throughput measurement [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let name = args.encoder.display().to_string();
    let threads = match args.threads {
        Some(0) => return Err(Error::new("--threads is 0").hint("give at least 1")),
        Some(n) => n,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let bytes = std::fs::read(&args.encoder)
        .context(|| format!("cannot read {name}"))
        .map_err(|e| e.hint("give the .ldae file that `ldae export RUN` wrote"))?;
    let t = bench::measure(&name, &bytes, threads)?;
    let mut text = format!(
        "{name}: {} bytes, {:.2} MMAC a picture\nload and validate  {:>10.1} us (median)\n",
        t.artifact_bytes,
        t.macs as f64 / 1e6,
        t.load_us
    );
    for k in &t.kernels {
        let _ = writeln!(
            text,
            "embed, {:<11} {:>10.1} us (median of {}; 10 % {:.1}, 90 % {:.1}), {:.2} GMAC/s",
            k.kernel,
            k.median_us,
            k.calls,
            k.q10_us,
            k.q90_us,
            k.macs_per_second / 1e9
        );
    }
    let _ = write!(text, "throughput         {:>10.0} pictures/s on {} threads", t.pictures_per_second, t.threads);
    out.facts(&t, text);
    Ok(Outcome::Passed)
}
