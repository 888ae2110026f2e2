//! onnxruntime as a session: its shared library, loaded when it is first asked for, one thread.
//!
//! The library is the one that `ORT_DYLIB_PATH` names, or the one inside the Python package `onnxruntime` of the interpreter that
//! `LDAE_PYTHON` names (`python3` without it). Nothing is downloaded. Input `pixels` u8 [1, image, image, C], output `embedding` f32
//! [1, E], as docs/ONNX.md says; models with another input or output are refused.

use super::{Session, check_sizes};
use crate::error::Context;
use crate::{Error, Result};
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRef};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How far onnxruntime rewrites the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimisation {
    /// Only rewrites that keep the arithmetic (`ORT_ENABLE_BASIC`).
    Basic,
    /// Everything, its default. Products with int8 weights then run in a kernel of lower precision.
    All,
}

impl Optimisation {
    /// Both.
    pub const ALL: [Optimisation; 2] = [Optimisation::Basic, Optimisation::All];

    /// What a name has behind `onnxruntime`.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Optimisation::Basic => " basic",
            Optimisation::All => "",
        }
    }
}

/// A library that was loaded, or why none was: cause and hint.
type Loaded = std::result::Result<(Environment, PathBuf), (String, String)>;

static LIBRARY: OnceLock<Loaded> = OnceLock::new();

fn library() -> Result<&'static (Environment, PathBuf)> {
    let loaded = LIBRARY.get_or_init(|| load().map_err(|e| (e.to_string(), e.advice().unwrap_or_default().to_owned())));
    loaded.as_ref().map_err(|(cause, hint)| Error::new(cause).hint(hint))
}

/// The library's environment.
///
/// # Errors
/// There is no library, or it is too old.
pub(super) fn environment() -> Result<&'static Environment> {
    library().map(|(environment, _)| environment)
}

/// Version of the library as its file name gives it (`libonnxruntime.so.1.31.1`), else the file name.
///
/// # Errors
/// There is no library.
pub fn version() -> Result<String> {
    let (_, path) = library()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(name.split_once(".so.").map_or(name.clone(), |(_, version)| version.to_owned()))
}

fn load() -> Result<(Environment, PathBuf)> {
    let path = match std::env::var_os("ORT_DYLIB_PATH") {
        Some(path) => PathBuf::from(path),
        None => in_python_package()?,
    };
    let hint = "name an onnxruntime library of version 1.17 or newer in ORT_DYLIB_PATH";
    let builder = ort::init_from(&path)
        .map_err(|e| Error::new(format!("{} is no usable onnxruntime: {e}", path.display())).hint(hint))?;
    let environment = builder
        .with_telemetry(false)
        .build()
        .map_err(|e| Error::new(format!("onnxruntime does not start: {e}")).hint(hint))?;
    // Errors come back as values; its own log would repeat them.
    environment.set_log_level(ort::logging::LogLevel::Fatal);
    Ok((environment, path))
}

