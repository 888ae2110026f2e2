//! Marker instructions for the counter in the emulator (tools/insn-counter/src/marker.rs has the encodings), and what the measuring
//! program needs to know of a board.
#![allow(unsafe_code)] // instructions that the assembler knows as data, and a symbol of the linker script

use crate::measure::{Board, Stage};
use core::arch::asm;

/// A board of which the linker script says where the stack ends (`__sheap`, the end of the statics).
pub fn board(core: &str) -> Board<'_, impl Fn(Stage)> {
    unsafe extern "C" {
        static __sheap: u8;
    }
    Board { core, mark, stack_end: &raw const __sheap as usize }
}

/// Executes the marker of a stage, which does nothing on any core.
#[inline(always)]
fn mark(stage: Stage) {
    macro_rules! one_of {
        ($outside:literal, $embed:literal, $front:literal, $block:literal, $head:literal) => {
            // SAFETY: unallocated hints, and loads of the zero register, have no effect.
            unsafe {
                match stage {
                    Stage::Outside => asm!($outside),
                    Stage::Embed => asm!($embed),
                    Stage::Front => asm!($front),
                    Stage::Block => asm!($block),
                    Stage::Head => asm!($head),
                }
            }
        };
    }
    #[cfg(any(armv6m, armv7m))]
    one_of!(".inst.n 0xBF60", ".inst.n 0xBF70", ".inst.n 0xBF80", ".inst.n 0xBF90", ".inst.n 0xBFA0");
    #[cfg(all(target_arch = "arm", not(any(armv6m, armv7m))))]
    one_of!(
        ".inst.w 0xF3AF80E0",
        ".inst.w 0xF3AF80E1",
        ".inst.w 0xF3AF80E2",
        ".inst.w 0xF3AF80E3",
        ".inst.w 0xF3AF80E4"
    );
    #[cfg(target_arch = "riscv32")]
    one_of!("lui x0, 0xDAE0", "lui x0, 0xDAE1", "lui x0, 0xDAE2", "lui x0, 0xDAE3", "lui x0, 0xDAE4");
}
