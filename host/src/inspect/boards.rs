//! Boards that a model may be put on, and what it needs of them.
//!
//! Figures are those of the chip makers' data sheets, named beside each; 1 KB is 1024 bytes.

use serde::Serialize;

/// Bytes in a KB.
const KB: u64 = 1024;
/// RAM left for the application beside scratch, picture, embedding and the stack of the engine. An engineering allowance, not a
/// measurement: raise it for an application with a radio stack.
pub const APPLICATION_RAM: u64 = 8 * KB;
/// Flash left for the application's code beside the artifact. An allowance as above.
pub const APPLICATION_FLASH: u64 = 64 * KB;

/// A board or class of boards.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Board {
    /// Name.
    pub name: &'static str,
    /// Core.
    pub core: &'static str,
    /// The same as `ldae pack --target` takes it.
    pub target: &'static str,
    /// All RAM, bytes.
    pub ram: u64,
    /// Largest contiguous RAM, bytes: scratch is one block.
    pub block: u64,
    /// Flash, bytes (on the chip, or of the named board where it is external).
    pub flash: u64,
    /// Where the figures come from.
    pub source: &'static str,
}

/// The boards of EMBEDDED.md section 4, smallest first.
pub const BOARDS: [Board; 7] = [
    Board {
        name: "small Cortex-M",
        core: "Cortex-M0+",
        target: "cortex-m0+",
        ram: 64 * KB,
        block: 64 * KB,
        flash: 256 * KB,
        source: "class of EMBEDDED.md section 4: 64 KB RAM, 256 KB flash",
    },
    Board {
        name: "STM32F4",
        core: "Cortex-M4F",
        target: "cortex-m4",
        ram: 192 * KB,
        block: 128 * KB,
        flash: 1024 * KB,
        source: "STM32F407xG data sheet DS8626: 112 + 16 KB SRAM in one piece, 64 KB CCM apart, 1 MB flash",
    },
    Board {
        name: "nRF52840",
        core: "Cortex-M4F",
        target: "cortex-m4",
        ram: 256 * KB,
        block: 256 * KB,
        flash: 1024 * KB,
        source: "nRF52840 product specification, memory: 256 KB RAM, 1 MB flash",
    },
    Board {
        name: "RP2040",
        core: "Cortex-M0+",
        target: "cortex-m0+",
        ram: 264 * KB,
        block: 264 * KB,
        flash: 2048 * KB,
        source: "RP2040 data sheet, SRAM: 264 KB in six banks in one address range; Raspberry Pi Pico: 2 MB flash",
    },
    Board {
        name: "ESP32-C3",
        core: "RV32IMC",
        target: "rv32imc",
        ram: 400 * KB,
        block: 384 * KB,
        flash: 4096 * KB,
        source: "ESP32-C3 data sheet: 400 KB SRAM of which 16 KB are cache; ESP32-C3-MINI-1: 4 MB flash",
    },
    Board {
        name: "RP2350",
        core: "Cortex-M33",
        target: "cortex-m33",
        ram: 520 * KB,
        block: 520 * KB,
        flash: 4096 * KB,
        source: "RP2350 data sheet, SRAM: 520 KB in one address range; Raspberry Pi Pico 2: 4 MB flash",
    },
    Board {
        name: "STM32H743",
        core: "Cortex-M7",
        target: "cortex-m7",
        ram: 1024 * KB,
        block: 512 * KB,
        flash: 2048 * KB,
        source: "STM32H743xI data sheet DS12110: 1 MB RAM, its largest piece 512 KB of AXI SRAM; 2 MB flash",
    },
];

impl Board {
    /// True if a model with this much RAM (scratch, picture, embedding, stack; one block) and flash (artifact) fits beside an
    /// application of [`APPLICATION_RAM`] and [`APPLICATION_FLASH`].
    pub const fn fits(&self, ram: u64, flash: u64) -> bool {
        ram + APPLICATION_RAM <= self.block && flash + APPLICATION_FLASH <= self.flash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_inside_the_ram() {
        for b in BOARDS {
            assert!(b.block <= b.ram, "{}", b.name);
        }
    }

    #[test]
    fn the_allowance_decides() {
        let b = BOARDS[0];
        assert!(b.fits(b.block - APPLICATION_RAM, b.flash - APPLICATION_FLASH));
        assert!(!b.fits(b.block - APPLICATION_RAM + 1, 0));
        assert!(!b.fits(0, b.flash - APPLICATION_FLASH + 1));
    }
}
