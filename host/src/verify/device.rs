//! The devices that `--device` names, and what each needs to run.

use super::linux::{AARCH64, Linux};
use super::probe::Chip;
use super::serial::SerialLine;
use crate::{Error, Result};
use ldae_device::kernels::{Choice, Family};
use ldae_shared::format::Layout;
use std::fmt;
use std::str::FromStr;

/// An emulated board.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// Name after `qemu:`.
    pub name: &'static str,
    /// Core that its firmware is built and its artifact packed for.
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
    /// Where the artifact is loaded. The firmware knows the same place (src/lib.rs of its package).
    pub artifact: Place,
    /// Room for it there, in bytes.
    pub artifact_room: usize,
    /// True where only the smallest preset fits: not a part of `qemu:all`.
    pub small: bool,
}

/// Place of an artifact in a board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// From this address on.
    At(u32),
    /// Ending before this address, from a multiple of 16 on: in flash that it shares with the program.
    Before(u32),
}

impl Place {
    /// First address of an artifact of `bytes` bytes.
    pub fn address(self, bytes: usize) -> u32 {
        match self {
            Place::At(address) => address,
            Place::Before(end) => end.saturating_sub(bytes as u32) & !15,
        }
    }
}

const fn arm(
    core: &'static str,
    package: &'static str,
    target: &'static str,
    machine: &'static str,
    artifact_address: u32,
) -> Board {
    Board {
        name: core,
        core,
        package,
        target,
        emulator: "qemu-system-arm",
        emulator_package: "qemu-system-arm",
        machine,
        arguments: &[],
        artifact: Place::At(artifact_address),
        artifact_room: 16 << 20,
        small: false,
    }
}

/// All emulated boards (EMBEDDED.md section 1.2). QEMU's only board with a Cortex-M0 has 16 KB of RAM (`microbit`), so
/// `cortex-m0` is the Armv6-M build on the Cortex-M3 board, which executes the same instructions.
pub static BOARDS: [Board; 8] = [
    arm("cortex-m0", "qemu-arm", "thumbv6m-none-eabi", "mps2-an385", 0x2100_0000),
    arm("cortex-m3", "qemu-arm", "thumbv7m-none-eabi", "mps2-an385", 0x2100_0000),
    arm("cortex-m4", "qemu-arm", "thumbv7em-none-eabihf", "mps2-an386", 0x2100_0000),
    arm("cortex-m7", "qemu-arm", "thumbv7em-none-eabihf", "mps2-an500", 0x6000_0000),
    arm("cortex-m33", "qemu-m33", "thumbv8m.main-none-eabihf", "mps2-an505", 0x8000_0000),
    arm("cortex-m55", "qemu-m55", "thumbv8m.main-none-eabihf", "mps3-an547", 0x7000_0000),
    Board {
        name: "microbit",
        artifact: Place::Before(256 << 10),
        artifact_room: 194 << 10,
        small: true,
        ..arm("cortex-m0", "microbit", "thumbv6m-none-eabi", "microbit", 0)
    },
    Board {
        name: "rv32imac",
        core: "rv32imac",
        package: "qemu-riscv",
        target: "riscv32imac-unknown-none-elf",
        emulator: "qemu-system-riscv32",
        emulator_package: "qemu-system-misc",
        machine: "virt",
        // A plain RV32IMAC core: a floating-point instruction would trap.
        arguments: &["-cpu", "sifive-e31", "-m", "48M", "-bios", "none"],
        artifact: Place::At(0x8100_0000),
        artifact_room: 32 << 20,
        small: false,
    },
];

