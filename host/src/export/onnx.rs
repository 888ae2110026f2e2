//! The ONNX files of an export: made in memory, compared with the run's float encoder, written when everything else
//! succeeded.

use super::{Files, Options};
use crate::data::Split;
use crate::digest::sha256_hex;
use crate::eval::Features;
use crate::eval::agreement::Agreement;
use crate::eval::embedder::embed_silently;
use crate::eval::run_encoder::RunEncoder;
use crate::eval::standardise::Standardiser;
use crate::model::Weights;
use crate::onnx::{self, Facts, Form, Origin};
use crate::quantise::{FloatEncoder, Quantised, WeightOnly};
use crate::{Result, atomic};
use ldae_shared::format::ArtifactDesc;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Held-out pictures that the agreement is measured on: the cosines' quantiles are steady by then, and the time is short
/// beside the quality report's.
const COMPARED: usize = 512;

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
    /// What the file computes, by the host's float code, against the run's float encoder on held-out pictures.
    pub agreement: Option<Agreement>,
}

/// A file that waits for the others.
pub(super) struct Pending {
    path: PathBuf,
    form: Form,
    bytes: Vec<u8>,
    agreement: Option<Agreement>,
}

impl Pending {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(self) -> Result<OnnxFile> {
        atomic::write(&self.path, &self.bytes)?;
        let (weights, bytes, sha256) = (self.form.name(), self.bytes.len(), sha256_hex(&self.bytes));
        Ok(OnnxFile { path: self.path, weights, bytes, sha256, agreement: self.agreement })
    }
}

/// What the files are made of.
pub(super) struct Source<'a> {
    /// The run's weights.
    pub(super) weights: &'a Weights,
    /// They, folded.
    pub(super) plain: &'a FloatEncoder,
    /// The encoder that was quantised.
    pub(super) equalised: &'a FloatEncoder,
    /// Means and deviations of the float encoder's calibration.
    pub(super) head: Standardiser,
    /// Calibration pictures.
    pub(super) calibration: &'a Split,
    /// Integers, and the finished artifact.
    pub(super) quantised: &'a Quantised,
    /// The artifact's identity in hexadecimal.
    pub(super) identity: String,
}

/// Makes the ONNX files that `files` asks for.
pub(super) fn make(files: &Files, source: &Source<'_>, held_out: &Split, options: &Options) -> Result<Vec<Pending>> {
    let origin = origin(&source.quantised.desc, &source.identity);
    let pictures = held_out.limit(options.compare.min(COMPARED));
    let expected = match (&files.onnx, &files.onnx_int8) {
        (None, None) => None,
        _ if pictures.is_empty() => None,
        _ => {
            let float = RunEncoder::new("float", source.weights, options.t, &[options.pooling])?;
            let mut features = embed_silently(&float, &pictures, &|| ())?.remove(0);
            source.head.apply(&mut features);
            Some(features)
        }
    };
    let agreement = |encoder: &FloatEncoder, head: &Standardiser| -> Result<Option<Agreement>> {
        let Some(expected) = &expected else { return Ok(None) };
        let mut got = pooled(encoder, &pictures)?;
        head.apply(&mut got);
        Agreement::of(&got, expected).map(Some)
    };
    let mut pending = Vec::new();
    if let Some(path) = &files.onnx {
        let bytes = onnx::float32(source.plain, &source.head, &origin)?;
        let agreement = agreement(source.plain, &source.head)?;
        pending.push(Pending { path: path.clone(), form: Form::Float32, bytes, agreement });
    }
    if let Some(path) = &files.onnx_int8 {
        let encoder = WeightOnly::new(source.equalised, source.quantised);
        let float = encoder.dequantised();
        // Rounded weights move the pooled values by a few hundredths of a deviation: like the artifact, the file is
        // standardised by what it computes itself.
        let head = Standardiser::fit(&pooled(&float, source.calibration)?);
        let bytes = onnx::int8(&encoder, &head, &origin)?;
        let agreement = agreement(&float, &head)?;
        pending.push(Pending { path: path.clone(), form: Form::Int8, bytes, agreement });
    }
    Ok(pending)
}

/// Pooled embeddings of all of `pictures`, not standardised.
fn pooled(encoder: &FloatEncoder, pictures: &Split) -> Result<Features> {
    let rows: Vec<Vec<f32>> =
        (0..pictures.len()).into_par_iter().map(|i| onnx::pooled(encoder, pictures.image(i))).collect();
    Features::new(rows.len(), encoder.spec.embedding() as usize, rows.concat())
}

fn origin<'a>(desc: &'a ArtifactDesc, identity: &str) -> Origin<'a> {
    let facts = Facts { artifact: identity.to_owned(), time_step: desc.time_step, provenance: desc.provenance.clone() };
    Origin { facts, pictures: desc.vectors.iter().map(|v| &v.pixels[..]).collect() }
}

impl std::fmt::Display for OnnxFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        write!(f, "  ONNX, {} weights: {} bytes, sha256 {}", self.weights, self.bytes, self.sha256)?;
        match &self.agreement {
            Some(a) => write!(f, "\n  against float: {a}"),
            None => Ok(()),
        }
    }
}
