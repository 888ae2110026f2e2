//! Answers `ldae verify --device serial:PORT` with the artifact in flash; see app/src/serial.rs.
#![no_std]
#![no_main]

use defmt_rtt as _;
use ldae_example_app::cortex_m::core_name;
use ldae_example_app::{built_in, serial};
use panic_probe as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut peripherals = cortex_m::Peripherals::take().expect("nobody took them before");
    ldae_pico2::start(&mut peripherals);
    let uart = ldae_pico2::Uart::open();
    match serial::serve(core_name(), uart, built_in::ARTIFACT, &mut built_in::memory()) {}
}
