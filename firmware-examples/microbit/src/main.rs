//! Embeds the pictures of the artifact in flash on the smallest core; see app/src/embed.rs.
#![no_std]
#![no_main]

use cortex_m as _; // the critical section
use ldae_example_app::semihosted;
use portable_atomic as _;
use semihosting::{eprintln, process};

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::embed().exit_process()
}

#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    eprintln!("HardFault at {:#010x}, return address {:#010x}", frame.pc(), frame.lr());
    process::exit(3)
}
