//! Answers `ldae bench --device`; see app/src/measure.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_riscv::{artifact, board, memory};

#[riscv_rt::entry]
fn main() -> ! {
    semihosted::measure(&board(), artifact, memory()).exit_process()
}
