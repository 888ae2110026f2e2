//! Writing the artifact: fold, calibrate, quantise, embed test vectors and provenance, measure the quality.
//!
//! The file is written only when all of that succeeded; the quality report stands beside it.

mod onnx;
mod quality;
mod vectors;

pub use onnx::OnnxFile;
pub use quality::QualityReport;
pub use vectors::make as test_vectors;

use crate::cli::Output;
use crate::data::Dataset;
use crate::digest::{hex, sha256_hex};
use crate::error::Context;
use crate::eval::standardise::Standardiser;
use crate::model::Weights;
use crate::onnx::Form;
use crate::quantise::{FloatEncoder, LayerNoise, MIN_PICTURES, calibrate, quantise};
use crate::{Error, Result, atomic};
use half::f16;
use ldae_shared::format::{Artifact, ArtifactDesc};
use ldae_shared::spec::{EncoderSpec, Pooling};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// What to export and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time step to fold (METHOD.md section 1: a small one is best; default 10).
    pub t: u16,
    /// Pooling of the exported encoder.
    pub pooling: Pooling,
    /// Calibration pictures, taken from the training split.
    pub calibration: usize,
    /// Embedded test vectors.
    pub vectors: usize,
    /// Held-out pictures, and as many training pictures, that the quality report compares; 0 for no report.
    pub compare: usize,
    /// `key=value` facts for the artifact, such as the training step.
    pub facts: Vec<(String, String)>,
}

/// Where to write.
#[derive(Clone, Debug)]
pub struct Files {
    /// The artifact, `.ldae`.
    pub artifact: PathBuf,
    /// The float encoder as ONNX, if wanted.
    pub onnx: Option<PathBuf>,
    /// The encoder with the artifact's integer weights as ONNX, if wanted.
    pub onnx_int8: Option<PathBuf>,
}

impl Files {
    /// Refuses an ONNX file that cannot be written, before hours of calibration.
    fn check_sizes(&self, weights: &Weights) -> Result<()> {
        let spec = &weights.spec().encoder;
        for (path, form) in [(&self.onnx, Form::Float32), (&self.onnx_int8, Form::Int8)] {
            if path.is_some() {
                crate::onnx::check_size(spec, form)?;
            }
        }
        Ok(())
    }
}

/// What was exported.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// The artifact.
    pub path: PathBuf,
    /// Its length.
    pub bytes: usize,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Calibration pictures.
    pub calibration_pictures: usize,
    /// Test vectors inside.
    pub vectors: usize,
    /// The same encoder as ONNX.
    pub onnx: Vec<OnnxFile>,
    /// Quality against float, if pictures were compared.
    pub quality: Option<QualityReport>,
}

/// Exports `weights` to `files`; `dataset` supplies calibration (training split) and comparison pictures (held out).
///
/// # Errors
/// The weights do not quantise, the pictures have another shape, or the file cannot be written.
pub fn export(weights: &Weights, dataset: &Dataset, options: &Options, files: Files, out: &Output) -> Result<Exported> {
    files.check_sizes(weights)?;
    let plain = FloatEncoder::fold(weights, options.t, options.pooling)?;
    let pictures = dataset.train.limit(options.calibration);
    if pictures.len() < MIN_PICTURES {
        out.warn(format!(
            "calibrating on {} pictures; fewer than {MIN_PICTURES} make ranges noisy: pass --calibration {MIN_PICTURES} and a data set that has them",
            pictures.len()
        ));
    }
    let float = plain.equalised(&pictures);
    let statistics = calibrate(&float, &pictures, out)?;
    let mut quantised = quantise(&float, &statistics, &pictures, out)?;
    let desc = &mut quantised.desc;
    desc.pca_basis = pca_basis(weights, &float.spec);
    desc.provenance = provenance(dataset, options, pictures.len());
    desc.vectors = vectors::make(desc, options.vectors)?;
    let bytes = write(desc)?;
    let source = onnx::Source {
        weights,
        plain: &plain,
        equalised: &float,
        head: Standardiser::new(&statistics.pooled_mean, &statistics.pooled_deviation),
        calibration: &pictures,
        quantised: &quantised,
        identity: identity(&bytes)?,
    };
    let onnx = onnx::make(&files, &source, dataset.held_out(), options)?;
    let quality = (options.compare > 0)
        .then(|| quality::measure(weights, &bytes, dataset, options, (&statistics, quantised.noise), out))
        .transpose()?;
    for path in std::iter::once(&*files.artifact).chain(onnx.iter().map(onnx::Pending::path)) {
        make_folder_of(path)?;
    }
    atomic::write(&files.artifact, &bytes)?;
    let sha256 = sha256_hex(&bytes);
    Ok(Exported {
        path: files.artifact,
        bytes: bytes.len(),
        sha256,
        calibration_pictures: pictures.len(),
        vectors: quantised.desc.vectors.len(),
        onnx: onnx.into_iter().map(onnx::Pending::write).collect::<Result<_>>()?,
        quality,
    })
}