/// Where the encoder runs to be compared with this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The engine in this process once more, on the fastest kernel of this machine.
    Host,
    /// The engine in this process on one of its kernels.
    Kernel(Choice),
    /// The `std` twin of the firmware, a process of its own.
    Std,
    /// A board in QEMU.
    Qemu(&'static Board),
    /// The `std` twin for another processor, in QEMU's user emulation.
    Linux(&'static Linux),
    /// A board on a serial port, with its firmware and artifact in flash.
    Serial(SerialLine),
    /// A board on a debug probe, flashed here.
    Probe(&'static Chip),
}

/// What `--device` takes for every emulated core.
const ALL: &str = "qemu:all";
/// What `--device` takes for every kernel of this machine.
const ALL_KERNELS: &str = "host:all";

/// The kernels of this machine beside the portable one, which is what they are compared with.
fn kernels() -> impl Iterator<Item = Choice> {
    Layout::ALL.into_iter().flat_map(Choice::all).filter(|kernel| *kernel != Choice::Portable)
}

impl Device {
    /// The devices of a list of names, in which `qemu:all` is every emulated microcontroller core once (but not the boards on
    /// which only the smallest preset fits) and `host:all` every kernel of this machine.
    ///
    /// # Errors
    /// There is no device of that name.
    pub fn list(names: &[String]) -> Result<Vec<Self>> {
        let mut devices = Vec::new();
        for name in names {
            if name == ALL || name == "all" {
                devices.extend(BOARDS.iter().filter(|b| !b.small).map(Device::Qemu));
            } else if name == ALL_KERNELS {
                devices.extend(kernels().map(Device::Kernel));
            } else {
                devices.push(name.parse()?);
            }
        }
        Ok(devices)
    }

    /// Every name that `--device` takes.
    pub fn names() -> String {
        let cores = BOARDS.iter().map(|b| b.name).chain([AARCH64.core]);
        let boards = cores.map(|name| format!("qemu:{name}"));
        let kernels = kernels().map(|k| format!("host:{}", k.name()));
        let others = ["serial:PORT", "probe:CHIP"].map(str::to_owned);
        let fixed = ["host", "std", ALL_KERNELS, ALL].map(str::to_owned);
        fixed.into_iter().chain(kernels).chain(boards).chain(others).collect::<Vec<_>>().join(", ")
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
        if let Some(kernel) = name.strip_prefix("host:").and_then(|name| kernels().find(|k| k.name() == name)) {
            return Ok(Device::Kernel(kernel));
        }
        if let Some(line) = name.strip_prefix("serial:") {
            return SerialLine::parse(line).map(Device::Serial);
        }
        if let Some(chip) = name.strip_prefix("probe:") {
            return Chip::parse(chip).map(Device::Probe);
        }
        let name = name.strip_prefix("qemu:").unwrap_or(name);
        if name == AARCH64.core {
            return Ok(Device::Linux(&AARCH64));
        }
        BOARDS.iter().find(|b| b.name == name).map(Device::Qemu).ok_or_else(|| {
            let floats = super::FloatDevice::NAMES.join(", ");
            Error::new(format!("no device {name:?}")).hint(format!("devices are {}, {floats}", Device::names()))
        })
    }
}

impl Device {
    /// Weight layout that the device's kernels read.
    pub fn layout(&self) -> Layout {
        let of_core = |core| {
            let family = crate::pack::family(core).filter(|family| crate::pack::WITH_KERNELS.contains(family));
            family.map_or(Layout::Canonical, Family::layout)
        };
        match self {
            Device::Host => crate::pack::host_layout(),
            Device::Kernel(kernel) => kernel.family().layout(),
            Device::Std | Device::Serial(_) => Layout::Canonical,
            Device::Qemu(board) => of_core(board.core),
            Device::Linux(linux) => of_core(linux.core),
            Device::Probe(chip) => of_core(chip.core),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Host => f.write_str("host"),
            Device::Kernel(kernel) => write!(f, "host:{}", kernel.name()),
            Device::Std => f.write_str("std"),
            Device::Qemu(board) => write!(f, "qemu:{}", board.name),
            Device::Linux(linux) => write!(f, "qemu:{}", linux.core),
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
        for name in Device::names()
            .split(", ")
            .filter(|n| ![ALL, ALL_KERNELS].contains(n) && !n.ends_with("PORT") && !n.ends_with("CHIP"))
            .chain(ports)
        {
            assert_eq!(name.parse::<Device>().unwrap().to_string(), name);
        }
        assert_eq!("cortex-m7".parse::<Device>().unwrap().to_string(), "qemu:cortex-m7");
        let error = "qemu:z80".parse::<Device>().unwrap_err();
        assert!(error.advice().unwrap().contains("qemu:rv32imac"));
    }

    #[test]
    fn a_place_before_an_end_is_aligned_and_large_enough() {
        assert_eq!(Place::At(0x10).address(7), 0x10);
        assert_eq!(Place::Before(0x1000).address(0x11), 0xFE0);
        assert_eq!(Place::Before(0x1000).address(0x20), 0xFE0);
    }

    #[test]
    fn all_is_every_core_that_larger_presets_fit_on() {
        let names = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|s| (*s).to_owned()).collect();
            Device::list(&list).unwrap().iter().map(Device::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(&["std", "qemu:all"]).len(), 1 + BOARDS.len() - 1);
        assert!(!names(&["all"]).contains(&"qemu:microbit".to_owned()));
        assert_eq!(names(&["microbit"]), ["qemu:microbit"]);
    }
}
