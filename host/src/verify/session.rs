//! One device, one request: starts the firmware, waits while it makes progress, reads its answer.
//!
//! The working directory of the emulator (or twin) holds request.bin, artifact.ldae and answer.bin; nothing else is shared.

use super::answer::Answer;
use super::device::{Board, Device};
use crate::error::Context;
use crate::{Error, Result};
use ldae_shared::parity::Request;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// What a device is given.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Artifact in the device's memory.
    pub artifact: &'a [u8],
    /// Header of the request.
    pub request: Request,
    /// Pixels of all pictures, one after the other.
    pub pixels: &'a [u8],
    /// Plugin of the emulator that counts instructions, if they are to be counted.
    pub counter: Option<&'a Path>,
}

/// How it went.
pub struct Ran {
    /// Whole, or what came of it.
    pub answer: Answer,
    /// Why the answer is not whole, in one line.
    pub trouble: Option<String>,
    /// What the counter wrote.
    pub counts: Option<String>,
    /// Wall time in seconds, boot and all.
    pub seconds: f64,
}

/// Checks that the emulator is there; returns where the firmware will run, in words.
///
/// # Errors
/// The emulator is missing.
pub fn describe(device: &Device) -> Result<String> {
    let board = match device {
        Device::Qemu(board) => board,
        Device::Serial(line) => return Ok(format!("on the serial port {}, {} baud", line.port, line.baud)),
        Device::Probe(chip) => return chip.describe(),
        Device::Linux(linux) => return linux.describe(),
        Device::Host | Device::Kernel(_) | Device::Std => {
            return Ok(format!("this machine ({})", std::env::consts::ARCH));
        }
    };
    let missing = |e: std::io::Error| {
        let package = board.emulator_package;
        Error::new(format!("{device} needs the emulator {}, which is not installed", board.emulator))
            .hint(format!(
                "install QEMU: `apt install {package}`, `dnf install {}-core`, `brew install qemu`",
                board.emulator
            ))
            .caused_by(e)
    };
    let answer = Command::new(board.emulator).arg("--version").output().map_err(missing)?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let version = text.split_whitespace().nth(3).unwrap_or("of unknown version");
    Ok(format!("{}, QEMU {version}", board.machine))
}

/// Runs `job` with the firmware `program`. Stops it when no new bytes arrive for `patience`.
/// `progress` hears the length of the answer so far.
///
/// # Errors
/// Files cannot be written, or the program does not start. A device that starts and fails is no error: see [`Ran`].
pub fn run(
    device: &Device,
    program: &Path,
    job: &Job<'_>,
    patience: Duration,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Ran> {
    let folder =
        tempfile::Builder::new().prefix("ldae-verify-").tempdir().context(|| "cannot make a working folder")?;
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, parts: [&[u8]; 2]| {
        let write = || File::create(path(name)).and_then(|mut f| parts.iter().try_for_each(|p| f.write_all(p)));
        use std::io::Write;
        write().context(|| format!("cannot write {}", path(name).display()))
    };
    write("artifact.ldae", [job.artifact, &[]])?;
    write("request.bin", [&job.request.to_bytes(), job.pixels])?;

    let console = File::create(path("console.txt")).context(|| "cannot write console.txt")?;
    let errors = console.try_clone().context(|| "cannot write console.txt")?;
    let mut command = match device {
        Device::Qemu(board) => emulator(board, program, job),
        Device::Probe(chip) => chip.command(program),
        Device::Linux(linux) => linux.command(program),
        Device::Std | Device::Host | Device::Kernel(_) | Device::Serial(_) => Command::new(program),
    };
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(console).stderr(errors);
    let started = Instant::now();
    let mut child = command.spawn().context(|| format!("cannot start {:?}", command.get_program()))?;

    let (mut length, mut heard) = (0, Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().context(|| "cannot wait for the emulator")? {
            break Some(status);
        }
        let now = fs::metadata(path("answer.bin")).map_or(0, |m| m.len());
        if now != length {
            (length, heard) = (now, Instant::now());
            progress(length);
        }
        if heard.elapsed() > patience {
            // Either call fails only when the child has ended by itself in this moment.
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        sleep(POLL);
    };
    let seconds = started.elapsed().as_secs_f64();
    let bytes = fs::read(path("answer.bin")).unwrap_or_default(); // missing: the firmware died first; `trouble` says so
    progress(bytes.len() as u64);
    let console = fs::read(path("console.txt")).unwrap_or_default();
    let (answer, broken) = match Answer::parse(&bytes) {
        Ok(answer) => (answer, None),
        Err(e) => (Answer::default(), Some(format!("its answer cannot be read: {e}"))),
    };
    let trouble = broken.or_else(|| trouble(&answer, status, &String::from_utf8_lossy(&console), patience));
    let counts = fs::read_to_string(path("counts.txt")).ok(); // missing without a counter, or when the emulator died
    Ok(Ran { answer, trouble, counts, seconds })
}

fn emulator(board: &Board, program: &Path, job: &Job<'_>) -> Command {
    let mut command = Command::new(board.emulator);
    let address = board.artifact.address(job.artifact.len());
    let loader = format!("loader,file=artifact.ldae,addr={address:#x},force-raw=on");
    command.args(["-machine", board.machine]).args(board.arguments);
    command.args(["-display", "none", "-serial", "none", "-monitor", "none"]);
    command.args(["-semihosting-config", "enable=on,target=native", "-device", &loader, "-kernel"]).arg(program);
    if let Some(plugin) = job.counter {
        let mut argument = plugin.as_os_str().to_owned();
        argument.push(",out=counts.txt");
        command.arg("-plugin").arg(argument);
    }
    command
}

/// One line on an answer that is not whole; `None` when it is.
fn trouble(answer: &Answer, status: Option<ExitStatus>, console: &str, patience: Duration) -> Option<String> {
    // The last two lines: a panic says where on one and why on the next.
    let lines: Vec<_> = console.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(2)..].join(" ");
    let last = if last.is_empty() { last } else { format!(": {last}") };
    let after = answer.pictures.len();
    match status {
        None => Some(format!("no answer for {} s after {after} pictures{last}", patience.as_secs())),
        Some(_) if answer.finished => answer.failure.clone(),
        Some(status) => Some(format!("the firmware stopped after {after} pictures ({status}){last}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn fake(script: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("fake");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        (folder, program)
    }

    #[cfg(unix)]
    fn run_fake(script: &str, patience: Duration) -> String {
        let (_folder, program) = fake(script);
        let request = Request { artifact_bytes: 0, pictures: 0, picture_bytes: 0, wanted: None };
        let job = Job { artifact: &[], request, pixels: &[], counter: None };
        run(&Device::Std, &program, &job, patience, &|_| {}).unwrap().trouble.unwrap()
    }

    #[test]
    #[cfg(unix)]
    fn a_crash_a_hang_and_garbage_are_told_apart() {
        let long = Duration::from_secs(30);
        let crash = run_fake("echo HardFault at 0x1234 >&2; exit 3", long);
        assert!(crash.contains("stopped after 0 pictures") && crash.ends_with("HardFault at 0x1234"), "{crash}");
        let hang = run_fake("exec sleep 30", Duration::from_millis(100));
        assert!(hang.contains("no answer"), "{hang}");
        let garbage = run_fake("echo something else > answer.bin", long);
        assert!(garbage.contains("cannot be read"), "{garbage}");
        let cut = run_fake("printf LDAEANS1 > answer.bin", long);
        assert!(cut.contains("stopped after 0 pictures"), "{cut}");
    }
}
