//! The artifact in flash, and buffers of exactly the size that it needs, for the programs that answer `ldae verify`.

use crate::embed::{CODES, SCRATCH, SPEC};
use crate::parity::Memory;
use ldae_shared::crc::Crc32;
use static_cell::ConstStaticCell;

pub use crate::embed::ARTIFACT;

static PIXELS: ConstStaticCell<[u8; SPEC.pixels() as usize]> = ConstStaticCell::new([0; SPEC.pixels() as usize]);
static TAPS: ConstStaticCell<[Crc32; SPEC.taps()]> = ConstStaticCell::new([Crc32::new(); SPEC.taps()]);

/// The buffers. Call it once: they are taken for good.
pub fn memory() -> Memory<'static> {
    Memory { scratch: &mut SCRATCH.take().0, pixels: PIXELS.take(), codes: CODES.take(), taps: TAPS.take() }
}
