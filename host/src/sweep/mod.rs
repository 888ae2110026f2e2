//! Many runs, one table: a grid over settings (or recipes) and seeds, each cell trained and evaluated like a single run.
//!
//! ```text
//! Grid (axes, seeds) + options -> Cells -> train::run, eval::comparison -> OUT/results/CELL.json
//!     -> Summary (mean and deviation over seeds, what is within noise) -> text, Markdown, JSON, SVG, sweep.html
//! ```
//!
//! Every cell is a whole run directory OUT/CELL. A cell with a result is not run again, one without goes on from its last
//! checkpoint: a killed sweep is started again with the same command. `--shard i/n` deals the cells out by number, so that
//! any scheduler spreads a sweep over machines that share OUT; the same command without it reads what is there and trains
//! the rest. A cell that fails is recorded with its error and does not stop the others; starting again tries it again.
//!
//! Refused: unknown options and axes, two cells of one name, an OUT whose cells were made with other settings.

mod builtin;
mod cell;
mod claims;
mod execute;
mod figures;
mod grid;
mod page;
mod result;
mod shard;
mod statistic;
mod summary;
mod table;
#[cfg(test)]
mod tests;

pub use builtin::{Budget, noise, ranks, road};
pub use cell::{Cell, cells};
pub use claims::Claim;
pub use execute::{Pictures, Sweep, describe_limits, run};
pub use grid::{Axis, Grid};
pub use page::write;
pub use result::{CellResult, Measured, Outcome};
pub use shard::Shard;
pub use statistic::{Difference, Statistic, Verdict, difference};
pub use summary::{SettingSummary, Summary, summarise};
pub use table::{markdown, text};
