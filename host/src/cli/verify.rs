//! `ldae verify`.

use super::{Outcome, Output};
use crate::bench::runtimes::Files;
use crate::error::Context;
use crate::verify::{self, Device, FloatDevice, FloatReport, Options, Pictures, Verdict, VerifyReport};
use crate::{Error, Result};
use ldae_shared::format::{Artifact, reseal};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `ldae verify`.
#[derive(clap::Args)]
pub struct Args {
    /// Exported encoder (.ldae).
    artifact: PathBuf,
    /// Devices, separated by commas: host, host:all (every kernel of this machine) or host:KERNEL, std, qemu:cortex-m0, -m3, -m4, -m7, -m33 or -m55, qemu:rv32imac, qemu:microbit,
    /// qemu:all (every microcontroller core), qemu:aarch64 (Linux); serial:PORT or serial:PORT@BAUD for a board that runs the
    /// program `serial`; probe:CHIP for a board on a debug probe. tract, tract:int8, onnxruntime and onnxruntime:int8 run the ONNX
    /// files of the same export beside the artifact; floats are compared with the network in Burn, within a tolerance.
    #[arg(long, value_delimiter = ',', default_value = "qemu:cortex-m4")]
    device: Vec<String>,
    /// Pictures to run: a data set (its held-out split), as `ldae data` reads it. Without it: the artifact's own
    /// test vectors, synthetic and drawn pictures.
    #[arg(long)]
    data: Option<String>,
    /// At most this many pictures.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// What the devices run instead of the artifact. A stale checksum in it is repaired, so that the engine runs it and the
    /// comparison shows where it departs.
    #[arg(long, value_name = "FILE")]
    device_artifact: Option<PathBuf>,
    /// Folder of the firmware sources (firmware-examples), or of finished firmware (PACKAGE/TARGET/release/verify).
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
    /// Kernel of the devices: best (the artifact is packed for each core) or portable (the canonical artifact).
    #[arg(long, value_parser = ["best", "portable"], default_value = "best")]
    kernel: String,
    /// Stop a device that sends nothing new for this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// What is printed as JSON: the report on the boards, and one for each float runtime.
#[derive(serde::Serialize)]
struct Facts<'a> {
    #[serde(flatten)]
    integer: Option<&'a VerifyReport>,
    #[serde(skip_serializing_if = "<[FloatReport]>::is_empty")]
    float: &'a [FloatReport],
}

/// Runs the verb.
pub fn run(args: Args, out: &Output) -> Result<Outcome> {
    let (float, boards): (Vec<String>, Vec<String>) =
        args.device.iter().cloned().partition(|name| FloatDevice::parse(name).is_some());
    let float: Vec<FloatDevice> = float.iter().filter_map(|name| FloatDevice::parse(name)).collect();
    let devices: Vec<Device> = Device::list(&boards)?;
    let bytes = read(&args.artifact)?;
    let artifact = Artifact::parse(&bytes).map_err(|e| {
        Error::new(format!("{} is not a valid artifact: {e}", args.artifact.display()))
            .hint("export it again, or copy it again")
    })?;
    let device_artifact = args.device_artifact.as_deref().map(|path| changed(path, out)).transpose()?;
    let limit = args.limit as usize;
    let pictures = match &args.data {
        Some(source) => Pictures::of_data(source, artifact.spec(), limit)?,
        None => Pictures::of_artifact(&artifact, limit)?,
    };
    let float = match float.is_empty() {
        true => Vec::new(),
        false => verify::run_float(&Files::read(&args.artifact, &[])?, &float, &pictures, out)?,
    };
    let float_agrees = float.iter().all(|f| f.agrees);
    if devices.is_empty() && !float.is_empty() {
        let text: Vec<String> = float.iter().map(ToString::to_string).collect();
        out.facts(&Facts { integer: None, float: &float }, text.join("\n"));
        return Ok(if float_agrees { Outcome::Passed } else { Outcome::CheckFailed });
    }
    let patience = Duration::from_secs(args.timeout);
    let options = Options {
        firmware: args.firmware,
        device_artifact,
        patience,
        skip_missing: false,
        portable: args.kernel == "portable",
    };
    let report = verify::run(&bytes, &devices, &pictures, &options, out)?;
    if let Some(path) = beside_the_run(&args.artifact) {
        crate::atomic::write(
            &path,
            &serde_json::to_vec_pretty(&report).context(|| "cannot write the report as JSON")?,
        )?;
        out.note(format_args!("written to {}", path.display()));
    }
    let text: String = float.iter().map(|f| format!("{f}\n")).collect();
    out.facts(&Facts { integer: Some(&report), float: &float }, format!("{text}{report}"));
    Ok(match report.verdict {
        Verdict::Equal if float_agrees => Outcome::Passed,
        Verdict::Equal => Outcome::CheckFailed,
        Verdict::Differs => Outcome::CheckFailed,
        Verdict::DidNotFinish => Outcome::CouldNotRun,
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        Error::new(format!("cannot read {}", path.display())).hint("`ldae export RUN` writes artifacts").caused_by(e)
    })
}

/// The devices' artifact, its checksum made to fit.
fn changed(path: &Path, out: &Output) -> Result<Vec<u8>> {
    let mut bytes = read(path)?;
    let before = bytes.clone();
    reseal(&mut bytes);
    if bytes != before {
        out.note(format_args!("checksum of {} repaired for the devices", path.display()));
    }
    Ok(bytes)
}

/// RUN/verify.json for an artifact in RUN/export: the report page shows it.
fn beside_the_run(artifact: &Path) -> Option<PathBuf> {
    let export = artifact.parent().filter(|p| p.file_name().is_some_and(|n| n == "export"))?;
    let run = export.parent().filter(|r| r.join("config.toml").is_file())?;
    Some(run.join("verify.json"))
}
