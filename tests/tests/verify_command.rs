//! `ldae verify` as a user runs it: exit status, what it prints, what it says when it cannot run.

use ldae_shared::spec::Pooling;
use ldae_tests::odd_artifact;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Bench {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Bench {
    /// A folder with `encoder.ldae`: a small odd shape with random weights.
    fn new() -> Self {
        let bench = Bench { folder: tempfile::tempdir().unwrap(), program: ldae_tests::ldae() };
        let bytes = odd_artifact(Pooling::Grid2x2);
        fs::write(bench.path("encoder.ldae"), bytes).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A copy of the artifact with `change` made to its bytes.
    fn changed(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let mut bytes = fs::read(self.path("encoder.ldae")).unwrap();
        change(&mut bytes);
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn verify(&self, artifact: &Path, more: &[&str]) -> Output {
        Command::new(&self.program).arg("verify").arg(artifact).args(more).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit status 2 with one line of cause and one of advice, and nothing on standard output.
fn cannot_run(out: &Output, cause: &str) {
    let errors = text(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{errors}");
    assert!(out.stdout.is_empty());
    assert!(errors.starts_with("error: ") && errors.contains(cause) && errors.contains("\n hint: "), "{errors}");
    assert_eq!(errors.trim_end().lines().count(), 2, "{errors}");
}

#[test]
fn equal_devices_give_status_0_in_the_promised_order() {
    let bench = Bench::new();
    let out = bench.verify(&bench.path("encoder.ldae"), &["--device", "host,std", "--limit", "12"]);
    let printed = text(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{printed}{}", text(&out.stderr));
    let places: Vec<_> =
        ["artifact    ", "input       equal: 12 of 12", "taps        equal: 432 of 432", "verdict     equal"]
            .iter()
            .map(|line| printed.find(line).unwrap_or_else(|| panic!("no {line:?} in\n{printed}")))
            .collect();
    assert!(places.is_sorted(), "{printed}");
    assert!(printed.trim_end().lines().last().unwrap().starts_with("verdict: host, std equal to the reference"));
}

#[test]
fn a_changed_weight_gives_status_1_and_the_first_tap() {
    let bench = Bench::new();
    // A byte in the middle of a section of weights; its checksum is stale, as after an accident in flash.
    let offset = fs::metadata(bench.path("encoder.ldae")).unwrap().len() as usize / 2;
    let changed = bench.changed("changed.ldae", |bytes| bytes[offset] ^= 2);
    let changed = changed.to_str().unwrap();
    let arguments = ["--json", "--device", "std", "--limit", "4", "--device-artifact", changed];
    let out = bench.verify(&bench.path("encoder.ldae"), &arguments);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    let facts: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(facts["verdict"], "differs");
    let device = &facts["devices"][0];
    assert_eq!((&device["inputs_equal"], &device["artifact_equal"]), (&4.into(), &false.into()));
    let first = &device["first_difference"];
    assert!(first["tap_name"].as_str().unwrap().starts_with("block"), "{facts}");
    assert_ne!(first["at"]["host"], first["at"]["device"], "{facts}");
}

#[test]
fn what_cannot_run_says_why_and_what_to_do() {
    let bench = Bench::new();
    let good = bench.path("encoder.ldae");
    cannot_run(&bench.verify(&bench.path("none.ldae"), &[]), "cannot read");
    let cut = bench.changed("cut.ldae", |bytes| bytes.truncate(500));
    cannot_run(&bench.verify(&cut, &[]), "not a valid artifact");
    // Bytes 4 and 5 are the major version of the format (docs/FORMAT.md).
    let newer = bench.changed("newer.ldae", |bytes| bytes[4] = 99);
    cannot_run(&bench.verify(&newer, &[]), "version");
    cannot_run(&bench.verify(&good, &["--device", "qemu:z80"]), "z80");
    cannot_run(&bench.verify(&good, &["--device", "host", "--data", "/no/such/folder"]), "/no/such/folder");
    let empty = bench.folder.path().to_str().unwrap();
    cannot_run(&bench.verify(&good, &["--device", "std", "--firmware", empty]), "no firmware for std");
}

#[test]
fn without_the_emulator_it_says_what_to_install() {
    let bench = Bench::new();
    let out = Command::new(&bench.program)
        .arg("verify")
        .arg(bench.path("encoder.ldae"))
        .args(["--device", "qemu:rv32imac"])
        .env("PATH", bench.folder.path())
        .output()
        .unwrap();
    cannot_run(&out, "qemu-system-riscv32");
    assert!(text(&out.stderr).contains("apt install qemu-system-misc"));
}
