//! Answers `ldae verify --device serial:PORT` with the artifact in flash; see app/src/serial.rs.
#![no_std]
#![no_main]

use ldae_esp32c3::{CORE, Line, start};
use ldae_example_app::{built_in, serial};

esp_bootloader_esp_idf::esp_app_desc!();

#[esp_hal::main]
fn main() -> ! {
    let line = Line::open(start());
    let broken = serial::serve(CORE, line, built_in::ARTIFACT, &mut built_in::memory());
    panic!("{broken:?}");
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    esp_println::println!("{info}");
    loop {}
}
