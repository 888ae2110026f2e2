//! What is particular to the board: the name of the core, the place of the artifact, and faults that end the run.
#![no_std]

use ldae_example_app::parity::Memory;
use semihosting::{eprintln, process};

/// The core, as its CPUID register names it.
pub fn core_name() -> &'static str {
    // SAFETY: the CPUID base register can be read at any time and reading it has no effect.
    let cpuid = unsafe { (*cortex_m::peripheral::CPUID::PTR).base.read() };
    // Part number, bits 15..4 (Armv7-M Architecture Reference Manual, B3.2.3).
    match (cpuid >> 4) & 0xFFF {
        0xC20 => "cortex-m0",
        0xC60 => "cortex-m0+",
        0xC23 if cfg!(not(target_has_atomic = "32")) => "cortex-m3 with Armv6-M code",
        0xC23 => "cortex-m3",
        0xC24 => "cortex-m4",
        0xC27 => "cortex-m7",
        _ => "unknown Cortex-M",
    }
}

/// The artifact that QEMU's loader device has put in PSRAM: 16 MB at 0x21000000, on the M7 board at 0x60000000.
pub fn artifact(bytes: usize) -> Option<&'static [u8]> {
    const PSRAM_BYTES: usize = 16 << 20;
    let psram: *const u8 = if core_name() == "cortex-m7" { 0x6000_0000 as *const u8 } else { 0x2100_0000 as *const u8 };
    // SAFETY: PSRAM is readable, initialised by the emulator, outside the linker script's regions, never written.
    (bytes <= PSRAM_BYTES).then(|| unsafe { core::slice::from_raw_parts(psram, bytes) })
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
