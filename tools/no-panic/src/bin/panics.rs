//! Indexes out of bounds: must not link. It shows that the proof can fail.
#![no_std]
#![no_main]

use core::hint::black_box;
use ldae_no_panic::Region;

#[unsafe(no_mangle)]
extern "C" fn _start() {
    let mut bytes = Region::unknown();
    let index = black_box(7);
    black_box(bytes.bytes()[index]);
}
