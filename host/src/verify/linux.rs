//! Linux boards by user emulation: the `std` twin of the firmware, built for another processor and run by QEMU on this machine.

use crate::{Error, Result};
use std::path::Path;
use std::process::Command;

/// A processor under Linux.
#[derive(Debug, PartialEq, Eq)]
pub struct Linux {
    /// Name after `qemu:`, and the core that its artifact is packed for.
    pub core: &'static str,
    /// Compilation target of the twin.
    pub target: &'static str,
    /// The same as cargo's environment variables write it.
    variable: &'static str,
    /// Emulator program.
    emulator: &'static str,
    /// C compiler that links for the target, and its Debian package.
    linker: (&'static str, &'static str),
}

/// 64-bit Arm.
pub static AARCH64: Linux = Linux {
    core: "aarch64",
    target: "aarch64-unknown-linux-gnu",
    variable: "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU",
    emulator: "qemu-aarch64",
    linker: ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
};

impl Linux {
    /// Checks that the emulator is there; returns it in words.
    ///
    /// # Errors
    /// The emulator is missing.
    pub fn describe(&self) -> Result<String> {
        let version = version(self.emulator).map_err(|e| {
            Error::new(format!("qemu:{} needs the emulator {}, which is not installed", self.core, self.emulator))
                .hint("install QEMU's user emulation: `apt install qemu-user`, `dnf install qemu-user`")
                .caused_by(e)
        })?;
        let version = version.split_whitespace().nth(2).unwrap_or("of unknown version").to_owned();
        Ok(format!("Linux user emulation, QEMU {version}"))
    }

    /// Tells cargo how to link the twin: whole, so that no system libraries of the processor are needed to run it.
    ///
    /// # Errors
    /// The linker is missing.
    pub fn link(&self, command: &mut Command) -> Result<()> {
        let (linker, package) = self.linker;
        version(linker).map_err(|e| {
            Error::new(format!("qemu:{} needs the linker {linker}, which is not installed", self.core))
                .hint(format!("install it: `apt install {package}`"))
                .caused_by(e)
        })?;
        command.args(["--target", self.target]);
        command.env(format!("{}_LINKER", self.variable), linker);
        command.env(format!("{}_RUSTFLAGS", self.variable), "-C target-feature=+crt-static");
        Ok(())
    }

    /// Runs the twin.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(self.emulator);
        command.arg(program);
        command
    }
}

fn version(program: &str) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&Command::new(program).arg("--version").output()?.stdout).into_owned())
}
