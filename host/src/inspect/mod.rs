//! What a model costs before it is flashed: MACs, weights, flash, exact RAM, and the boards it fits.
//!
//! RAM is the device crate's own `const fn` of the spec, flash the artifact format's: nothing is estimated. The artifact of a
//! preset is counted without optional sections (provenance, test vectors).

mod boards;
mod layers;
mod onnx;
#[cfg(test)]
mod tests;
mod totals;

pub use boards::{APPLICATION_FLASH, APPLICATION_RAM, BOARDS, Board};
pub use layers::{Layer, layers};
pub use onnx::{OnnxInspection, inspect_onnx, inspect_onnx_file};
pub use totals::{BoardTotal, totals};

use crate::error::Context;
use crate::run_dir::RunDir;
use crate::train::TrainConfig;
use crate::train::checkpoint::Checkpoint;
use crate::{Error, Result};
use ldae_device::kernels::Family;
use ldae_shared::format::{self, Artifact};
use ldae_shared::spec::{EncoderSpec, PRESETS, preset};
use serde::Serialize;
use std::path::Path;

/// Sections every artifact has: spec, preprocess, front, blocks, head.
const REQUIRED_SECTIONS: u64 = 5;
/// Bytes of the SPEC and PREPROCESS sections (docs/FORMAT.md).
const SPEC_AND_PREPROCESS: u64 = 32 + 16;

/// The shape as facts.
#[derive(Clone, Debug, Serialize)]
pub struct Shape {
    /// Image side, pixels.
    pub image: u16,
    /// Channels.
    pub channels: u8,
    /// Patch side, pixels.
    pub patch: u16,
    /// Tokens N.
    pub tokens: u32,
    /// PCA rank K.
    pub rank: u16,
    /// Width W.
    pub width: u16,
    /// Blocks L.
    pub depth: u16,
    /// Heads H.
    pub heads: u16,
    /// MLP ratio r.
    pub mlp_ratio: u8,
    /// Pooling.
    pub pooling: &'static str,
    /// Embedding components E.
    pub embedding: u32,
}

impl Shape {
    /// The shape of a spec.
    pub fn of(spec: &EncoderSpec) -> Self {
        Shape {
            image: spec.image,
            channels: spec.channels,
            patch: spec.patch,
            tokens: spec.tokens(),
            rank: spec.rank,
            width: spec.width,
            depth: spec.depth,
            heads: spec.heads,
            mlp_ratio: spec.mlp_ratio,
            pooling: spec.pooling.name(),
            embedding: spec.embedding(),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{0} x {0} x {1} pixels, {2} patches of {3}", self.image, self.channels, self.tokens, self.patch)?;
        write!(f, ", rank {}, width {}, {} blocks, {} heads", self.rank, self.width, self.depth, self.heads)?;
        write!(f, ", MLP x{}, pooling {}: {} components", self.mlp_ratio, self.pooling, self.embedding)
    }
}

/// What is stored in an artifact beyond the shape.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// Bytes of the file.
    pub bytes: usize,
    /// Identity of the model: SHA-256 of everything behind the header.
    pub identity: String,
    /// CRC-32 in the header.
    pub crc: String,
    /// Time step folded into the weights.
    pub time_step: u16,
    /// (name, offset, length) of each section.
    pub sections: Vec<(String, u32, u32)>,
    /// Embedded test vectors.
    pub test_vectors: usize,
    /// `key=value` lines.
    pub provenance: Vec<(String, String)>,
}

/// Everything `ldae inspect` says about one model.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Preset, run or file name.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Parameters of the exported encoder.
    pub parameters: u64,
    /// Bytes of the artifact: of the file, or of one without optional sections.
    pub flash_bytes: u64,
    /// Scratch RAM of one inference with the portable kernel, exact; `boards` has each core's own.
    pub scratch_bytes: u64,
    /// Bytes of the picture; a camera buffer may already hold them.
    pub picture_bytes: u64,
    /// Bytes of the embedding codes.
    pub embedding_bytes: u64,
    /// Names of the boards it fits, with room for an application.
    pub fits: Vec<&'static str>,
    /// RAM and flash on each board of the table.
    pub boards: Vec<BoardTotal>,
    /// Layers in graph order.
    pub layers: Vec<Layer>,
    /// Only of an artifact.
    pub artifact: Option<Stored>,
}

