//! The properties of an export (`metadata_props`, keys `ldae.*`): what the encoder is, and its test vectors.

use super::TractError;
use ldae_shared::spec::EncoderSpec;
use std::vec::Vec;
use tract_onnx::pb::ModelProto;

/// Version of the properties that this code reads.
const FORMAT: &str = "1";
/// Most test vectors of a file: each costs an inference at load.
const MAX_VECTORS: usize = 64;

/// How the weights are stored. Both run in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// As f32.
    Float32,
    /// As the integers of the `.ldae` artifact, with a scale for each output channel.
    Int8,
}

impl Weights {
    /// Name in the file and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Weights::Float32 => "float32",
            Weights::Int8 => "int8",
        }
    }
}

/// The checked properties.
pub(super) struct Metadata {
    pub(super) spec: EncoderSpec,
    pub(super) weights: Weights,
    pub(super) artifact: [u8; 32],
    pub(super) vectors: Vectors,
    /// Bytes that the vectors take in the file.
    pub(super) vector_text: usize,
}

/// Test vectors: pictures, each with the embedding that the host computed in float from the same weights.
pub(super) struct Vectors {
    bytes: Vec<u8>,
    pixels: usize,
    record: usize,
}

impl Vectors {
    fn new(bytes: Vec<u8>, spec: &EncoderSpec) -> Result<Self, TractError> {
        let pixels = spec.pixels() as usize;
        let record = pixels + 4 * spec.embedding() as usize;
        let whole = bytes.len().is_multiple_of(record) && (1..=MAX_VECTORS).contains(&(bytes.len() / record));
        if whole { Ok(Vectors { bytes, pixels, record }) } else { Err(TractError::Vectors) }
    }

    /// Pixels, and the expected embedding.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Vec<f32>)> {
        self.bytes.chunks_exact(self.record).map(|record| {
            let (pixels, embedding) = record.split_at(self.pixels);
            (pixels, embedding.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        })
    }
}

/// Reads and checks the properties.
pub(super) fn read(model: &ModelProto) -> Result<Metadata, TractError> {
    let text = |key: &'static str| {
        let mut found = model.metadata_props.iter().filter(|p| p.key == key);
        match (found.next(), found.next()) {
            (Some(entry), None) => Ok(entry.value.as_str()),
            _ => Err(TractError::Metadata { key }),
        }
    };
    let bad = |key| TractError::Metadata { key };
    if text("ldae.format")? != FORMAT {
        return Err(bad("ldae.format"));
    }
    let spec: EncoderSpec = text("ldae.spec")?.parse().map_err(|_| bad("ldae.spec"))?;
    spec.check().map_err(TractError::Spec)?;
    let weights = match text("ldae.weights")? {
        "float32" => Weights::Float32,
        "int8" => Weights::Int8,
        _ => return Err(bad("ldae.weights")),
    };
    let artifact = identity(text("ldae.artifact")?).ok_or(bad("ldae.artifact"))?;
    for key in ["ldae.time_step", "ldae.preprocess", "ldae.provenance"] {
        text(key)?;
    }
    let vectors = text("ldae.vectors")?;
    // The length first: decoding allocates.
    let record = spec.pixels() as usize + 4 * spec.embedding() as usize;
    if vectors.len() / 4 > (record * MAX_VECTORS) / 3 + 1 {
        return Err(TractError::Vectors);
    }
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(vectors).map_err(|_| bad("ldae.vectors"))?;
    Ok(Metadata { spec, weights, artifact, vectors: Vectors::new(bytes, &spec)?, vector_text: vectors.len() })
}

/// 64 lower-case hex digits.
fn identity(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex(*high)? << 4 | hex(*low)?;
    }
    Some(bytes)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
