//! Host against device, tap by tap: the same artifact and the same pictures on this machine and on (emulated) boards.
//!
//! Both sides run the device crate; the firmware lies in firmware-examples, the messages in `ldae_shared::parity`. What is
//! compared is the CRC-32 of every tap (patches, latents, each LayerNorm, product and residual; NUMERICS.md, "Promises that
//! tests hold"), the embedding's codes and their squared norm. Where they differ, the first differing tap is asked for once
//! more, byte by byte.
//!
//! Refused: an artifact that the loader refuses, pictures of another size than its spec, an artifact that does not fit in the
//! board's memory. A device that crashes, hangs or answers garbage is reported as "did not finish", never as equal.

mod answer;
mod compare;
mod device;
mod firmware;
mod pictures;
mod reference;
mod report;
mod session;

pub use answer::{Answer, AnswerError};
pub use device::{BOARDS, Board, Device};
pub use firmware::FIRMWARE_VARIABLE;
pub use pictures::Pictures;
pub use report::{ArtifactId, DeviceReport, Difference, ValueDifference, Verdict, VerifyReport};

use crate::cli::Output;
use crate::{Error, Result};
use ldae_shared::crc::crc32;
use ldae_shared::parity::{Request, TapWanted};
use reference::{Kernels, Reference};
use session::{Job, Ran};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How to verify.
#[derive(Clone, Debug)]
pub struct Options {
    /// Firmware sources or finished firmware; see `--firmware`.
    pub firmware: Option<PathBuf>,
    /// What the devices run instead of the host's artifact: shows how a difference is found.
    pub device_artifact: Option<Vec<u8>>,
    /// A device that sends nothing new for this long is stopped.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        // The slowest measured board makes about 100 MMAC a second, vit-tiny has 1250 MMAC: ten times the need.
        Options { firmware: None, device_artifact: None, patience: Duration::from_secs(120) }
    }
}

/// A device that is ready to run.
struct Ready<'a> {
    device: &'a Device,
    board: String,
    /// None for the host itself.
    program: Option<PathBuf>,
}

/// Runs `artifact` over `pictures` on this machine and on `devices`, as many at a time as there are cores, and compares.
///
/// # Errors
/// Nothing could be compared: an invalid artifact, pictures of another size, a missing emulator, target or firmware.
pub fn run(
    artifact: &[u8],
    devices: &[Device],
    pictures: &Pictures,
    options: &Options,
    out: &Output,
) -> Result<VerifyReport> {
    let picture_bytes = reference::spec(artifact)?.pixels() as usize;
    if pictures.is_empty() || pictures.pixels.len() != pictures.len() * picture_bytes {
        return Err(Error::new(format!("the pictures do not have the {picture_bytes} bytes that the artifact wants"))
            .hint("give at least one picture, resized to the artifact's image side and channels"));
    }
    let on_device = options.device_artifact.as_deref().unwrap_or(artifact);
    let ready = devices.iter().map(|d| prepare(d, on_device.len(), options, out)).collect::<Result<Vec<_>>>()?;
    let reference = reference::run(artifact, &pictures.pixels, Kernels::Portable)?;

    let record = Answer::picture_record_bytes(reference.plan.taps as usize, reference.plan.components as usize) as u64;
    let bar = out.progress("verify", (pictures.len() * devices.len()) as u64);
    let heard: Vec<AtomicU64> = devices.iter().map(|_| AtomicU64::new(0)).collect();
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(devices.len());
    let crc = crc32(artifact);
    let work = || -> Vec<(usize, Result<DeviceReport>)> {
        let mut done = Vec::new();
        while let Some((i, ready)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, ready.get(i)?))) {
            let progress = |bytes: u64| {
                heard[i].store((bytes / record).min(pictures.len() as u64), Ordering::Relaxed);
                bar.set_position(heard.iter().map(|h| h.load(Ordering::Relaxed)).sum());
            };
            done.push((i, one(ready, artifact, on_device, pictures, &reference, crc, options, &progress)));
        }
        done
    };
    let mut reports: Vec<(usize, Result<DeviceReport>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        // A panic in a worker is a bug of this program: pass it on.
        threads.into_iter().flat_map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect()
    });
    bar.finish_and_clear();
    reports.sort_by_key(|(i, _)| *i);
    Ok(VerifyReport {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        artifact: ArtifactId {
            bytes: artifact.len(),
            crc32: format!("{crc:08x}"),
            sha256: Sha256::digest(artifact).iter().map(|b| format!("{b:02x}")).collect(),
        },
        pictures_from: pictures.from.clone(),
        pictures: pictures.len(),
        taps: reference.plan.taps as usize,
        scratch_bytes: reference.plan.scratch_bytes as usize,
        devices: reports.into_iter().map(|(_, r)| r).collect::<Result<_>>()?,
    })
}

