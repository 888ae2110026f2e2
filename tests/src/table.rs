//! The table of suites × runtimes, and what is printed below it.

use crate::suite::Found;
use std::fmt::Write;

/// What became of a suite on a runtime.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// It passed.
    Passed(Found),
    /// It failed, with the cause.
    Failed(String),
    /// The runtime leaves it out, with the reason.
    Ignored(String),
    /// This machine lacks the runtime.
    Skipped,
}

/// A column: a runtime with its cells, one for each suite.
pub struct Column {
    /// Name of the runtime.
    pub runtime: String,
    /// Why it is skipped on this machine.
    pub missing: Option<String>,
    /// In the order of the suites.
    pub cells: Vec<Cell>,
}

impl Cell {
    fn short(&self) -> String {
        match self {
            Cell::Passed(found) if found.worst == 0.0 => "ok".to_owned(),
            Cell::Passed(found) => format!("ok {:.0e}", found.worst),
            Cell::Failed(_) => "FAILED".to_owned(),
            Cell::Ignored(_) => "ignored".to_owned(),
            Cell::Skipped => "skipped".to_owned(),
        }
    }
}

/// Runtimes downwards, suites across, then everything that a short cell leaves out.
pub fn render(suites: &[&str], columns: &[Column]) -> String {
    let mut text = String::new();
    let name = columns.iter().map(|c| c.runtime.len()).max().unwrap_or(0).max("runtime".len());
    let width = |i: usize| columns.iter().map(|c| c.cells[i].short().len()).max().unwrap_or(0).max(suites[i].len());
    let mut line = |first: &str, cells: &mut dyn Iterator<Item = String>| {
        let _ = write!(text, "{first:<name$}"); // writing to a String does not fail
        for (i, cell) in cells.enumerate() {
            let _ = write!(text, "  {cell:<0$}", width(i));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    };
    line("runtime", &mut suites.iter().map(|s| (*s).to_owned()));
    for column in columns {
        line(&column.runtime, &mut column.cells.iter().map(Cell::short));
    }
    let missing = columns.iter().filter_map(|c| Some((c.missing.as_deref()?, c.runtime.as_str())));
    group(&mut text, "skipped", missing);
    for (what, pick) in [("ignored", ignored as fn(&Cell) -> Option<&str>), ("FAILED", failed)] {
        let cells = columns.iter().flat_map(|c| suites.iter().zip(&c.cells).map(move |(s, cell)| (c, s, cell)));
        let named = cells.filter_map(|(c, s, cell)| Some((format!("{s}: {}", pick(cell)?), c.runtime.as_str())));
        let named: Vec<(String, &str)> = named.collect();
        group(&mut text, what, named.iter().map(|(reason, runtime)| (reason.as_str(), *runtime)));
    }
    text
}

/// One line for each reason, with the runtimes that share it.
fn group<'a>(text: &mut String, what: &str, reasons: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (reason, runtime) in reasons {
        match groups.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, runtimes)) => runtimes.push(runtime),
            None => groups.push((reason, vec![runtime])),
        }
    }
    for (reason, runtimes) in groups {
        let _ = writeln!(text, "{what}: {reason} ({})", runtimes.join(", "));
    }
}

fn ignored(cell: &Cell) -> Option<&str> {
    if let Cell::Ignored(reason) = cell { Some(reason) } else { None }
}

fn failed(cell: &Cell) -> Option<&str> {
    if let Cell::Failed(cause) = cell { Some(cause) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_shown_and_reasons_are_named_once() {
        let column = |runtime: &str, missing: Option<&str>, cells: [Cell; 2]| Column {
            runtime: runtime.to_owned(),
            missing: missing.map(str::to_owned),
            cells: cells.to_vec(),
        };
        let passed = Cell::Passed(Found { worst: 2e-6, compared: 3 });
        let left_out = || Cell::Ignored("no batches".to_owned());
        let columns = [
            column("a", None, [passed, Cell::Failed("NaN".to_owned())]),
            column("b", None, [Cell::Passed(Found::default()), left_out()]),
            column("c", Some("no library"), [Cell::Skipped, left_out()]),
        ];
        let text = render(&["one", "two"], &columns);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1..4], ["a        ok 2e-6  FAILED", "b        ok       ignored", "c        skipped  ignored"]);
        assert_eq!(lines[4..], ["skipped: no library (c)", "ignored: two: no batches (b, c)", "FAILED: two: NaN (a)"]);
    }
}
