//! What travels in the model's properties: shape, weights, identity of the artifact of the same export, preprocessing,
//! test vectors and provenance. A runtime refuses a file whose properties it does not know.

use super::Form;
use crate::error::Context;
use crate::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ldae_shared::spec::EncoderSpec;

/// Version of these properties.
const FORMAT: &str = "1";

/// Facts that both forms of an export share.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Identity of the artifact, 64 hexadecimal digits.
    pub artifact: String,
    /// Time step folded into the weights.
    pub time_step: u16,
    /// `key=value` lines.
    pub provenance: String,
}

/// A picture with its embedding.
pub(super) struct Vector<'a> {
    /// image·image·C bytes.
    pub(super) pixels: &'a [u8],
    /// E components.
    pub(super) embedding: Vec<f32>,
}

/// The properties in the order of docs/ONNX.md.
pub(super) fn properties(
    spec: &EncoderSpec,
    form: Form,
    facts: &Facts,
    vectors: &[Vector<'_>],
) -> Vec<(&'static str, String)> {
    vec![
        ("ldae.format", FORMAT.to_owned()),
        ("ldae.spec", spec.to_string()),
        ("ldae.weights", form.name().to_owned()),
        ("ldae.artifact", facts.artifact.clone()),
        ("ldae.time_step", facts.time_step.to_string()),
        ("ldae.preprocess", preprocess(spec)),
        ("ldae.vectors", encoded(vectors)),
        ("ldae.provenance", facts.provenance.clone()),
    ]
}

/// One line for people: what must happen before the graph.
fn preprocess(s: &EncoderSpec) -> String {
    let (colour, side) = (if s.channels == 3 { "RGB" } else { "grey" }, s.image);
    format!(
        "{colour} bytes [1, {side}, {side}, {}] in row, column, channel order; shorter side resized to {side} with an antialiased \
         triangle filter, then centre crop; centring and everything after it is in the graph",
        s.channels
    )
}

/// Pixels, then little-endian floats, vector after vector, in base64.
fn encoded(vectors: &[Vector<'_>]) -> String {
    let mut bytes = Vec::new();
    for v in vectors {
        bytes.extend_from_slice(v.pixels);
        bytes.extend(v.embedding.iter().flat_map(|v| v.to_le_bytes()));
    }
    BASE64_STANDARD.encode(bytes)
}

/// Number of test vectors in the text of `ldae.vectors`.
///
/// # Errors
/// It is not base64, or not a whole number of vectors.
pub fn vectors_in(spec: &EncoderSpec, text: &str) -> Result<usize> {
    let bytes = BASE64_STANDARD.decode(text).context(|| "the test vectors are not base64")?.len();
    let record = spec.pixels() as usize + 4 * spec.embedding() as usize;
    if bytes.is_multiple_of(record) {
        Ok(bytes / record)
    } else {
        Err(Error::new(format!("the test vectors have {bytes} bytes, no multiple of {record}")))
    }
}
