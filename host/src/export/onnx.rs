//! The ONNX files of an export: made in memory, written when everything else succeeded.

use super::Files;
use crate::digest::sha256_hex;
use crate::eval::standardise::Standardiser;
use crate::onnx::{self, Facts, Form, Origin};
use crate::quantise::{FloatEncoder, Quantised, Statistics, WeightOnly};
use crate::{Result, atomic};
use ldae_shared::format::ArtifactDesc;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// An ONNX file that was written.
#[derive(Clone, Debug, Serialize)]
pub struct OnnxFile {
    /// The file.
    pub path: PathBuf,
    /// `float32` or `int8`.
    pub weights: &'static str,
    /// Its length.
    pub bytes: usize,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// A file that waits for the others.
pub(super) struct Pending {
    path: PathBuf,
    form: Form,
    bytes: Vec<u8>,
}

impl Pending {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(self) -> Result<OnnxFile> {
        atomic::write(&self.path, &self.bytes)?;
        let (weights, bytes, sha256) = (self.form.name(), self.bytes.len(), sha256_hex(&self.bytes));
        Ok(OnnxFile { path: self.path, weights, bytes, sha256 })
    }
}

/// Makes the ONNX files that `files` asks for: of `plain`, the folded encoder, and of the integers that `quantised`
/// has of `equalised`. `desc` is the finished artifact, `identity` its identity in hexadecimal.
pub(super) fn make(
    files: &Files,
    (plain, equalised): (&FloatEncoder, &FloatEncoder),
    statistics: &Statistics,
    quantised: &Quantised,
    identity: &str,
) -> Result<Vec<Pending>> {
    let head = Standardiser::new(&statistics.pooled_mean, &statistics.pooled_deviation);
    let origin = origin(&quantised.desc, identity);
    let mut pending = Vec::new();
    if let Some(path) = &files.onnx {
        let bytes = onnx::float32(plain, &head, &origin)?;
        pending.push(Pending { path: path.clone(), form: Form::Float32, bytes });
    }
    if let Some(path) = &files.onnx_int8 {
        let bytes = onnx::int8(&WeightOnly::new(equalised, quantised), &head, &origin)?;
        pending.push(Pending { path: path.clone(), form: Form::Int8, bytes });
    }
    Ok(pending)
}

fn origin<'a>(desc: &'a ArtifactDesc, identity: &str) -> Origin<'a> {
    let facts = Facts { artifact: identity.to_owned(), time_step: desc.time_step, provenance: desc.provenance.clone() };
    Origin { facts, pictures: desc.vectors.iter().map(|v| &v.pixels[..]).collect() }
}

impl std::fmt::Display for OnnxFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        write!(f, "  ONNX, {} weights: {} bytes, sha256 {}", self.weights, self.bytes, self.sha256)
    }
}
