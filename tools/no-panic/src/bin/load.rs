//! `Encoder::new` on any bytes.
#![no_std]
#![no_main]

use core::hint::black_box;
use ldae_device::Encoder;
use ldae_no_panic::Region;

#[unsafe(no_mangle)]
extern "C" fn _start() {
    let mut artifact = Region::unknown();
    black_box(Encoder::new(artifact.bytes()).is_ok());
}
