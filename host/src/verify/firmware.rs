//! Finds the firmware of a device, or builds it with cargo.
//!
//! A target whose `core` library is installed is built in the usual way. Otherwise, if the library's source is there
//! (component rust-src), `core` is built along with the firmware. Without either the error says what to install.

use super::device::{Board, Device};
use super::linux::AARCH64;
use super::probe::Chip;
use crate::cli::Output;
use crate::error::Context;
use crate::{Error, Result};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Environment variable with the same meaning as `--firmware`.
pub const FIRMWARE_VARIABLE: &str = "LDAE_FIRMWARE";
const STD_PACKAGE: &str = "std";
/// The program in each package that answers `ldae verify`.
pub const VERIFY: &str = "verify";
/// The program that answers `ldae bench --device`.
pub const BENCH: &str = "bench";

/// How `core` is had for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CoreLibrary {
    Installed,
    FromSource,
}

/// The firmware `program` ([`VERIFY`], [`BENCH`]) of `device`, built if need be.
///
/// `place` (or the environment variable, or the source tree of this program) is either the folder `firmware-examples`,
/// or a folder of finished programs: `PACKAGE/TARGET/release/verify` for boards, `std/release/verify` for the twin.
///
/// # Errors
/// No firmware is found, the target is not installed, or the build fails.
pub fn program(device: &Device, program: &str, place: Option<&Path>, out: &Output) -> Result<PathBuf> {
    let (package, target) = match device {
        Device::Qemu(Board { package, target, .. }) => (*package, Some(*target)),
        Device::Linux(linux) => (STD_PACKAGE, Some(linux.target)),
        Device::Probe(chip) => (chip.package, Some(chip.target)),
        Device::Std | Device::Host | Device::Kernel(_) | Device::Serial(_) => (STD_PACKAGE, None),
    };
    let place = folder(place)?;
    let finished = under(&place.join(package), target, program);
    if finished.is_file() {
        return Ok(finished);
    }
    let source = place.join(package);
    if !source.join("Cargo.toml").is_file() {
        return Err(Error::new(format!("no firmware for {device} in {}", place.display()))
            .hint("give the folder firmware-examples, or a folder with PACKAGE/TARGET/release/verify"));
    }
    build(&device.to_string(), &place, package, target, program, None, out)
}

/// The program [`VERIFY`] of a board package, built with `artifact` inside.
///
/// # Errors
/// No firmware is found, the target is not installed, or the build fails.
pub fn with_artifact(chip: &Chip, artifact: &[u8], place: Option<&Path>, out: &Output) -> Result<PathBuf> {
    let place = folder(place)?;
    // Beside the program that it goes into; cargo builds again only when its time changes.
    let target = target_folder(&place, "firmware", chip.package)?;
    std::fs::create_dir_all(&target).context(|| format!("cannot make {}", target.display()))?;
    let file = target.join("artifact.ldae");
    if std::fs::read(&file).ok().as_deref() != Some(artifact) {
        crate::atomic::write(&file, artifact)?;
    }
    let device = format!("probe:{}", chip.name);
    build(&device, &place, chip.package, Some(chip.target), VERIFY, Some(&file), out)
}

/// The folder firmware-examples: the one given, or that of the environment variable, or the one near this program.
///
/// # Errors
/// None is given and none is near.
pub fn folder(place: Option<&Path>) -> Result<PathBuf> {
    match place.map(Path::to_owned).or_else(|| env::var_os(FIRMWARE_VARIABLE).map(PathBuf::from)) {
        Some(place) => Ok(place),
        None => search().ok_or_else(|| {
            Error::new("the folder firmware-examples is not near this program")
                .hint(format!("pass its path with --firmware or in {FIRMWARE_VARIABLE}"))
        }),
    }
}

fn under(folder: &Path, target: Option<&str>, program: &str) -> PathBuf {
    let name = format!("{program}{}", if target.is_none() { env::consts::EXE_SUFFIX } else { "" });
    target.map_or_else(|| folder.to_owned(), |t| folder.join(t)).join("release").join(name)
}

