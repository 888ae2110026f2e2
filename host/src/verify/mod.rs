//! Host against device, tap by tap: the same artifact and the same pictures on this machine and on (emulated) boards.
//!
//! Both sides run the device crate; the firmware lies in firmware-examples, the messages in `ldae_shared::parity`. What is
//! compared is the CRC-32 of every tap (patches, latents, each LayerNorm, product and residual; NUMERICS.md, "Promises that
//! tests hold"), the embedding's codes and their squared norm. Where they differ, the first differing tap is asked for once
//! more, byte by byte.
//!
//! Refused: an artifact that the loader refuses, pictures of another size than its spec, an artifact that does not fit in the
//! board's memory. A device that crashes, hangs or answers garbage is reported as "did not finish", never as equal.

pub(crate) mod answer;
mod compare;
pub(crate) mod device;
pub(crate) mod firmware;
mod float;
mod link;
mod linux;
mod pictures;
mod probe;
pub(crate) mod reference;
mod report;
mod serial;
pub(crate) mod session;

pub use answer::{Answer, AnswerError};
pub use device::{BOARDS, Board, Device};
pub use firmware::FIRMWARE_VARIABLE;
pub use float::{FloatDevice, FloatReport, run as run_float};
pub use pictures::Pictures;
pub use probe::{CHIPS, Chip};
pub use report::{ArtifactId, DeviceReport, Difference, NotRun, ValueDifference, Verdict, VerifyReport};
pub use serial::SerialLine;

use crate::cli::Output;
use crate::{Error, Result};
use ldae_shared::crc::crc32;
use ldae_shared::format::Layout;
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
    /// Go on without devices that lack an emulator, a target or firmware, as long as one is left.
    pub skip_missing: bool,
    /// Give the devices the canonical artifact, which their portable kernel runs, instead of one packed for their core.
    pub portable: bool,
}

impl Default for Options {
    fn default() -> Self {
        // The slowest measured board makes about 100 MMAC a second, vit-tiny has 1250 MMAC: ten times the need.
        Options {
            firmware: None,
            device_artifact: None,
            patience: Duration::from_secs(120),
            skip_missing: false,
            portable: false,
        }
    }
}

/// A device that is ready to run.
struct Ready<'a> {
    device: &'a Device,
    board: String,
    /// None for the host itself and for boards that run already.
    program: Option<PathBuf>,
    /// The artifact in the order that the device's kernel reads.
    image: Vec<u8>,
    /// CRC-32 that it has when nothing was changed.
    image_crc: u32,
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
    let (mut ready, mut not_run) = (Vec::new(), Vec::new());
    for device in devices {
        match prepare(device, (artifact, on_device), options, out) {
            Ok(device) => ready.push(device),
            Err(e) if options.skip_missing => not_run.push((device, e)),
            Err(e) => return Err(e),
        }
    }
    if ready.is_empty() {
        // Nothing compared is not "equal".
        return Err(not_run.into_iter().next().map_or_else(
            || Error::new("no device was named").hint(format!("devices are {}", Device::names())),
            |(_, e)| e,
        ));
    }
    let check = Check {
        artifact,
        pictures,
        picture_bytes,
        reference: reference::run(artifact, &pictures.pixels, Kernels::Portable)?,
        artifact_crc: crc32(artifact),
        patience: options.patience,
    };
    let devices = check.all(&ready, out).into_iter().collect::<Result<Vec<_>>>()?;
    Ok(VerifyReport {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        artifact: ArtifactId {
            bytes: artifact.len(),
            crc32: format!("{:08x}", check.artifact_crc),
            sha256: Sha256::digest(artifact).iter().map(|b| format!("{b:02x}")).collect(),
        },
        pictures_from: pictures.from.clone(),
        pictures: pictures.len(),
        taps: check.reference.plan.taps as usize,
        scratch_bytes: check.reference.plan.scratch_bytes as usize,
        reference: format!("{} kernel on this machine ({})", check.reference.plan.kernel, std::env::consts::ARCH),
        verdict: Verdict::worst(&devices),
        devices,
        not_run: not_run
            .into_iter()
            .map(|(device, e)| NotRun {
                device: device.to_string(),
                reason: e.to_string(),
                hint: e.advice().unwrap_or_default().to_owned(),
            })
            .collect(),
    })
}

/// Finds everything that `device` needs before anything runs.
fn prepare<'a>(
    device: &'a Device,
    (expected, on_device): (&[u8], &[u8]),
    options: &Options,
    out: &Output,
) -> Result<Ready<'a>> {
    // A canonical artifact goes out as it is: the device shall find what is wrong with a damaged one.
    let layout = if options.portable { Layout::Canonical } else { device.layout() };
    let image = |bytes: &[u8]| match layout {
        Layout::Canonical => Ok(bytes.to_vec()),
        layout => crate::pack::to_layout(bytes, layout),
    };
    let expected = image(expected)?;
    // What is damaged cannot be packed, and goes as it is.
    let image = image(on_device).unwrap_or_else(|_| on_device.to_vec());
    if let Device::Qemu(board) = device
        && image.len() > board.artifact_room
    {
        let artifact = image.len();
        let room = board.artifact_room;
        return Err(Error::new(format!("the artifact has {artifact} bytes, {device} has room for {room}"))
            .hint("choose a smaller preset, or another device"));
    }
    let board = session::describe(device)?;
    let program = match device {
        Device::Host | Device::Kernel(_) | Device::Serial(_) => None,
        Device::Probe(chip) => Some(chip.program(&image, options.firmware.as_deref(), out)?),
        Device::Std | Device::Qemu(_) | Device::Linux(_) => {
            Some(firmware::program(device, firmware::VERIFY, options.firmware.as_deref(), out)?)
        }
    };
    Ok(Ready { device, board, program, image, image_crc: crc32(&expected) })
}

