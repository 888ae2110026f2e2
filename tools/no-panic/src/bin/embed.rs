//! `Encoder::embed` with any picture, scratch and output, on any encoder that the loader has accepted.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::mem::MaybeUninit;
use ldae_device::Encoder;
use ldae_no_panic::Region;

#[unsafe(no_mangle)]
extern "C" fn _start() {
    let encoder = MaybeUninit::<Encoder<'static>>::uninit();
    // SAFETY: never run; stands for an encoder that the loader has accepted, of which the optimiser knows nothing.
    let encoder: &Encoder<'static> = unsafe { &*black_box(encoder.as_ptr()) };
    let (mut pixels, mut scratch, mut out) = (Region::unknown(), Region::unknown(), Region::unknown());
    let embedded = encoder.embed(pixels.bytes(), scratch.bytes(), out.codes());
    black_box(embedded.map(|e| e.norm2).ok());
}
