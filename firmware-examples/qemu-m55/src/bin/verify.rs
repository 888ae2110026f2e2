//! Answers `ldae verify --device qemu:cortex-m55`.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_m55::{artifact, core_name, memory};

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::verify(core_name(), artifact, memory()).exit_process()
}
