//! Learns classes from a few pictures and classifies others; see app/src/gallery.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_riscv as _; // the fault handler

#[riscv_rt::entry]
fn main() -> ! {
    semihosted::gallery().exit_process()
}
