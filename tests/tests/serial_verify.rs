//! `ldae verify --device serial:PORT` over a pseudo-terminal, with the `std` twin of the firmware at its other end.
#![cfg(target_os = "linux")] // /proc tells when the port is open

use ldae_shared::format::{Artifact, reseal};
use ldae_shared::spec::Pooling;
use ldae_tests::odd_artifact;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn artifact() -> Vec<u8> {
    odd_artifact(Pooling::MeanStd)
}

/// The same with the last weight of the last block changed.
fn changed_weight() -> Vec<u8> {
    let mut bytes = artifact();
    let parsed = Artifact::parse(&bytes).unwrap();
    let last = parsed.blocks().last().unwrap().fc2.rows().last().unwrap().1;
    let offset = last.as_ptr_range().end as usize - bytes.as_ptr() as usize - 1;
    bytes[offset] ^= 1;
    reseal(&mut bytes);
    bytes
}

/// The twin, built where `ldae verify --device std` builds it.
fn twin() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = std::path::absolute(target.join("firmware/std")).unwrap();
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--bin", "serial", "--target-dir"])
        .arg(&folder)
        .current_dir(root.join("firmware-examples/std"))
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .unwrap();
    assert!(status.success(), "the twin does not build");
    folder.join("release/serial")
}

/// A twin that serves an artifact, and the name of its port.
struct Board {
    process: Child,
    port: String,
    folder: tempfile::TempDir,
}

impl Board {
    fn new(twin: &Path, flash: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("flash.ldae"), flash).unwrap();
        fs::write(folder.path().join("encoder.ldae"), artifact()).unwrap();
        let mut process =
            Command::new(twin).arg(folder.path().join("flash.ldae")).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        Board { process, port: port.trim().to_owned(), folder }
    }

    fn command(&self, program: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("verify").arg(self.folder.path().join("encoder.ldae")).arg("--device");
        command.arg(format!("serial:{}", self.port)).args(more);
        command
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // Either call fails only when the twin has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until the process has the port open.
fn wait_for_port(process: u32, port: &str) {
    let open = || {
        let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
        files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == Path::new(port)))
    };
    let began = Instant::now();
    while !open() {
        assert!(began.elapsed() < Duration::from_secs(100), "the port is never opened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

#[test]
fn equal_changed_and_cut_lines_give_0_1_and_2() {
    let (program, twin) = (ldae_tests::ldae(), twin());

    let board = Board::new(&twin, &artifact());
    for _ in 0..2 {
        let out = board.command(&program, &["--limit", "6"]).output().unwrap();
        let printed = text(&out);
        assert_eq!(out.status.code(), Some(0), "{printed}");
        assert!(
            printed.contains("taps        equal: 216 of 216") && printed.contains("artifact    equal"),
            "{printed}"
        );
    }

    let other = Board::new(&twin, &changed_weight());
    let out = other.command(&program, &["--limit", "3", "--json"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    let facts: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let device = &facts["devices"][0];
    assert_eq!((&device["inputs_equal"], &device["artifact_equal"]), (&3.into(), &false.into()));
    assert_eq!(device["first_difference"]["tap_name"], "block1.fc2", "{facts}");
    assert_ne!(device["first_difference"]["at"]["host"], device["first_difference"]["at"]["device"], "{facts}");

    // The board goes away in the middle: so many pictures that there is a middle.
    let mut dying = Board::new(&twin, &artifact());
    let mut command = dying.command(&program, &["--limit", "20000"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_port(child.id(), &dying.port);
    std::thread::sleep(Duration::from_millis(500));
    dying.process.kill().unwrap();
    let out = child.wait_with_output().unwrap();
    let printed = text(&out);
    assert_eq!(out.status.code(), Some(2), "{printed}");
    assert!(printed.contains("broke after") && printed.contains("DID NOT FINISH"), "{printed}");

    // Nobody is there.
    let out = dying.command(&program, &[]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out).contains("cannot open the serial port") && text(&out).contains("hint: "), "{}", text(&out));
}

#[test]
fn without_probe_rs_it_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = folder.path().join("encoder.ldae");
    fs::write(&encoder, artifact()).unwrap();
    let verify = |device: &str| {
        let mut command = Command::new(ldae_tests::ldae());
        command.arg("verify").arg(&encoder).args(["--device", device]).env("PATH", folder.path()).output().unwrap()
    };
    let out = verify("probe:RP2040");
    assert_eq!(out.status.code(), Some(2), "{}", text(&out));
    assert!(text(&out).contains("cargo install probe-rs-tools"), "{}", text(&out));
    let out = verify("probe:Z80");
    assert_eq!(out.status.code(), Some(2), "{}", text(&out));
    assert!(text(&out).contains("nRF52840_xxAA"), "{}", text(&out));
}
