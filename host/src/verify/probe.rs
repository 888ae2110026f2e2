//! A board on a debug probe: `probe:CHIP`. `probe-rs run` flashes the board's program `verify` and gives it the host's files
//! through semihosting, as QEMU does for emulated boards; the artifact is built into that program.

use super::firmware;
use crate::cli::Output;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A board that has a package in firmware-examples.
#[derive(Debug, PartialEq, Eq)]
pub struct Chip {
    /// Name as probe-rs spells it.
    pub name: &'static str,
    /// Package in firmware-examples.
    pub package: &'static str,
    /// Compilation target.
    pub target: &'static str,
    /// Its core, as `ldae pack --target` takes it.
    pub core: &'static str,
}

const fn chip(name: &'static str, package: &'static str, target: &'static str, core: &'static str) -> Chip {
    Chip { name, package, target, core }
}

/// Chips whose `verify` program exists here.
pub static CHIPS: [Chip; 5] = [
    chip("STM32H743ZITx", "nucleo-h743zi", "thumbv7em-none-eabihf", "cortex-m7"),
    chip("STM32F411RETx", "nucleo-f411re", "thumbv7em-none-eabihf", "cortex-m4"),
    chip("nRF52840_xxAA", "nrf52840-dk", "thumbv7em-none-eabihf", "cortex-m4"),
    chip("RP235x", "pico2", "thumbv8m.main-none-eabihf", "cortex-m33"),
    chip("RP2040", "pico", "thumbv6m-none-eabi", "cortex-m0+"),
];

/// The environment variable that lets a program on the board open files of the host, here two in an empty folder
/// (probe-rs pull request 3527; reading works since pull request 3960, April 2026).
const ALLOW_FILES: &str = "PROBE_RS_SEMIHOSTING_ALLOW_FILE_ACCESS";

impl Chip {
    /// Reads what follows `probe:`; upper or lower case.
    ///
    /// # Errors
    /// No package for this chip.
    pub fn parse(text: &str) -> Result<&'static Chip> {
        CHIPS.iter().find(|c| c.name.eq_ignore_ascii_case(text)).ok_or_else(|| {
            let names: Vec<_> = CHIPS.iter().map(|c| c.name).collect();
            Error::new(format!("no firmware package for the chip {text:?}")).hint(format!(
                "chips are {}; for another one copy a package of firmware-examples and use serial:PORT",
                names.join(", ")
            ))
        })
    }

    /// Checks that probe-rs is there; returns its version, in words.
    ///
    /// # Errors
    /// It is not installed.
    pub fn describe(&self) -> Result<String> {
        let missing = |e: std::io::Error| {
            Error::new(format!("probe:{} needs the program probe-rs, which is not installed", self.name))
                .hint("`cargo install probe-rs-tools --locked` (https://probe.rs); or use serial:PORT, which needs no probe")
                .caused_by(e)
        };
        let answer = Command::new("probe-rs").arg("--version").output().map_err(missing)?;
        let version = String::from_utf8_lossy(&answer.stdout);
        Ok(format!("{} on a probe, {}", self.name, version.lines().next().unwrap_or("probe-rs").trim()))
    }

    /// Builds `verify` with `artifact` inside.
    ///
    /// # Errors
    /// No sources, or the build fails (an artifact that does not fit in the chip fails in the linker).
    pub fn program(&self, artifact: &[u8], place: Option<&Path>, out: &Output) -> Result<PathBuf> {
        firmware::with_artifact(self, artifact, place, out)
    }

    /// The command that flashes and runs `program`; its working folder holds the files.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("probe-rs");
        command.args(["run", "--chip", self.name]).arg(program).env(ALLOW_FILES, "1");
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_are_found_in_any_case_and_others_are_refused_with_the_list() {
        assert_eq!(Chip::parse("rp2040").unwrap().package, "pico");
        let error = Chip::parse("z80").unwrap_err();
        assert!(error.advice().unwrap().contains("STM32H743ZITx"));
    }

    #[test]
    fn every_chip_has_its_package() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware-examples");
        for chip in &CHIPS {
            let config = std::fs::read_to_string(examples.join(chip.package).join(".cargo/config.toml")).unwrap();
            assert!(config.contains(chip.name) && config.contains(chip.target), "{}", chip.package);
        }
    }
}