/// Inspects a shape.
///
/// # Errors
/// The recorded stack sizes cannot be read.
pub fn inspect_spec(name: &str, spec: &EncoderSpec) -> Result<Inspection> {
    let layers = layers(spec);
    let sections = SPEC_AND_PREPROCESS + layers.iter().map(|l| l.flash_bytes).sum::<u64>();
    let header = format::HEADER as u64 + REQUIRED_SECTIONS * format::ENTRY as u64;
    let mut inspection = Inspection {
        name: name.to_owned(),
        shape: Shape::of(spec),
        macs: spec.macs(),
        parameters: spec.parameters(),
        flash_bytes: header + sections,
        scratch_bytes: ldae_device::scratch_bytes_of(spec, Family::Portable) as u64,
        picture_bytes: u64::from(spec.pixels()),
        embedding_bytes: u64::from(spec.embedding()),
        fits: Vec::new(),
        boards: Vec::new(),
        layers,
        artifact: None,
    };
    inspection.find_boards(spec)?;
    Ok(inspection)
}

/// Inspects artifact bytes.
///
/// # Errors
/// The bytes are no valid artifact.
pub fn inspect_artifact(name: &str, bytes: &[u8]) -> Result<Inspection> {
    let artifact = Artifact::parse(bytes)
        .context(|| format!("{name} is no valid artifact"))
        .map_err(|e| e.hint("write it again with `ldae export RUN`, or use the tool version that wrote it"))?;
    let mut inspection = inspect_spec(name, artifact.spec())?;
    let provenance = artifact.provenance().lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.into(), v.into()));
    inspection.flash_bytes = bytes.len() as u64;
    inspection.artifact = Some(Stored {
        bytes: bytes.len(),
        identity: artifact.identity().iter().map(|b| format!("{b:02x}")).collect(),
        crc: format!("{:08x}", artifact.crc()),
        time_step: artifact.time_step(),
        sections: artifact.sections().map(|(kind, at, length)| (section_name(kind), at, length)).collect(),
        test_vectors: artifact.vectors().len(),
        provenance: provenance.collect(),
    });
    inspection.find_boards(artifact.spec())?;
    Ok(inspection)
}

/// Inspects what a name means: a preset, an artifact or checkpoint file, or a run directory.
///
/// # Errors
/// It is none of them, or cannot be read.
pub fn inspect(what: &str) -> Result<Inspection> {
    if let Some(p) = preset(what) {
        return inspect_spec(p.name, &p.spec);
    }
    let path = Path::new(what);
    if path.is_file() {
        if path.extension().is_some_and(|x| x == "safetensors") {
            return inspect_spec(what, &Checkpoint::load(path)?.spec().encoder);
        }
        let bytes = std::fs::read(path).context(|| format!("cannot read {what}"))?;
        return inspect_artifact(what, &bytes);
    }
    if path.is_dir() {
        return inspect_run(path);
    }
    let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
    Err(Error::new(format!("{what} is no preset, no file and no run directory"))
        .hint(format!("presets are {}; or give an .ldae or .onnx file, a run directory, or `all`", names.join(", "))))
}

fn inspect_run(path: &Path) -> Result<Inspection> {
    let config = TrainConfig::load(&RunDir::new(path))?;
    inspect_spec(&path.display().to_string(), &config.model_spec()?.encoder)
}

fn section_name(kind: u16) -> String {
    match kind {
        format::kind::SPEC => "spec",
        format::kind::PREPROCESS => "preprocess",
        format::kind::FRONT => "front",
        format::kind::BLOCKS => "blocks",
        format::kind::HEAD => "head",
        format::kind::STANDARDISATION => "standardisation (f16)",
        format::kind::PCA_BASIS => "PCA basis (f16)",
        format::kind::NORMS => "LayerNorm ranges",
        format::kind::PROVENANCE => "provenance",
        format::kind::VECTORS => "test vectors",
        _ => return format!("kind {kind}"),
    }
    .to_owned()
}

impl Inspection {
    fn find_boards(&mut self, spec: &EncoderSpec) -> Result<()> {
        self.boards = totals(spec, self.flash_bytes)?;
        self.fits = self.boards.iter().filter(|b| b.fits).map(|b| b.board).collect();
        Ok(())
    }
}
