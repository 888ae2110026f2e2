//! Learns classes from a few pictures and classifies others; see app/src/gallery.rs.
#![no_std]
#![no_main]

use ldae_example_app::semihosted;
use ldae_qemu_arm as _; // the fault handler

#[cortex_m_rt::entry]
fn main() -> ! {
    semihosted::gallery().exit_process()
}
