//! What is particular to the board: the name of the core, the place of the artifact, and traps that end the run.
#![no_std]

use ldae_example_app::parity::Memory;
use riscv::register::{mcause, mepc, misa, mtval};
use semihosting::{eprintln, process};

/// The core, as its `misa` register describes it.
pub fn core_name() -> &'static str {
    let Some(isa) = misa::try_read().ok() else { return "unknown RISC-V" };
    let [i, m, a, c, f] = ['I', 'M', 'A', 'C', 'F'].map(|letter| isa.has_extension(letter));
    match (i && m && a && c, f) {
        (true, false) => "rv32imac",
        (true, true) => "rv32imac with F",
        _ => "RISC-V without IMAC",
    }
}

/// The artifact that QEMU's loader device has put behind the program's memory.
pub fn artifact(bytes: usize) -> Option<&'static [u8]> {
    const PLACE: *const u8 = 0x8100_0000 as *const u8;
    const PLACE_BYTES: usize = 32 << 20;
    // SAFETY: the emulator is started with 48 MB; this part lies outside memory.x, is initialised and never written.
    (bytes <= PLACE_BYTES).then(|| unsafe { core::slice::from_raw_parts(PLACE, bytes) })
}

/// Buffers for any preset that fits in 4 MB of RAM; codes for 4·2048 components, the widest format with 2×2 pooling.
pub fn memory() -> Memory<'static> {
    ldae_example_app::memory!(scratch: 2 << 20, pixels: 1 << 20, codes: 8192, taps: 4096)
}

#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &riscv_rt::TrapFrame) -> ! {
    eprintln!("trap {:#x} at {:#010x}, value {:#010x}", mcause::read().bits(), mepc::read(), mtval::read());
    process::exit(3)
}
