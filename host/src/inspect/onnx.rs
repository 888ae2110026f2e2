//! `ldae inspect FILE.onnx`: metadata, operators with counts, size. Files of other programs are described as far as they
//! describe themselves.

use super::Shape;
use crate::error::Context;
use crate::onnx::{Summary, type_name, vectors_in};
use crate::{Error, Result};
use ldae_shared::spec::EncoderSpec;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Longer values of properties are shown by their length.
const SHOWN: usize = 200;

/// Everything `ldae inspect` says about an ONNX file.
#[derive(Clone, Debug, Serialize)]
pub struct OnnxInspection {
    /// File name.
    pub name: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// IR version.
    pub ir_version: i64,
    /// Program that wrote it, with its version.
    pub producer: String,
    /// Operator sets by domain; ONNX's own is "ai.onnx".
    pub opsets: BTreeMap<String, i64>,
    /// Inputs as `name type [shape]`.
    pub inputs: Vec<String>,
    /// Outputs as `name type [shape]`.
    pub outputs: Vec<String>,
    /// Nodes by operator.
    pub operators: BTreeMap<String, u64>,
    /// Values of constants by type.
    pub constants: BTreeMap<String, u64>,
    /// Constants that lie in other files.
    pub external: u64,
    /// Shape and cost, of files that `ldae export` wrote.
    pub encoder: Option<Encoder>,
    /// Properties; of long ones the length.
    pub properties: BTreeMap<String, String>,
}

/// What the properties of our own files say.
#[derive(Clone, Debug, Serialize)]
pub struct Encoder {
    /// Shape.
    pub shape: Shape,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// `float32` or `int8`.
    pub weights: String,
    /// Identity of the artifact of the same export.
    pub artifact: String,
    /// Test vectors inside.
    pub test_vectors: usize,
}

/// Inspects the ONNX file at `path`.
///
/// # Errors
/// It cannot be read, is larger than the format allows, or is no ONNX model.
pub fn inspect_onnx_file(path: &Path) -> Result<OnnxInspection> {
    let name = path.display().to_string();
    let length = std::fs::metadata(path).context(|| format!("cannot read {name}"))?.len();
    if length > crate::onnx::LARGEST {
        return Err(Error::new(format!("{name} has {length} bytes; an ONNX file ends at {}", crate::onnx::LARGEST))
            .hint("models above that keep their weights in other files; give the .onnx file itself"));
    }
    inspect_onnx(&name, &std::fs::read(path).context(|| format!("cannot read {name}"))?)
}

/// Inspects the bytes of an ONNX file.
///
/// # Errors
/// They are no ONNX model.
pub fn inspect_onnx(name: &str, bytes: &[u8]) -> Result<OnnxInspection> {
    let s = Summary::of(bytes)
        .context(|| format!("{name} is no ONNX model"))
        .map_err(|e| e.hint("write it again with `ldae export RUN --onnx`; the copy may be incomplete"))?;
    let encoder = s.property("ldae.spec").map(|text| encoder(name, text, &s)).transpose()?;
    let domain = |d: &str| if d.is_empty() { "ai.onnx".to_owned() } else { d.to_owned() };
    let shown = |v: &str| if v.len() > SHOWN { format!("{} characters", v.len()) } else { v.to_owned() };
    Ok(OnnxInspection {
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        ir_version: s.ir_version,
        producer: format!("{} {}", s.producer.0, s.producer.1).trim().to_owned(),
        opsets: s.opsets.iter().map(|(d, v)| (domain(d), *v)).collect(),
        inputs: s.inputs.iter().map(ToString::to_string).collect(),
        outputs: s.outputs.iter().map(ToString::to_string).collect(),
        operators: s.operators.iter().map(|(o, n)| ((*o).to_owned(), *n)).collect(),
        constants: s.constants.iter().map(|(t, c)| (type_name(*t), c.values)).collect(),
        external: s.external,
        encoder,
        properties: s.properties.iter().map(|(k, v)| ((*k).to_owned(), shown(v))).collect(),
    })
}

fn encoder(name: &str, text: &str, s: &Summary<'_>) -> Result<Encoder> {
    let damaged = || format!("the properties of {name} are damaged");
    let spec: EncoderSpec = text.parse().context(damaged)?;
    spec.check().context(damaged)?;
    let text = |key: &str| s.property(key).unwrap_or("unknown").to_owned();
    Ok(Encoder {
        shape: Shape::of(&spec),
        macs: spec.macs(),
        weights: text("ldae.weights"),
        artifact: text("ldae.artifact"),
        test_vectors: vectors_in(&spec, s.property("ldae.vectors").unwrap_or_default()).context(damaged)?,
    })
}

impl std::fmt::Display for OnnxInspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut t = format!("{}: ONNX, {} bytes, IR version {}", self.name, self.bytes, self.ir_version);
        if !self.producer.is_empty() {
            let _ = write!(t, ", written by {}", self.producer);
        }
        if let Some(e) = &self.encoder {
            let _ = write!(t, "\n{}, {} weights, {} test vectors", e.shape, e.weights, e.test_vectors);
            let _ = write!(t, "\n{} multiply-accumulates", e.macs);
        }
        t.push('\n');
        for (what, list) in [("input", &self.inputs), ("output", &self.outputs)] {
            list.iter().for_each(|port| t.push_str(&format!("\n{what:<10}{port}")));
        }
        for (domain, version) in &self.opsets {
            let _ = write!(t, "\n{:<10}{domain} {version}", "opset");
        }
        for (kind, values) in &self.constants {
            let _ = write!(t, "\n{:<10}{values} of {kind}", "constants");
        }
        if self.external > 0 {
            let _ = write!(t, "\n{:<10}{} constants lie in other files", "external", self.external);
        }
        t.push_str("\n\noperator                nodes");
        for (operator, count) in &self.operators {
            let _ = write!(t, "\n{operator:<22} {count:>6}");
        }
        let _ = write!(t, "\n{:<22} {:>6}\n", "total", self.operators.values().sum::<u64>());
        for (key, value) in &self.properties {
            let _ = write!(t, "\n{key} = {}", value.trim_end().replace('\n', "\n    "));
        }
        f.write_str(&t)
    }
}
