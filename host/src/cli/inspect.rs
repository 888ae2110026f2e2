//! `ldae inspect`: layers, MACs, flash, exact RAM and boards of a preset, a run or an artifact; what an ONNX file holds.

use super::{Outcome, Output};
use crate::Result;
use crate::inspect::{APPLICATION_FLASH, APPLICATION_RAM, BOARDS, Inspection, inspect, inspect_onnx_file};
use ldae_shared::spec::PRESETS;
use std::fmt::Write;
use std::path::Path;

/// Arguments of `ldae inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// Preset name, run directory, .ldae, .onnx or checkpoint file, or `all` for a table of the presets.
    what: String,
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    if args.what == "all" {
        let all: Vec<Inspection> = PRESETS.iter().map(|p| inspect(p.name)).collect::<Result<_>>()?;
        out.facts(&serde_json::json!({ "models": all, "boards": BOARDS }), overview(&all));
    } else if Path::new(&args.what).extension().is_some_and(|x| x == "onnx") {
        let file = inspect_onnx_file(Path::new(&args.what))?;
        out.facts(&file, &file);
    } else {
        let one = inspect(&args.what)?;
        out.facts(&one, detail(&one));
    }
    Ok(Outcome::Passed)
}

/// Markdown, so that it can be pasted into documents.
fn overview(all: &[Inspection]) -> String {
    let mut t = String::from(
        "| preset | image | patch | N | K | W | L | H | E | MMAC | parameters | flash KB | scratch KB | fits |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
    );
    for i in all {
        let s = &i.shape;
        let fits = if i.fits.is_empty() { "Linux boards".to_owned() } else { i.fits.join(", ") };
        let _ = writeln!(
            t,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} | {:.0} | {:.1} | {fits} |",
            i.name,
            s.image,
            s.patch,
            s.tokens,
            s.rank,
            s.width,
            s.depth,
            s.heads,
            s.embedding,
            i.macs as f64 / 1e6,
            i.parameters,
            kb(i.flash_bytes),
            kb(i.scratch_bytes)
        );
    }
    t.push('\n');
    for b in BOARDS {
        let _ = writeln!(
            t,
            "{:<15} {:<11} RAM {:>4.0} KB, flash {:>4.0} KB. {}",
            b.name,
            b.core,
            kb(b.ram),
            kb(b.flash),
            b.source
        );
    }
    let _ = write!(
        t,
        "A model fits when scratch, picture, embedding and stack leave {:.0} KB of the largest block of RAM, and the artifact {:.0} KB of \
         flash, to the application.",
        kb(APPLICATION_RAM),
        kb(APPLICATION_FLASH)
    );
    t
}

fn detail(i: &Inspection) -> String {
    let mut t = format!("{}: {}\n\n", i.name, i.shape);
    let _ = writeln!(t, "{:<20} {:>12} {:>10} {:>12}", "layer", "MACs", "weights", "flash bytes");
    for l in &i.layers {
        let _ = writeln!(t, "{:<20} {:>12} {:>10} {:>12}", l.name, l.macs, l.weights, l.flash_bytes);
    }
    let weights: u64 = i.layers.iter().map(|l| l.weights).sum();
    let _ = writeln!(t, "{:<20} {:>12} {:>10} {:>12}", "total", i.macs, weights, i.flash_bytes);
    let _ = writeln!(
        t,
        "biases make it {} parameters; the file also holds header, section table and preprocessing\n",
        i.parameters
    );
    let kind = if i.artifact.is_some() { "the file" } else { "artifact without optional sections" };
    let _ = writeln!(t, "flash    {:>9} bytes ({kind})", i.flash_bytes);
    let _ = writeln!(t, "scratch  {:>9} bytes (portable kernel, exact, one block)", i.scratch_bytes);
    let _ = writeln!(t, "picture  {:>9} bytes", i.picture_bytes);
    let _ = writeln!(t, "codes    {:>9} bytes", i.embedding_bytes);
    let _ = writeln!(
        t,
        "\n{:<15} {:<11} {:<10} {:>8} {:>7} {:>7} {:>8} {:>8} {:>9}  fits",
        "board", "core", "weights", "scratch", "stack", "codes", "picture", "RAM", "flash"
    );
    for b in &i.boards {
        let _ = writeln!(
            t,
            "{:<15} {:<11} {:<10} {:>8} {:>7} {:>7} {:>8} {:>8} {:>9}  {}",
            b.board,
            b.core,
            b.layout,
            b.scratch,
            b.stack,
            b.codes,
            b.picture,
            b.ram,
            b.flash,
            if b.fits { "yes" } else { "no" }
        );
    }
    t.truncate(t.trim_end().len());
    if let Some(a) = &i.artifact {
        let _ = write!(
            t,
            "\n\nidentity {}\nCRC-32   {}\nt        {}\nvectors  {}\n",
            a.identity, a.crc, a.time_step, a.test_vectors
        );
        for (name, at, length) in &a.sections {
            let _ = write!(t, "\nsection  {name:<22} at {at:>8}, {length:>8} bytes");
        }
        for (k, v) in &a.provenance {
            let _ = write!(t, "\n{k} = {v}");
        }
    }
    t
}

fn kb(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
