//! The devices that `--device` names, and what each needs to run.

use super::probe::Chip;
use super::serial::SerialLine;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// An emulated board.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// Name after `qemu:`, also what the firmware reports about itself.
    pub core: &'static str,
    /// Package in firmware-examples.
    pub package: &'static str,
    /// Compilation target of its firmware.
    pub target: &'static str,
    /// Emulator program.
    pub emulator: &'static str,
    /// Debian package of the emulator.
    pub emulator_package: &'static str,
    /// QEMU's name of the machine.
    pub machine: &'static str,
    /// Other arguments of the machine.
    pub arguments: &'static [&'static str],
    /// Where the artifact is loaded. The firmware knows the same address (src/lib.rs of its package).
    pub artifact_address: u32,
    /// Room for it there, in bytes.
    pub artifact_room: usize,
}

const ARM: &str = "qemu-arm";

const fn mps2(core: &'static str, target: &'static str, machine: &'static str, artifact_address: u32) -> Board {
    Board {
        core,
        package: ARM,
        target,
        emulator: "qemu-system-arm",
        emulator_package: "qemu-system-arm",
        machine,
        arguments: &[],
        artifact_address,
        artifact_room: 16 << 20,
    }
}

/// All emulated boards (EMBEDDED.md section 1.2). PSRAM lies elsewhere on the M7 board.
pub static BOARDS: [Board; 4] = [
    mps2("cortex-m3", "thumbv7m-none-eabi", "mps2-an385", 0x2100_0000),
    mps2("cortex-m4", "thumbv7em-none-eabihf", "mps2-an386", 0x2100_0000),
    mps2("cortex-m7", "thumbv7em-none-eabihf", "mps2-an500", 0x6000_0000),
    Board {
        core: "rv32imac",
        package: "qemu-riscv",
        target: "riscv32imac-unknown-none-elf",
        emulator: "qemu-system-riscv32",
        emulator_package: "qemu-system-misc",
        machine: "virt",
        // A plain RV32IMAC core: a floating-point instruction would trap.
        arguments: &["-cpu", "sifive-e31", "-m", "48M", "-bios", "none"],
        artifact_address: 0x8100_0000,
        artifact_room: 32 << 20,
    },
];

/// Where the encoder runs to be compared with this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The engine in this process once more.
    Host,
    /// The `std` twin of the firmware, a process of its own.
    Std,
    /// A board in QEMU.
    Qemu(&'static Board),
    /// A board on a serial port, with its firmware and artifact in flash.
    Serial(SerialLine),
    /// A board on a debug probe, flashed here.
    Probe(&'static Chip),
}

impl Device {
    /// Every name that `--device` takes.
    pub fn names() -> String {
        let boards = BOARDS.iter().map(|b| format!("qemu:{}", b.core));
        let others = ["serial:PORT", "probe:CHIP"].map(str::to_owned);
        ["host", "std"].map(str::to_owned).into_iter().chain(boards).chain(others).collect::<Vec<_>>().join(", ")
    }
}

impl FromStr for Device {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "host" => return Ok(Device::Host),
            "std" => return Ok(Device::Std),
            _ => {}
        }
        if let Some(line) = name.strip_prefix("serial:") {
            return SerialLine::parse(line).map(Device::Serial);
        }
        if let Some(chip) = name.strip_prefix("probe:") {
            return Chip::parse(chip).map(Device::Probe);
        }
        let core = name.strip_prefix("qemu:").unwrap_or(name);
        BOARDS
            .iter()
            .find(|b| b.core == core)
            .map(Device::Qemu)
            .ok_or_else(|| Error::new(format!("no device {name:?}")).hint(format!("devices are {}", Device::names())))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Host => f.write_str("host"),
            Device::Std => f.write_str("std"),
            Device::Qemu(board) => write!(f, "qemu:{}", board.core),
            Device::Serial(line) => write!(f, "serial:{line}"),
            Device::Probe(chip) => write!(f, "probe:{}", chip.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_and_without_the_emulator() {
        let ports = ["serial:/dev/ttyACM0", "serial:COM3@921600", "probe:RP2040"];
        for name in Device::names().split(", ").filter(|n| !n.ends_with("PORT") && !n.ends_with("CHIP")).chain(ports) {
            assert_eq!(name.parse::<Device>().unwrap().to_string(), name);
        }
        assert_eq!("cortex-m7".parse::<Device>().unwrap().to_string(), "qemu:cortex-m7");
        let error = "qemu:z80".parse::<Device>().unwrap_err();
        assert!(error.advice().unwrap().contains("qemu:rv32imac"));
    }
}