/// The interpreter that has onnxruntime's packages.
fn python() -> PathBuf {
    std::env::var_os("LDAE_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// Prints the library of the package without importing it.
const FIND: &str = "\
import glob, importlib.util, os
spec = importlib.util.find_spec('onnxruntime')
folder = os.path.join(os.path.dirname(spec.origin), 'capi') if spec else ''
names = ('libonnxruntime.so*', 'libonnxruntime*.dylib', 'onnxruntime.dll')
print(next((f for n in names for f in sorted(glob.glob(os.path.join(folder, n)))), ''))
";

fn in_python_package() -> Result<PathBuf> {
    let hint = "pip install onnxruntime, and name that Python in LDAE_PYTHON; or name the library in ORT_DYLIB_PATH";
    let python = python();
    let missing = |why: &str| Error::new(format!("onnxruntime is not here: {why}")).hint(hint);
    let output = Command::new(&python)
        .args(["-c", FIND])
        .output()
        .map_err(|e| missing(&format!("{} does not start: {e}", python.display())))?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if path.is_empty() {
        return Err(missing(&format!("{} has no package onnxruntime with a library", python.display())));
    }
    Ok(path.into())
}

/// A program for Python: onnxruntime's own dynamic quantisation of a file.
const QUANTISE: &str = include_str!("quantise.py");

/// onnxruntime's own int8 form of a float32 file: dynamic quantisation, weights per channel, by its Python package.
///
/// # Errors
/// Python, or its packages onnxruntime and onnx, are missing, or they refuse the file.
pub fn quantise_dynamically(float32: &Path, int8: &Path) -> Result<()> {
    let hint = "pip install onnxruntime onnx, and name that Python in LDAE_PYTHON";
    let python = python();
    let output = Command::new(&python)
        .args(["-c", QUANTISE])
        .args([float32, int8])
        .output()
        .context(|| format!("{} does not start", python.display()))
        .map_err(|e| e.hint(hint))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no message");
    Err(Error::new(format!("onnxruntime's quantiser failed: {last}")).hint(hint))
}

/// A loaded file.
pub(super) struct Model {
    session: ort::session::Session,
    /// [1, image, image, C].
    shape: [i64; 4],
    components: usize,
}

impl Model {
    /// Loads an ONNX file from memory.
    pub(super) fn open(file: &[u8], level: Optimisation) -> Result<Self> {
        let level = match level {
            Optimisation::Basic => GraphOptimizationLevel::Level1,
            Optimisation::All => GraphOptimizationLevel::All,
        };
        let refused = |e: &dyn std::fmt::Display| {
            Error::new(format!("onnxruntime refuses the file: {e}"))
                .hint("write it again with `ldae export RUN --onnx`")
        };
        let mut builder = ort::session::Session::builder(environment()?).map_err(|e| refused(&e))?;
        builder = builder.with_optimization_level(level).map_err(|e| refused(&e))?;
        builder = builder.with_intra_threads(1).map_err(|e| refused(&e))?;
        builder = builder.with_inter_threads(1).map_err(|e| refused(&e))?;
        let session = builder.commit_from_memory(file).map_err(|e| refused(&e))?;
        let of = |outlets: &[ort::value::Outlet], name: &str, element: TensorElementType| -> Result<Vec<i64>> {
            let fits = |o: &&ort::value::Outlet| o.name() == name && o.dtype().tensor_type() == Some(element);
            let shape = outlets.iter().find(fits).and_then(|o| o.dtype().tensor_shape());
            shape.map(|s| s.to_vec()).ok_or_else(|| refused(&format!("it has no tensor `{name}` of {element:?}")))
        };
        let input = of(session.inputs(), "pixels", TensorElementType::Uint8)?;
        let output = of(session.outputs(), "embedding", TensorElementType::Float32)?;
        let shape = <[i64; 4]>::try_from(input.as_slice()).ok().filter(|s| s[0] == 1 && s.iter().all(|d| *d > 0));
        match (shape, output.as_slice()) {
            (Some(shape), &[1, e]) if e > 0 => Ok(Model { session, shape, components: e as usize }),
            _ => Err(refused(&format!("its shapes are {input:?} and {output:?}"))),
        }
    }
}

impl Session for Model {
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<()> {
        check_sizes(pixels, out, (self.shape.iter().product::<i64>() as usize, self.components))?;
        let failed = |e: ort::Error| Error::new(format!("onnxruntime failed: {e}"));
        let input = TensorRef::from_array_view((self.shape, pixels)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs!["pixels" => input]).map_err(failed)?;
        let (_, values) = outputs["embedding"].try_extract_tensor::<f32>().map_err(failed)?;
        if values.len() != out.len() {
            return Err(Error::new(format!("onnxruntime gave {} components", values.len())));
        }
        out.copy_from_slice(values);
        Ok(())
    }
}
