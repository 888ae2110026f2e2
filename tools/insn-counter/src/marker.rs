//! Instructions in the firmware that say which stage begins. All do nothing on silicon, so that the same program runs on a
//! board.
//!
//! | architecture | instruction | encoding |
//! |---|---|---|
//! | Thumb-2 (Armv7-M, Armv8-M) | unallocated hint, 32 bit | 0xF3AF80E0 + stage |
//! | Thumb (Armv6-M) | unallocated hint, 16 bit | 0xBF60 + 16·stage |
//! | RISC-V | `lui x0, 0xDAE0 + stage` | (0xDAE0 + stage) << 12 \| 0x37 |
//!
//! Sources: Armv6-M and Armv7-M Architecture Reference Manuals, "Hints" (unallocated ones execute as NOP); RISC-V unprivileged
//! manual, "HINT instructions" (`rd = x0`).

/// Stages that can be told apart; stage 0 is "not measured".
pub const STAGES: usize = 8;

/// The stage that begins at this instruction, if it is a marker. `riscv` chooses the instruction set.
pub fn stage(bytes: &[u8], riscv: bool) -> Option<usize> {
    let stage = match *bytes {
        [a, b, c, d] if riscv => {
            let word = u32::from_le_bytes([a, b, c, d]);
            (word & 0xFFF == 0x037).then_some(word >> 12)?.checked_sub(0xDAE0)?
        }
        // Two halfwords, the first one first.
        [0xAF, 0xF3, low, 0x80] if !riscv => u32::from(low).checked_sub(0xE0)?,
        [low, 0xBF] if !riscv && low % 16 == 0 => u32::from(low / 16).checked_sub(6)?,
        _ => return None,
    };
    Some(stage as usize).filter(|s| *s < STAGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_from_other_hints() {
        assert_eq!(stage(&[0xAF, 0xF3, 0xE3, 0x80], false), Some(3));
        assert_eq!(stage(&[0x60, 0xBF], false), Some(0));
        assert_eq!(stage(&[0xD0, 0xBF], false), Some(7));
        assert_eq!(stage(&((0xDAE2u32 << 12) | 0x37).to_le_bytes(), true), Some(2));
        for nop in
            [&[0x00, 0xBF][..], &[0xE0, 0xBF], &[0xAF, 0xF3, 0x00, 0x80], &[0x61, 0xBF], &[0xAF, 0xF3, 0xF0, 0x80]]
        {
            assert_eq!(stage(nop, false), None, "{nop:x?}");
        }
        // lui x1, addi x0: no markers.
        assert_eq!(stage(&((0xDAE2u32 << 12) | 0xB7).to_le_bytes(), true), None);
        assert_eq!(stage(&0x13u32.to_le_bytes(), true), None);
    }
}
