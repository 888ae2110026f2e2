//! Answers `ldae verify --device qemu:cortex-m0`, `qemu:cortex-m3`, `qemu:cortex-m4` and `qemu:cortex-m7`.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_arm::{artifact, core_name, memory};

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::verify(core_name(), artifact, memory()).exit_process()
}
