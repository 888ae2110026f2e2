//! How deep the stack grows: the free part is painted, and after the call the lowest byte that changed is looked for.
#![allow(unsafe_code)] // raw memory below the stack pointer

use core::hint::black_box;

/// Painted at most, bytes.
const PAINTED: usize = 64 << 10;
/// Kept free of paint for the frames of this module.
const OWN: usize = 512;
const PAINT: u32 = 0x5AC3_A53C;

/// Runs `work`; its result and the bytes of stack below this call, rounded up to four. `end` is the lowest address of the stack;
/// a stack that grows downwards is taken for granted, and no interrupt may run. Where the stack is smaller than the own frames,
/// or used to its end, the result is the whole of it.
///
/// # Errors
/// That of `work`.
#[inline(never)]
pub fn depth<T, E>(end: usize, work: impl FnOnce() -> Result<T, E>) -> Result<usize, E> {
    let here = black_box(0u32); // on this stack, not a constant in flash
    let top = core::ptr::from_ref(black_box(&here)) as usize & !3;
    let below = top.saturating_sub(OWN);
    let lowest = end.next_multiple_of(4).max(below.saturating_sub(PAINTED));
    let mut at = lowest;
    while at < below {
        // SAFETY: free stack: above its end, and well below the frame that holds `here`.
        unsafe { (at as *mut u32).write_volatile(PAINT) };
        at += 4;
    }
    let result = work();
    let mut at = lowest;
    // SAFETY: as above; the words are initialised.
    while at < below && unsafe { (at as *const u32).read_volatile() } == PAINT {
        at += 4;
    }
    result.map(|_| top - at)
}
