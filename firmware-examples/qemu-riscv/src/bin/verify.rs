//! Answers `ldae verify --device qemu:rv32imac`.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_riscv::{artifact, core_name, memory};

#[riscv_rt::entry]
fn main() -> ! {
    semihosted::verify(core_name(), artifact, memory()).exit_process()
}
