//! Who takes part: an artifact's kernels, and the ONNX files of the same export on tract and onnxruntime.

use crate::cli::Output;
use crate::data::{self, Dataset, LoadOptions};
use crate::error::Context;
use crate::onnx::{Description, Form};
use crate::runtime::{Optimisation, Runtime, quantise_dynamically};
use crate::{Error, Result};
use ldae_shared::format::Artifact;
use ldae_shared::spec::EncoderSpec;
use std::path::{Path, PathBuf};

/// How to get ONNX files.
const EXPORT: &str = "write them with `ldae export RUN --onnx --onnx-int8`, or name them behind the artifact";

/// The files of one export.
#[derive(Debug)]
pub struct Files {
    /// The `.ldae` file.
    pub artifact_path: PathBuf,
    /// Its bytes.
    pub artifact: Vec<u8>,
    /// Shape.
    pub spec: EncoderSpec,
    /// Time step, `key=value` lines and identity.
    pub facts: Facts,
    /// ONNX files of the same artifact.
    pub onnx: Vec<OnnxFile>,
}

/// What the artifact says about its origin.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Time step folded into the weights.
    pub time_step: u16,
    /// Training step, where it is stated.
    pub train_step: Option<u64>,
}

/// An ONNX file of the export.
#[derive(Debug)]
pub struct OnnxFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it says.
    pub description: Description,
}

/// A runtime with a file.
pub struct Contender {
    /// Runtime and form.
    pub name: String,
    /// The file, or what it would be.
    pub file: String,
    /// What to run, or why it cannot be run.
    pub program: Result<(Runtime, Vec<u8>)>,
}

impl Files {
    /// Reads `artifact`, the ONNX files in `more`, and those beside the artifact whose properties name it.
    ///
    /// # Errors
    /// A file cannot be read; the artifact is refused; a file in `more` belongs to another artifact.
    pub fn read(artifact: &Path, more: &[PathBuf]) -> Result<Self> {
        let bytes = bytes_of(artifact)?;
        let refused = || format!("{} is no valid artifact", artifact.display());
        let parsed = Artifact::parse_anywhere(&bytes)
            .context(refused)
            .map_err(|e| e.hint("give the .ldae file that `ldae export RUN` wrote"))?;
        if !parsed.layout().is_canonical() {
            return Err(Error::new(format!("{} is packed for one kind of core", artifact.display()))
                .hint("give the file that `ldae export` wrote; it is packed for every kernel here"));
        }
        let identity = crate::digest::hex(&parsed.identity());
        let train_step =
            parsed.provenance().lines().find_map(|l| l.strip_prefix("train_step=")).and_then(|n| n.parse().ok());
        let facts = Facts { time_step: parsed.time_step(), train_step };
        let spec = *parsed.spec();
        let mut onnx = Vec::new();
        for path in more {
            let file = OnnxFile::read(path)?;
            if file.description.artifact != identity {
                return Err(Error::new(format!("{} was exported with another artifact", path.display()))
                    .hint("export all files at once: `ldae export RUN --onnx --onnx-int8`"));
            }
            onnx.push(file);
        }
        let of_this = |f: &OnnxFile| f.description.artifact == identity;
        for path in beside(artifact) {
            // Files of other programs and other exports may lie there too.
            let known = onnx.iter().any(|f| f.path == path);
            onnx.extend(OnnxFile::read(&path).ok().filter(|f| !known && of_this(f)));
        }
        Ok(Files { artifact_path: artifact.to_owned(), artifact: bytes, spec, facts, onnx })
    }

    /// The file of a form.
    pub fn of(&self, form: Form) -> Option<&OnnxFile> {
        self.onnx.iter().find(|f| f.description.form == form)
    }

    /// At most `limit` training and held-out pictures of `source`, brought to the encoder's shape.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn pictures(&self, source: &str, limit: usize) -> Result<Dataset> {
        let (side, channels) = (usize::from(self.spec.image), usize::from(self.spec.channels));
        let source = match source {
            "drawn" => format!("drawn:train={limit},test={limit},side={},channels={channels}", side.max(8)),
            other => other.to_owned(),
        };
        let options = LoadOptions {
            side: Some(side),
            channels: Some(channels),
            limit: Some(limit),
            upscale: true,
            ..LoadOptions::default()
        };
        data::load(&source, &options)
    }
}

impl OnnxFile {
    fn read(path: &Path) -> Result<Self> {
        let bytes = bytes_of(path)?;
        let description = Description::read(&bytes)
            .context(|| format!("{} cannot be compared", path.display()))
            .map_err(|e| e.hint("write it again: `ldae export RUN --onnx --onnx-int8`"))?;
        Ok(OnnxFile { path: path.to_owned(), bytes, description })
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .context(|| format!("cannot read {}", path.display()))
        .map_err(|e| e.hint("`ldae export RUN` writes artifacts, with --onnx and --onnx-int8 also ONNX files"))
}

/// ONNX files in the artifact's folder, by name.
fn beside(artifact: &Path) -> Vec<PathBuf> {
    let folder = artifact.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_onnx = |p: &PathBuf| p.extension().is_some_and(|e| e == "onnx");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_onnx).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// All contenders in the order of the table: what cannot run is among them, with the reason.
pub fn contenders(files: &Files, out: &Output) -> Vec<Contender> {
    let mut all = Vec::new();
    let artifact = name_of(&files.artifact_path);
    for runtime in Runtime::all() {
        match runtime {
            Runtime::Integer(_) => all.push(Contender {
                name: runtime.name(),
                file: artifact.clone(),
                program: runtime.prepare(&files.artifact).map(|p| (runtime, p.bytes().to_vec())),
            }),
            _ => all.extend([Form::Float32, Form::Int8].map(|form| of_onnx(files, runtime, form))),
        }
    }
    out.note("onnxruntime quantises the float file");
    all.push(dynamic(files));
    all
}

fn label(form: Form) -> &'static str {
    match form {
        Form::Float32 => "f32",
        Form::Int8 => "int8 weights",
    }
}

fn of_onnx(files: &Files, runtime: Runtime, form: Form) -> Contender {
    let file = files.of(form);
    let program = file
        .ok_or_else(|| Error::new(format!("no ONNX file with {} weights of this artifact", form.name())).hint(EXPORT))
        .and_then(|f| runtime.check().map(|()| (runtime, f.bytes.clone())));
    Contender {
        name: format!("{} {}", runtime.name(), label(form)),
        file: file.map_or_else(|| "-".to_owned(), |f| name_of(&f.path)),
        program,
    }
}

/// onnxruntime's own int8 form of the float file.
fn dynamic(files: &Files) -> Contender {
    let runtime = Runtime::Onnxruntime(Optimisation::All);
    let make = || -> Result<Vec<u8>> {
        runtime.check()?;
        let float = files.of(Form::Float32).ok_or_else(|| Error::new("no float ONNX file to quantise").hint(EXPORT))?;
        let folder = tempfile::tempdir().context(|| "cannot create a temporary folder")?;
        let (from, to) = (folder.path().join("float.onnx"), folder.path().join("int8.onnx"));
        std::fs::write(&from, &float.bytes).context(|| format!("cannot write {}", from.display()))?;
        quantise_dynamically(&from, &to)?;
        bytes_of(&to)
    };
    Contender {
        name: "onnxruntime dynamic int8".to_owned(),
        file: "made by its quantiser".to_owned(),
        program: make().map(|bytes| (runtime, bytes)),
    }
}
