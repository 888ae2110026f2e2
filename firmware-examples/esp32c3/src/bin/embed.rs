//! Embeds the pictures of the artifact in flash; see app/src/embed.rs.
#![no_std]
#![no_main]

use esp_println::println;
use ldae_esp32c3::{CORE, Console, cycles, stack_end, start};
use ldae_example_app::embed::{Meter, measured};

// Of 400 KB of RAM the boot loader, the cache and code in RAM take a part; the module has 4 MB of flash.
const _: () = ldae_example_app::embed::assert_fits(300 << 10, 4 << 20);

esp_bootloader_esp_idf::esp_app_desc!();

#[esp_hal::main]
fn main() -> ! {
    start();
    println!("{CORE}, cycles counted by the performance counter");
    match measured(&mut Console, Meter { cycles, stack_end: stack_end() }) {
        Ok(true) => println!("passed"),
        Ok(false) => println!("FAILED: this board computes something else"),
        Err(e) => println!("FAILED: {e}"),
    }
    loop {}
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    loop {}
}
