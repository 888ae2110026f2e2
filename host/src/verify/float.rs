//! Float runtimes of the same export: tract and onnxruntime on the ONNX files beside an artifact, against the training network in
//! Burn. Floats agree closely, not bit for bit, so a tolerance decides: no component of any picture may differ by more than 10^-5 of
//! the root mean square of all reference embeddings.
//!
//! A file with the artifact's integer weights is another function than the network; there the file's own test vectors (computed by
//! the exporter) decide, and on the pictures the two runtimes are compared with each other.

use super::Pictures;
use crate::bench::runtimes::Files;
use crate::cli::Output;
use crate::eval::quality::{largest_difference, scaled_error};
use crate::onnx::Form;
use crate::run_dir::RunDir;
use crate::runtime::{Network, Optimisation, Runtime, Session};
use crate::train::checkpoint::{Checkpoint, Which};
use crate::{Error, Result};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Largest accepted difference of a component, scaled by the root mean square of the reference embeddings.
pub const TOLERANCE: f64 = 1e-5;

/// A runtime with the form of file that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatDevice {
    runtime: Runtime,
    form: Form,
}

impl FloatDevice {
    /// What `--device` takes.
    pub const NAMES: [&'static str; 4] = ["tract", "tract:int8", "onnxruntime", "onnxruntime:int8"];

    /// Reads a name; none when it names no float runtime.
    pub fn parse(name: &str) -> Option<Self> {
        let (runtime, form) = name.split_once(':').unwrap_or((name, "f32"));
        let form = match form {
            "f32" => Form::Float32,
            "int8" => Form::Int8,
            _ => return None,
        };
        let runtime = match runtime {
            #[cfg(feature = "tract")]
            "tract" => Runtime::Tract,
            // Its other rewrites compute products with int8 weights in less than f32.
            "onnxruntime" => Runtime::Onnxruntime(Optimisation::Basic),
            _ => return None,
        };
        Some(FloatDevice { runtime, form })
    }
}

/// What one float runtime gave.
#[derive(Clone, Debug, Serialize)]
pub struct FloatReport {
    /// Runtime.
    pub device: String,
    /// The ONNX file.
    pub file: String,
    /// Comparisons that were made.
    pub comparisons: Vec<Comparison>,
    /// All of them are within the tolerance.
    pub agrees: bool,
}

/// Embeddings of some pictures against one reference.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What they are compared with.
    pub reference: String,
    /// Pictures compared.
    pub pictures: usize,
    /// Largest scaled distance.
    pub worst: f64,
    /// The picture that it belongs to.
    pub worst_picture: String,
    /// [`TOLERANCE`].
    pub tolerance: f64,
}

/// Runs the ONNX files of `files` on `devices` over `pictures`.
///
/// # Errors
/// A file or runtime is missing, the artifact lies in no run, or a runtime fails.
pub fn run(files: &Files, devices: &[FloatDevice], pictures: &Pictures, out: &Output) -> Result<Vec<FloatReport>> {
    let network = match devices.iter().any(|d| d.form == Form::Float32) {
        true => network(files, pictures, out)?,
        false => Vec::new(),
    };
    devices.iter().map(|device| one(device, files, (pictures, &network), out)).collect()
}

fn one(
    device: &FloatDevice,
    files: &Files,
    (pictures, network): (&Pictures, &[Vec<f32>]),
    out: &Output,
) -> Result<FloatReport> {
    let name = device.runtime.name();
    let file = files.of(device.form).ok_or_else(|| {
        Error::new(format!("there is no ONNX file with {} weights of this artifact beside it", device.form.name()))
            .hint("write it with `ldae export RUN --onnx --onnx-int8`")
    })?;
    device.runtime.check()?;
    let embed = |runtime: Runtime, pictures: &Pictures| -> Result<Vec<Vec<f32>>> {
        let prepared = runtime.prepare(&file.bytes)?;
        each(&mut *prepared.open()?, files, pictures, &runtime.name(), out)
    };
    let mut own = Pictures { from: "the file's test vectors".to_owned(), ..Pictures::default() };
    let vectors = &file.description.vectors;
    vectors.iter().enumerate().for_each(|(i, (pixels, _))| own.push(format!("test vector {i}"), pixels));
    let expected: Vec<Vec<f32>> = vectors.iter().map(|(_, embedding)| embedding.clone()).collect();
    let mut comparisons = vec![compare(&own.from, &own, &embed(device.runtime, &own)?, &expected)];
    let found = embed(device.runtime, pictures)?;
    match device.form {
        Form::Float32 => {
            comparisons.push(compare("the training network in Burn on the CPU", pictures, &found, network));
        }
        Form::Int8 => {
            if let Some(other) = other(device.runtime) {
                let reference = format!("{} on the same file", other.name());
                comparisons.push(compare(&reference, pictures, &found, &embed(other, pictures)?));
            }
        }
    }
    // NaN does not pass.
    let agrees = comparisons.iter().all(|c| c.worst <= TOLERANCE);
    Ok(FloatReport { device: name, file: file.path.display().to_string(), comparisons, agrees })
}

