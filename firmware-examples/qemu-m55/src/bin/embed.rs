//! Embeds the pictures of the artifact in flash; see app/src/embed.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_m55 as _; // the fault handler

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::embed().exit_process()
}
