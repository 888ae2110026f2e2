//! Embeds the pictures of the artifact in flash; see app/src/embed.rs.
#![no_std]
#![no_main]

use defmt_rtt as _;
use ldae_example_app::console::Console;
use ldae_example_app::cortex_m::{core_name, cycles, stack_end, start_cycles};
use ldae_example_app::embed::{Meter, measured};
use panic_probe as _;

// RAM and flash as in memory.x: the build ends here when the encoder does not fit.
const _: () = ldae_example_app::embed::assert_fits(256 << 10, 1 << 20);

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut peripherals = cortex_m::Peripherals::take().expect("nobody took them before");
    ldae_nrf52840_dk::start(&mut peripherals);
    defmt::println!("{=str}, cycles counted by {=str}", core_name(), start_cycles(&mut peripherals));
    match measured(&mut Console::new(), Meter { cycles, stack_end: stack_end() }) {
        Ok(true) => defmt::println!("passed"),
        Ok(false) => defmt::println!("FAILED: this board computes something else"),
        Err(e) => defmt::println!("FAILED: {}", defmt::Display2Format(&e)),
    }
    // A breakpoint ends `cargo run`; without a probe the core stops here.
    loop {
        cortex_m::asm::bkpt();
    }
}
