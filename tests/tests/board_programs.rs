//! The programs of a real board's package (Nucleo-F411RE), on QEMU's Netduino Plus 2: another STM32F4 with the same core, memory
//! map and UART. QEMU stands in for the debug probe, and for the USB serial port.
#![cfg(unix)]

use ldae_shared::format::{ArtifactDesc, Fill};
use ldae_shared::spec::PRESETS;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const MACHINE: &str = "qemu-system-arm -machine netduinoplus2 -display none";

struct Bench {
    folder: tempfile::TempDir,
    encoder: PathBuf,
}

impl Bench {
    /// A preset xs with random weights, and a `probe-rs` that runs the program in QEMU.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let encoder = folder.path().join("encoder.ldae");
        let artifact = ArtifactDesc::synthetic(PRESETS[0].spec, Fill::Random, 8).write(|_| [0; 32]).unwrap();
        fs::write(&encoder, artifact).unwrap();
        let probe = folder.path().join("probe-rs");
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = run ] || {{ echo probe-rs 0; exit 0; }}\n\
             [ \"$PROBE_RS_SEMIHOSTING_ALLOW_FILE_ACCESS\" ] || exit 9\n\
             exec {MACHINE} -semihosting-config enable=on,target=native -kernel \"$4\"\n"
        );
        fs::write(&probe, script).unwrap();
        fs::set_permissions(&probe, fs::Permissions::from_mode(0o755)).unwrap();
        Bench { folder, encoder }
    }

    fn verify(&self, device: &str) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new(ldae_tests::ldae())
            .arg("verify")
            .arg(&self.encoder)
            .args(["--limit", "3", "--device", device])
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .output()
            .unwrap()
    }
}

fn assert_equal(out: &Output) {
    let printed = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{printed}");
    assert!(printed.contains("core cortex-m4") && printed.contains("embeddings  equal: 3 of 3"), "{printed}");
}

/// QEMU running `program`, and the pseudo-terminal of its second UART.
struct Emulator(Child, String);

impl Emulator {
    fn start(program: &Path) -> Self {
        let mut words = MACHINE.split(' ');
        let mut process = Command::new(words.next().unwrap())
            .args(words)
            .args(["-serial", "null", "-serial", "pty", "-kernel"])
            .arg(program)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // "char device redirected to /dev/pts/3 (label serial1)"
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.split(' ').find(|w| w.starts_with("/dev/")).unwrap_or_else(|| panic!("{line}")).to_owned();
        Emulator(process, port)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Either call fails only when the emulator has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both programs in one test: they are built in one folder.
#[test]
#[ignore = "needs QEMU and the cross targets; `./ci.sh emulated` runs it"]
fn a_boards_programs_answer_over_probe_and_serial_port() {
    let bench = Bench::new();
    // This builds `verify` with the encoder inside, and leaves a target folder in which `serial` is built next.
    assert_equal(&bench.verify("probe:STM32F411RETx"));

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = std::path::absolute(target.join("firmware/nucleo-f411re")).unwrap();
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    let sysroot = PathBuf::from(String::from_utf8(sysroot).unwrap().trim());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--locked", "--bin", "serial"]);
    cargo.args(["--target", "thumbv7em-none-eabihf", "--target-dir"]).arg(&folder);
    if !sysroot.join("lib/rustlib/thumbv7em-none-eabihf/lib").is_dir() {
        cargo.arg("-Zbuild-std=core").env("RUSTC_BOOTSTRAP", "1");
    }
    let source = root.join("firmware-examples/nucleo-f411re");
    let built = cargo.current_dir(source).env("LDAE_ARTIFACT", &bench.encoder).env_remove("CARGO_TARGET_DIR").status();
    assert!(built.unwrap().success(), "the program does not build");
    let emulator = Emulator::start(&folder.join("thumbv7em-none-eabihf/release/serial"));
    for _ in 0..2 {
        assert_equal(&bench.verify(&format!("serial:{}", emulator.1)));
    }
}