/// Everything that the comparisons share.
struct Check<'a> {
    artifact: &'a [u8],
    pictures: &'a Pictures,
    picture_bytes: usize,
    reference: Reference,
    artifact_crc: u32,
    patience: Duration,
}

impl Check<'_> {
    /// All devices, as many at a time as there are cores; results in their order.
    fn all(&self, ready: &[Ready<'_>], out: &Output) -> Vec<Result<DeviceReport>> {
        let plan = &self.reference.plan;
        let record = Answer::picture_record_bytes(plan.taps as usize, plan.components as usize) as u64;
        let each = self.pictures.len() as u64;
        let bar = out.progress("verify", each * ready.len() as u64);
        let heard: Vec<AtomicU64> = ready.iter().map(|_| AtomicU64::new(0)).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(ready) = ready.get(i) else { break done };
                let progress = |bytes: u64| {
                    heard[i].store((bytes / record).min(each), Ordering::Relaxed);
                    bar.set_position(heard.iter().map(|h| h.load(Ordering::Relaxed)).sum());
                };
                done.push((i, self.one(ready, &progress)));
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(ready.len());
        let mut reports: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            // A panic in a worker is a bug of this program: pass it on.
            threads.into_iter().flat_map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect()
        });
        bar.finish_and_clear();
        reports.sort_by_key(|(i, _)| *i);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    /// One device: run, compare, and where it differs, look closer.
    fn one(&self, ready: &Ready<'_>, progress: &(dyn Fn(u64) + Sync)) -> Result<DeviceReport> {
        let job = self.job(&ready.image, &self.pictures.pixels, None);
        let ran = match self.ask(ready, &job, progress)? {
            Some(ran) => ran,
            None => in_process(&ready.image, &self.pictures.pixels, kernels(ready.device))?,
        };
        let (device, board) = (ready.device.to_string(), ready.board.clone());
        let names = &self.pictures.names;
        let image_crc = self.expected_crc(ready, &ran);
        let mut report = compare::compare(device, board, &ran, &self.reference, image_crc, names);
        if let Some(first) = &mut report.first_difference {
            first.at = self.locate(ready, first)?;
        }
        Ok(report)
    }

    /// CRC-32 that the device's artifact should have. What lies in the flash of a board on a serial port may be in any
    /// layout.
    fn expected_crc(&self, ready: &Ready<'_>, ran: &Ran) -> u32 {
        let found = ran.answer.identity.as_ref().map(|i| i.artifact_crc);
        let packed = |target: &crate::pack::Target| {
            crate::pack::to_layout(self.artifact, target.family.layout())
                .is_ok_and(|image| Some(crc32(&image)) == found)
        };
        match (ready.device, found) {
            (Device::Serial(_), Some(found)) if crate::pack::TARGETS.iter().any(packed) => found,
            _ => ready.image_crc,
        }
    }

    /// What the device answers; none for the host itself.
    fn ask(&self, ready: &Ready<'_>, job: &Job<'_>, progress: &(dyn Fn(u64) + Sync)) -> Result<Option<Ran>> {
        match (ready.device, &ready.program) {
            (Device::Serial(line), _) => line.run(job, self.patience, progress).map(Some),
            (device, Some(program)) => session::run(device, program, job, self.patience, progress).map(Some),
            (_, None) => Ok(None),
        }
    }

    fn job<'j>(&self, image: &'j [u8], pixels: &'j [u8], wanted: Option<TapWanted>) -> Job<'j> {
        let request = Request {
            artifact_bytes: image.len() as u32,
            pictures: (pixels.len() / self.picture_bytes) as u32,
            picture_bytes: self.picture_bytes as u32,
            wanted,
        };
        Job { artifact: image, request, pixels, counter: None }
    }

    /// Asks for the bytes of the first differing tap and finds the first value that differs.
    fn locate(&self, ready: &Ready<'_>, first: &Difference) -> Result<Option<ValueDifference>> {
        let Some(tap) = first.tap else { return Ok(None) };
        let picture = &self.pictures.pixels[first.picture * self.picture_bytes..][..self.picture_bytes];
        let (element, host) = reference::tap_bytes(self.artifact, picture, tap, Kernels::Portable)?;
        let job = self.job(&ready.image, picture, Some(TapWanted { picture: 0, tap: tap as u32 }));
        let device = match self.ask(ready, &job, &|_| {})? {
            Some(ran) => ran.answer.tap_bytes,
            None => reference::tap_bytes(&ready.image, picture, tap, kernels(ready.device))?.1,
        };
        Ok(compare::locate(&element.values(&host), &element.values(&device)))
    }
}

/// Which kernel of this process a device means.
fn kernels(device: &Device) -> Kernels {
    if let Device::Kernel(kernel) = device { Kernels::On(*kernel) } else { Kernels::Best }
}

/// The engine of this process as a device.
fn in_process(artifact: &[u8], pixels: &[u8], kernels: Kernels) -> Result<Ran> {
    let started = Instant::now();
    let Reference { pictures, plan, .. } = reference::run(artifact, pixels, kernels)?;
    let identity = answer::Identity {
        artifact_bytes: artifact.len() as u32,
        artifact_crc: crc32(artifact),
        core: std::env::consts::ARCH.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let answer = Answer { identity: Some(identity), plan: Some(plan), pictures, finished: true, ..Answer::default() };
    Ok(Ran { answer, trouble: None, counts: None, seconds: started.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod odd_shapes;
#[cfg(test)]
mod tests;
