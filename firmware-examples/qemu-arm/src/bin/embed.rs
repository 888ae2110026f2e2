//! Embeds the pictures of the artifact in flash; see app/src/embed.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;

// RAM and flash as in memory.x: the build ends here when the encoder does not fit.
const _: () = ldae_example_app::embed::assert_fits(4 << 20, 4 << 20);
use ldae_qemu_arm as _; // the fault handler

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::embed().exit_process()
}
