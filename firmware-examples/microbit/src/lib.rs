//! What is particular to the board: the name of the core, the place of the artifact, its little memory, and faults that end
//! the run.
#![no_std]

use ldae_example_app::parity::Memory;
use portable_atomic as _;
use semihosting::{eprintln, process};

/// The core, as its CPUID register names it.
pub fn core_name() -> &'static str {
    // SAFETY: the CPUID base register can be read at any time and reading it has no effect.
    let cpuid = unsafe { (*cortex_m::peripheral::CPUID::PTR).base.read() };
    // Part number, bits 15..4 (Armv6-M Architecture Reference Manual, B3.2.3).
    match (cpuid >> 4) & 0xFFF {
        0xC20 => "cortex-m0",
        0xC60 => "cortex-m0+",
        _ => "unknown Cortex-M",
    }
}

/// The artifact that QEMU's loader device has put at the end of flash, from a multiple of 16 on.
pub fn artifact(bytes: usize) -> Option<&'static [u8]> {
    const FLASH_END: usize = 256 << 10;
    let start = FLASH_END.checked_sub(bytes)? & !15;
    // SAFETY: inside flash, initialised by the emulator, which refuses an artifact that overlaps the program.
    Some(unsafe { core::slice::from_raw_parts(start as *const u8, bytes) })
}

/// Buffers for preset xs and shapes as small; almost 5 KB are left for the stack.
pub fn memory() -> Memory<'static> {
    ldae_example_app::memory!(scratch: 7 << 10, pixels: 3 << 10, codes: 512, taps: 96)
}

#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    eprintln!("HardFault at {:#010x}, return address {:#010x}", frame.pc(), frame.lr());
    process::exit(3)
}
