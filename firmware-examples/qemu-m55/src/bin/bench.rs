//! Answers `ldae bench --device`; see app/src/measure.rs.
#![no_std]
#![no_main]

use ldae_example_app::{marker, semihosted};
use ldae_qemu_m55::{artifact, core_name, memory};

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::measure(&marker::board(core_name()), artifact, memory()).exit_process()
}
