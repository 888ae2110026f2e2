//! Where the instructions of an inference go: by function, by source line and by mnemonic, exact.
//!
//! Every executed address is looked up in the firmware's debug information, through inlining: it counts for the innermost
//! function of ldae's crates around it. Assembly without debug information counts for its symbol.

use super::counts::Counts;
use super::machine::{Mnemonic, is_float, is_soft_float, mnemonics};
use crate::error::Context;
use crate::{Error, Result};
use addr2line::Loader;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// Crates whose functions instructions are attributed to.
const OURS: [&str; 2] = ["ldae_device::", "ldae_shared::"];
/// Module whose functions are the stages of an inference.
const ENGINE: &str = "ldae_device::engine::";

/// Instructions of one function inside another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Innermost function of ours.
    pub function: String,
    /// The stage that it was inlined into, or else the function of the program around it; the same name if there is none.
    pub within: String,
    /// Executed instructions.
    pub instructions: u64,
}

/// Instructions of one source line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// File and line, from the crate's folder on.
    pub at: String,
    /// Executed instructions.
    pub instructions: u64,
}

/// The profile of one inference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// All instructions of the inference.
    pub instructions: u64,
    /// By function, the most expensive first.
    pub functions: Vec<Row>,
    /// By source line of ours, the most expensive first.
    pub lines: Vec<Line>,
    /// By mnemonic, the most frequent first.
    pub mnemonics: Vec<Mnemonic>,
    /// Executed floating-point instructions, in hardware or in software: must be 0.
    pub float_instructions: u64,
}

/// The profile of `counts` with the symbols of `program`.
///
/// # Errors
/// The program is no ELF file that can be read.
pub fn profile(counts: &Counts, program: &Path) -> Result<Profile> {
    let unreadable = || format!("cannot read the symbols of {}", program.display());
    let loader = Loader::new(program)
        .map_err(|e| Error::new(format!("{}: {e}", unreadable())).hint("build the firmware again"))?;
    let (mut functions, mut lines) = (HashMap::<(String, String), u64>::new(), HashMap::<String, u64>::new());
    let (mut all, mut float) = (0, 0);
    for (&address, executed) in &counts.embed {
        let place = Place::find(&loader, address).with_error(unreadable)?;
        let mnemonic = executed.text.split_whitespace().next().unwrap_or_default();
        if is_float(mnemonic) || is_soft_float(&place.within) {
            float += executed.times;
        }
        all += executed.times;
        *functions.entry((place.function, place.within)).or_default() += executed.times;
        *lines.entry(place.line).or_default() += executed.times;
    }
    let mut functions: Vec<_> = functions
        .into_iter()
        .map(|((function, within), instructions)| Row { function, within, instructions })
        .collect();
    functions.sort_by(|a, b| (b.instructions, &a.function, &a.within).cmp(&(a.instructions, &b.function, &b.within)));
    let mut lines: Vec<_> = lines.into_iter().map(|(at, instructions)| Line { at, instructions }).collect();
    lines.sort_by(|a, b| (b.instructions, &a.at).cmp(&(a.instructions, &b.at)));
    let mnemonics = mnemonics(counts.embed.values());
    Ok(Profile { instructions: all, functions, lines, mnemonics, float_instructions: float })
}

/// Turns addr2line's error, which is no `std::error::Error` of our kind, into ours.
trait WithError<T> {
    fn with_error<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T> WithError<T> for std::result::Result<T, addr2line::gimli::Error> {
    fn with_error<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.context(what)
    }
}

/// What an address belongs to.
struct Place {
    function: String,
    within: String,
    line: String,
}

impl Place {
    fn find(loader: &Loader, address: u64) -> std::result::Result<Self, addr2line::gimli::Error> {
        let symbol = || loader.find_symbol(address).map_or_else(|| "unknown".to_owned(), name);
        let (mut ours, mut engine, mut outermost) = (None, None, None);
        let mut frames = loader.find_frames(address).map_err(|_| addr2line::gimli::Error::Io)?;
        while let Some(frame) = frames.next()? {
            let Some(function) = frame.function.as_ref().and_then(|f| f.raw_name().ok()).map(|raw| name(&raw)) else {
                continue;
            };
            // A method is written `<Type>::method` or `<Type as Trait>::method`.
            let path = function.trim_start_matches('<');
            if ours.is_none() && OURS.iter().any(|crate_name| path.starts_with(crate_name)) {
                ours = Some((function.clone(), frame.location.as_ref().map(line)));
            }
            if engine.is_none() && path.starts_with(ENGINE) {
                engine = Some(function.clone());
            }
            outermost = Some(function);
        }
        let (function, line) = ours.unwrap_or_else(|| (outermost.clone().unwrap_or_else(symbol), None));
        let within = engine.or(outermost).unwrap_or_else(|| function.clone());
        Ok(Place { line: line.unwrap_or_else(|| format!("({function})")), function, within })
    }
}

/// File, from the crate's folder on, and line.
fn line(location: &addr2line::Location<'_>) -> String {
    let file = location.file.unwrap_or("unknown");
    let from = file.rfind("/src/").and_then(|at| file[..at].rfind('/')).map_or(0, |at| at + 1);
    format!("{}:{}", &file[from..], location.line.unwrap_or(0))
}

/// A readable name: demangled, without hash and without the crates' names.
fn name(raw: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(raw))
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |n: u64| 100.0 * n as f64 / self.instructions.max(1) as f64;
        let short = |name: &str| OURS.iter().fold(name.to_owned(), |n, ours| n.replace(ours, ""));
        writeln!(f, "  instructions      %  function (inside)")?;
        for row in self.functions.iter().take(24) {
            let inside = if row.within == row.function { String::new() } else { format!(" ({})", short(&row.within)) };
            writeln!(f, "{:>14} {:>6.2}  {}{inside}", row.instructions, share(row.instructions), short(&row.function))?;
        }
        writeln!(f, "  instructions      %  source line")?;
        for line in self.lines.iter().take(16) {
            writeln!(f, "{:>14} {:>6.2}  {}", line.instructions, share(line.instructions), line.at)?;
        }
        write!(f, "  mnemonics:")?;
        for m in self.mnemonics.iter().take(16) {
            write!(f, " {} {:.1} %", m.name, share(m.instructions))?;
        }
        write!(f, "\n  floating-point instructions: {}", self.float_instructions)
    }
}
