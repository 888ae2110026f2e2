//! Answers `ldae bench --device`; see app/src/measure.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_m55::{artifact, board, memory};

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::measure(&board(), artifact, memory()).exit_process()
}
