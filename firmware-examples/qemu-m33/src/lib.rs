//! What is particular to the board: the name of the core, the place of the artifact, and faults that end the run.
#![no_std]

use ldae_example_app::parity::Memory;
use semihosting::{eprintln, process};

/// The core, as its CPUID register names it.
pub fn core_name() -> &'static str {
    // SAFETY: the CPUID base register can be read at any time and reading it has no effect.
    let cpuid = unsafe { (*cortex_m::peripheral::CPUID::PTR).base.read() };
    // Part number, bits 15..4 (Armv8-M Architecture Reference Manual, CPUID).
    match (cpuid >> 4) & 0xFFF {
        0xD21 => "cortex-m33",
        0xD22 => "cortex-m55",
        _ => "unknown Cortex-M",
    }
}

/// The artifact that QEMU's loader device has put in PSRAM.
pub fn artifact(bytes: usize) -> Option<&'static [u8]> {
    const PLACE: *const u8 = 0x8000_0000 as *const u8;
    const PLACE_BYTES: usize = 16 << 20;
    // SAFETY: readable memory outside the linker script's regions, initialised by the emulator, never written.
    (bytes <= PLACE_BYTES).then(|| unsafe { core::slice::from_raw_parts(PLACE, bytes) })
}

/// Buffers for any preset that fits in 4 MB of RAM; codes for 4·2048 components, the widest format with 2×2 pooling.
pub fn memory() -> Memory<'static> {
    ldae_example_app::memory!(scratch: 2 << 20, pixels: 1 << 20, codes: 8192, taps: 4096)
}

#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    eprintln!("HardFault at {:#010x}, return address {:#010x}", frame.pc(), frame.lr());
    process::exit(3)
}
