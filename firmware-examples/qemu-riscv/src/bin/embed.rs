//! Embeds the pictures of the artifact in flash; see app/src/embed.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;

// Memory as in memory.x: the build ends here when the encoder does not fit.
const _: () = ldae_example_app::embed::assert_fits(16 << 20, 16 << 20);
use ldae_qemu_riscv as _; // the fault handler

#[riscv_rt::entry]
fn main() -> ! {
    semihosted::embed().exit_process()
}