/// Looks for firmware-examples above the working directory, above this program, and in the tree it was compiled from.
fn search() -> Option<PathBuf> {
    let starts = [env::current_dir().ok(), env::current_exe().ok(), Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")))];
    let found = |folder: &Path| Some(folder.join("firmware-examples")).filter(|f| f.join("app/Cargo.toml").is_file());
    starts.iter().flatten().find_map(|start| start.ancestors().find_map(found))
}

/// Every package has a target folder of its own: two of them may build different code for one target.
fn build(
    device: &str,
    place: &Path,
    package: &str,
    target: Option<&str>,
    program: &str,
    artifact: Option<&Path>,
    out: &Output,
) -> Result<PathBuf> {
    let source = place.join(package);
    let output = target_folder(place, "firmware", package)?;
    if !under(&output, target, program).is_file() {
        out.note(format_args!("building the firmware for {device} (once, about half a minute)"));
    }
    let mut command = cargo(&source, &output);
    command.args(["--bin", program]);
    if let Some(artifact) = artifact {
        command.env("LDAE_ARTIFACT", artifact); // see firmware-examples/app/build.rs
    }
    if let Some(linux) = Some(&AARCH64).filter(|linux| Some(linux.target) == target) {
        linux.link(&mut command)?;
        if core_library(linux.target)? == CoreLibrary::FromSource {
            command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        }
    } else if let Some(target) = target {
        command.args(["--target", target]);
        if core_library(target)? == CoreLibrary::FromSource {
            // The switch that lets a released compiler build the library it was shipped with.
            command.arg("-Zbuild-std=core").env("RUSTC_BOOTSTRAP", "1");
        }
    }
    run_cargo(command, &source)?;
    Ok(under(&output, target, program))
}

/// Where a package beside `place` (firmware-examples) is built: `KIND/PACKAGE` in this workspace's target folder.
pub fn target_folder(place: &Path, kind: &str, package: &str) -> Result<PathBuf> {
    let output = match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => place.parent().unwrap_or(place).join("target"),
    };
    // Cargo runs in the package's folder, so a relative folder must not be passed on as it is.
    std::path::absolute(output.join(kind).join(package)).context(|| format!("cannot resolve {}", output.display()))
}

/// `cargo build --release` of the package in `source` into the target folder `output`.
pub fn cargo(source: &Path, output: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--target-dir"]).arg(output).current_dir(source);
    // Flags meant for this machine (a processor, a linker) do not fit a board.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    command
}

/// Runs such a command; an error has the compiler's first line.
///
/// # Errors
/// Cargo is missing or fails.
pub fn run_cargo(mut command: Command, source: &Path) -> Result<()> {
    let built = command.output().map_err(|e| {
        Error::new(format!("cannot run {}", command.get_program().display()))
            .hint("install Rust (https://rustup.rs), or pass finished firmware with --firmware")
            .caused_by(e)
    })?;
    if !built.status.success() {
        let text = String::from_utf8_lossy(&built.stderr);
        let first = text.lines().find(|l| l.starts_with("error")).unwrap_or("cargo gave no reason");
        return Err(Error::new(format!("cannot build {}: {first}", source.display()))
            .hint("run `cargo build --release` there to see everything"));
    }
    Ok(())
}

fn core_library(target: &str) -> Result<CoreLibrary> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(&rustc).args(["--print", "sysroot"]).output().map_err(|e| {
        Error::new(format!("cannot run {}", rustc.display()))
            .hint("install Rust (https://rustup.rs), or pass finished firmware with --firmware")
            .caused_by(e)
    })?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    choose(&sysroot, target).ok_or_else(|| {
        Error::new(format!("Rust has no core library for {target} here"))
            .hint(format!("`rustup target add {target}` (or `rustup component add rust-src`), then run this again"))
    })
}

fn choose(sysroot: &Path, target: &str) -> Option<CoreLibrary> {
    let rustlib = sysroot.join("lib/rustlib");
    let libraries = rustlib.join(target).join("lib").read_dir().ok();
    let installed = libraries.is_some_and(|mut entries| {
        entries.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("libcore-")))
    });
    if installed {
        return Some(CoreLibrary::Installed);
    }
    rustlib.join("src/rust/library/Cargo.lock").is_file().then_some(CoreLibrary::FromSource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn prefers_an_installed_core_and_falls_back_to_its_source() {
        let root = tempfile::tempdir().unwrap();
        let rustlib = root.path().join("lib/rustlib");
        assert_eq!(choose(root.path(), "t"), None);
        fs::create_dir_all(rustlib.join("src/rust/library")).unwrap();
        fs::write(rustlib.join("src/rust/library/Cargo.lock"), "").unwrap();
        assert_eq!(choose(root.path(), "t"), Some(CoreLibrary::FromSource));
        fs::create_dir_all(rustlib.join("t/lib")).unwrap();
        assert_eq!(choose(root.path(), "t"), Some(CoreLibrary::FromSource));
        fs::write(rustlib.join("t/lib/libcore-0123.rlib"), "").unwrap();
        assert_eq!(choose(root.path(), "t"), Some(CoreLibrary::Installed));
    }

    #[test]
    fn a_folder_without_firmware_is_an_error_with_a_hint() {
        let empty = tempfile::tempdir().unwrap();
        let error =
            program(&"qemu:cortex-m4".parse().unwrap(), VERIFY, Some(empty.path()), &Output::new(false)).unwrap_err();
        assert!(error.to_string().contains("no firmware for qemu:cortex-m4"), "{error}");
        assert!(error.advice().is_some());
    }

    #[test]
    fn finished_programs_are_taken_as_they_are() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("qemu-arm/thumbv7m-none-eabi/release/verify");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(
            program(&"qemu:cortex-m3".parse().unwrap(), VERIFY, Some(root.path()), &Output::new(false)).unwrap(),
            file
        );
    }
}