/// Another runtime that keeps a file's arithmetic, if this machine has one.
fn other(runtime: Runtime) -> Option<Runtime> {
    let names = ["tract", "onnxruntime"];
    let mut exact = names.into_iter().filter_map(FloatDevice::parse).map(|d| d.runtime);
    exact.find(|r| *r != runtime && r.check().is_ok())
}

/// Embeddings of the network that was exported.
fn network(files: &Files, pictures: &Pictures, out: &Output) -> Result<Vec<Vec<f32>>> {
    let place = files.artifact_path.display();
    let export = files.artifact_path.parent().filter(|p| p.file_name().is_some_and(|n| n == "export"));
    let run = export.and_then(Path::parent).map(RunDir::new).filter(|r| r.config().is_file());
    let run = run.ok_or_else(|| {
        Error::new(format!("{place} lies in no run directory: there is no network to compare with"))
            .hint("verify RUN/export/encoder.ldae, with the ONNX files beside it")
    })?;
    let step = |c: &Checkpoint| Some(c.header.step) == files.facts.train_step;
    let checkpoints = ["last", "best"].into_iter().filter_map(|n| Checkpoint::load(&run.checkpoint(n)).ok());
    let checkpoint = checkpoints.into_iter().find(step).ok_or_else(|| {
        Error::new(format!("{place} was exported from another checkpoint than the run has now"))
            .hint("export it again: `ldae export RUN --onnx --onnx-int8`")
    })?;
    let file = files.of(Form::Float32).ok_or_else(|| {
        Error::new("there is no float32 ONNX file of this artifact beside it")
            .hint("write it with `ldae export RUN --onnx`")
    })?;
    let weights = checkpoint.weights(Which::Average)?;
    let head = &file.description.head;
    let mut network = Network::new(&weights, files.facts.time_step, files.spec.pooling, head, "cpu")?;
    each(&mut network, files, pictures, "burn", out)
}

fn each(
    session: &mut dyn Session,
    files: &Files,
    pictures: &Pictures,
    name: &str,
    out: &Output,
) -> Result<Vec<Vec<f32>>> {
    let bar = out.progress(name, pictures.len() as u64);
    let one = |picture: &[u8]| {
        let mut embedding = vec![f32::NAN; files.spec.embedding() as usize];
        bar.inc(1);
        session.embed(picture, &mut embedding).map(|()| embedding)
    };
    let all = pictures.pixels.chunks_exact(files.spec.pixels() as usize).map(one).collect();
    bar.finish_and_clear();
    all
}

fn compare(reference: &str, pictures: &Pictures, found: &[Vec<f32>], wanted: &[Vec<f32>]) -> Comparison {
    let differences = found.iter().zip(wanted).map(|(a, b)| largest_difference(a, b));
    // NaN is larger than everything in this order.
    let worst = differences.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(at, _)| at);
    Comparison {
        reference: reference.to_owned(),
        pictures: found.len().min(wanted.len()),
        worst: scaled_error(&found.concat(), &wanted.concat()),
        worst_picture: pictures.names.get(worst).cloned().unwrap_or_default(),
        tolerance: TOLERANCE,
    }
}

impl fmt::Display for FloatReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "device      {}, {}", self.device, self.file)?;
        for c in &self.comparisons {
            writeln!(
                f,
                "  {} pictures against {}: largest scaled error {:.1e} ({}), accepted {:.0e}",
                c.pictures, c.reference, c.worst, c.worst_picture, c.tolerance
            )?;
        }
        write!(f, "verdict     {}", if self.agrees { "agrees" } else { "DISAGREES" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_others_left_to_the_boards() {
        for name in FloatDevice::NAMES.into_iter().filter(|n| cfg!(feature = "tract") || !n.starts_with("tract")) {
            assert!(FloatDevice::parse(name).is_some(), "{name}");
        }
        for name in ["host", "tract:int4", "qemu:cortex-m4", "onnxruntime:"] {
            assert_eq!(FloatDevice::parse(name), None, "{name}");
        }
    }

    #[test]
    fn values_that_are_no_numbers_disagree() {
        let mut pictures = Pictures::default();
        pictures.push("a".to_owned(), &[0]);
        pictures.push("b".to_owned(), &[0]);
        let c = compare("x", &pictures, &[vec![1.0], vec![f32::NAN]], &[vec![1.0], vec![1.0]]);
        assert!(c.worst.is_nan() && c.worst_picture == "b");
    }
}
