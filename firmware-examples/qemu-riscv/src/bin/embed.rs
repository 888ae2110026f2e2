//! Embeds the pictures of the artifact in flash; see app/src/embed.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_riscv as _; // the fault handler

#[riscv_rt::entry]
fn main() -> ! {
    semihosted::embed().exit_process()
}
