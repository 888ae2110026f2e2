//! Embeds the pictures of the artifact in flash on the smallest core; see app/src/embed.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_microbit as _; // the fault handler

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::embed().exit_process()
}