fn make_folder_of(path: &Path) -> Result<()> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display())),
        None => Ok(()),
    }
}

/// The file, with the SHA-256 identity of its contents.
fn write(desc: &ArtifactDesc) -> Result<Vec<u8>> {
    desc.write(|body| Sha256::digest(body).into())
        .map_err(|e| Error::new("the quantised encoder cannot be written").caused_by(e))
}

/// Identity of an artifact, 64 hexadecimal digits.
fn identity(artifact: &[u8]) -> Result<String> {
    let parsed = Artifact::parse_anywhere(artifact).context(|| "the artifact that was written cannot be read")?;
    Ok(hex(&parsed.identity()))
}

/// V_K [K, P], the mean patch [P] and the scale as f16: enough to show what the latents see.
fn pca_basis(weights: &Weights, spec: &EncoderSpec) -> Vec<u16> {
    let pca = weights.pca();
    let kept = &pca.basis[..spec.rank as usize * spec.patch_values() as usize];
    kept.iter().chain(&pca.mean).chain([&pca.scale]).map(|&v| f16::from_f32(v).to_bits()).collect()
}

/// `key=value` lines of printable ASCII.
fn provenance(dataset: &Dataset, options: &Options, calibration: usize) -> String {
    let fixed = [
        ("tool", format!("ldae {}", env!("CARGO_PKG_VERSION"))),
        ("data", dataset.name.clone()),
        ("data_fingerprint", dataset.fingerprint.clone()),
        ("calibration_pictures", calibration.to_string()),
    ];
    let fixed = fixed.into_iter().map(|(k, v)| (k.to_owned(), v));
    let lines = fixed.chain(options.facts.iter().cloned()).map(|(key, value)| {
        let clean: String =
            value.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(200).collect();
        format!("{key}={clean}\n")
    });
    lines.collect()
}

/// Writes `quality.json` beside the artifact.
///
/// # Errors
/// The folder is unwritable or the disk full.
pub fn save_quality(exported: &Exported) -> Result<()> {
    let Some(quality) = &exported.quality else { return Ok(()) };
    let json = serde_json::to_string_pretty(quality).context(|| "cannot write the quality report")?;
    atomic::write(&exported.path.with_file_name("quality.json"), json.as_bytes())
}

impl std::fmt::Display for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "  {} bytes, sha256 {}", self.bytes, self.sha256)?;
        writeln!(f, "  calibrated on {} pictures, {} test vectors inside", self.calibration_pictures, self.vectors)?;
        for file in &self.onnx {
            writeln!(f, "{file}")?;
        }
        match &self.quality {
            Some(q) => write!(f, "{q}"),
            None => write!(f, "  quality against float: not measured (--compare 0)"),
        }
    }
}

/// Stages whose noise a person reads first: the worst ones.
fn worst(layers: &[LayerNoise], count: usize) -> Vec<&LayerNoise> {
    let mut sorted: Vec<&LayerNoise> = layers.iter().collect();
    sorted.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
    sorted.truncate(count);
    sorted
}
