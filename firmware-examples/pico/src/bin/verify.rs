//! Answers `ldae verify --device probe:CHIP` with the artifact in flash; see app/src/semihosted.rs.
#![no_std]
#![no_main]

use defmt_rtt as _;
use ldae_example_app::cortex_m::core_name;
use ldae_example_app::semihosted;
use panic_probe as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut peripherals = cortex_m::Peripherals::take().expect("nobody took them before");
    ldae_pico::start(&mut peripherals);
    semihosted::verify_built_in(core_name()).exit_process()
}
