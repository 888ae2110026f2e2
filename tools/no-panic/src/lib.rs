//! Bytes that the compiler knows nothing about, and a panic handler that cannot be linked.
//!
//! The handler calls a function that nobody defines. A program of this crate therefore links only where the optimiser has
//! proved that no panic is reachable from its entry; otherwise the linker names [`ldae_a_panic_is_reachable`]. The programs
//! are never run. `./ci.sh no_panic` builds them for Armv6-M, Armv7E-M, Cortex-M55 and RV32IMAC, and a third one that
//! does panic, to see it refused.
#![no_std]

use core::hint::black_box;

/// A region of memory somewhere.
pub struct Region {
    start: *mut u8,
    bytes: usize,
}

impl Region {
    /// Where and how large is hidden from the optimiser.
    pub fn unknown() -> Self {
        Region { start: black_box(core::ptr::dangling_mut()), bytes: black_box(0) }
    }

    /// Its bytes, of any value.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: never run; with the values above, an empty slice.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.bytes) }
    }

    /// Its bytes as codes.
    pub fn codes(&mut self) -> &mut [i8] {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut(self.start.cast(), self.bytes) }
    }
}

unsafe extern "C" {
    /// Defined nowhere.
    fn ldae_a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: cannot be linked, so cannot be called.
    unsafe { ldae_a_panic_is_reachable() }
}
