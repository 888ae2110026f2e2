//! Suites × runtimes: what must agree, and who must agree.
//!
//! [`suite::SUITES`] × [`runtime::all`] is the table that `cargo test -p ldae-tests` prints: every suite reaches every runtime
//! unless the runtime's own list says why not; [`tolerance::TOLERANCES`] says how far apart is still equal. The other tests of this
//! package run the program as a user does.

pub mod model;
pub mod reference;
pub mod runtime;
pub mod suite;
pub mod table;
pub mod tolerance;

use ldae_shared::format::{ArtifactDesc, Fill};
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::path::PathBuf;
use std::process::Command;

/// Path of the `ldae` program, built from this checkout with the profile of the running test.
///
/// `LDAE_BIN` names another one. Building here (and not trusting a file that happens to lie in the target directory)
/// keeps a suite from testing a stale program; when nothing changed it takes a fraction of a second.
///
/// # Panics
/// When the program does not build.
pub fn ldae() -> PathBuf {
    if let Some(path) = std::env::var_os("LDAE_BIN") {
        return path.into();
    }
    // .../target/PROFILE/deps/this-test
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("tests lie in target/PROFILE/deps");
    let target = folder.parent().expect("profiles lie in target");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "ldae-host", "--bin", "ldae", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the ldae program does not build");
    folder.join(format!("ldae{}", std::env::consts::EXE_SUFFIX))
}

/// An artifact of a small odd shape with random weights: fifteen pixels a side, width 14, two blocks.
///
/// # Panics
/// When the writer refuses it.
pub fn odd_artifact(pooling: Pooling) -> Vec<u8> {
    let spec = EncoderSpec {
        image: 15,
        channels: 3,
        patch: 5,
        rank: 11,
        width: 14,
        depth: 2,
        heads: 2,
        mlp_ratio: 3,
        pooling,
    };
    ArtifactDesc::synthetic(spec, Fill::Random, 5).write(|_| [0; 32]).expect("synthetic artifacts are valid")
}
