//! What one inference takes on each board of the table, with the kernels of its core: exact scratch, measured stack.

use super::boards::{BOARDS, Board};
use crate::Result;
use crate::bench::Budget;
use crate::pack;
use ldae_device::kernels::Family;
use ldae_device::scratch_bytes_of;
use ldae_shared::format::{Layout, block_bytes, front_bytes, head_bytes};
use ldae_shared::spec::EncoderSpec;
use serde::Serialize;

/// RAM and flash of a model on a board, bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoardTotal {
    /// Board.
    pub board: &'static str,
    /// Core.
    pub core: &'static str,
    /// Weight order that its kernels read.
    pub layout: &'static str,
    /// Scratch, exact.
    pub scratch: u64,
    /// Stack of the engine, measured (host/src/bench/budgets.toml).
    pub stack: u64,
    /// Embedding codes.
    pub codes: u64,
    /// Picture; a camera buffer may already hold it.
    pub picture: u64,
    /// All of these.
    pub ram: u64,
    /// The artifact, packed for the core.
    pub flash: u64,
    /// True when it fits beside an application.
    pub fits: bool,
}

/// Totals on every board. `flash` is the canonical artifact's size.
///
/// # Errors
/// The recorded stack sizes cannot be read.
pub fn totals(spec: &EncoderSpec, flash: u64) -> Result<Vec<BoardTotal>> {
    let budget = Budget::recorded()?;
    Ok(BOARDS.iter().map(|board| total(board, spec, flash, &budget)).collect())
}

fn total(board: &Board, spec: &EncoderSpec, flash: u64, budget: &Budget) -> BoardTotal {
    let family = pack::family(board.target).filter(|f| pack::WITH_KERNELS.contains(f)).unwrap_or(Family::Portable);
    let (scratch, stack) = (scratch_bytes_of(spec, family) as u64, budget.stack_of(board.target));
    let (codes, picture) = (u64::from(spec.embedding()), u64::from(spec.pixels()));
    let ram = scratch + stack + codes + picture;
    let flash = flash - weights(spec, Layout::Canonical) + weights(spec, family.layout());
    BoardTotal {
        board: board.name,
        core: board.core,
        layout: family.layout().name(),
        scratch,
        stack,
        codes,
        picture,
        ram,
        flash,
        fits: board.fits(ram, flash),
    }
}

/// Bytes of the sections that depend on the weight order.
fn weights(spec: &EncoderSpec, layout: Layout) -> u64 {
    front_bytes(spec, layout) + u64::from(spec.depth) * block_bytes(spec, layout) + head_bytes(spec)
}