/// Finds everything that `device` needs before anything runs.
fn prepare<'a>(device: &'a Device, artifact: usize, options: &Options, out: &Output) -> Result<Ready<'a>> {
    if let Device::Qemu(board) = device
        && artifact > board.artifact_room
    {
        let room = board.artifact_room;
        return Err(Error::new(format!("the artifact has {artifact} bytes, {device} has room for {room}"))
            .hint("choose a smaller preset, or another device"));
    }
    let board = session::describe(device)?;
    let program = match device {
        Device::Host => None,
        _ => Some(firmware::program(device, options.firmware.as_deref(), out)?),
    };
    Ok(Ready { device, board, program })
}

/// One device: run, compare, and where it differs, look closer.
#[allow(clippy::too_many_arguments)]
fn one(
    ready: &Ready<'_>,
    artifact: &[u8],
    on_device: &[u8],
    pictures: &Pictures,
    reference: &Reference,
    crc: u32,
    options: &Options,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<DeviceReport> {
    let size = pictures.pixels.len() / pictures.len();
    let job = |pixels, wanted| {
        let pictures = <[u8]>::len(pixels) / size;
        let request = Request {
            artifact_bytes: on_device.len() as u32,
            pictures: pictures as u32,
            picture_bytes: size as u32,
            wanted,
        };
        Job { artifact: on_device, request, pixels }
    };
    let ran = match &ready.program {
        Some(program) => session::run(ready.device, program, &job(&pictures.pixels, None), options.patience, progress)?,
        None => in_process(on_device, &pictures.pixels)?,
    };
    let mut report =
        compare::compare(ready.device.to_string(), ready.board.clone(), &ran, reference, crc, &pictures.names);
    if let Some(first) = &mut report.first_difference
        && let Some(tap) = first.tap
    {
        let picture = &pictures.pixels[first.picture * size..][..size];
        let (element, host) = reference::tap_bytes(artifact, picture, tap, Kernels::Portable)?;
        let wanted = TapWanted { picture: 0, tap: tap as u32 };
        let device = match &ready.program {
            Some(program) => {
                let job = job(picture, Some(wanted));
                session::run(ready.device, program, &job, options.patience, &|_| {})?.answer.tap_bytes
            }
            None => reference::tap_bytes(on_device, picture, tap, Kernels::Best)?.1,
        };
        first.at = compare::locate(&element.values(&host), &element.values(&device));
    }
    Ok(report)
}

/// The engine of this process as a device.
fn in_process(artifact: &[u8], pixels: &[u8]) -> Result<Ran> {
    let started = Instant::now();
    let Reference { pictures, plan, .. } = reference::run(artifact, pixels, Kernels::Best)?;
    let identity = answer::Identity {
        artifact_bytes: artifact.len() as u32,
        artifact_crc: crc32(artifact),
        core: std::env::consts::ARCH.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let answer = Answer { identity: Some(identity), plan: Some(plan), pictures, finished: true, ..Answer::default() };
    Ok(Ran { answer, trouble: None, seconds: started.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod tests;
