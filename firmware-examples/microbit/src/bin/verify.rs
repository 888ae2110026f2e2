//! Answers `ldae verify --device qemu:microbit`: the smallest preset, in 16 KB of RAM.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_microbit::{artifact, core_name, memory};

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::verify(core_name(), artifact, memory()).exit_process()
}
