//! ONNX: an encoder as a standard model file for Linux-class boards and other people's runtimes.
//!
//! Two forms of one graph ([`encoder`](self)): `float32`, and `int8` weights (the very integers of the `.ldae` artifact with
//! a float scale for each output; activations stay float). Files are written by our own protocol-buffer writer: the
//! schema is small, and the bytes depend on nothing but the encoder. docs/ONNX.md describes the file.

#[cfg(test)]
mod agreement;
mod description;
mod encoder;
mod graph;
mod metadata;
mod network;
mod read;
mod schema;
mod summary;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod write;

pub use description::Description;
pub use metadata::{Facts, vectors_in};
pub use read::Malformed;
pub use summary::{Constants, Dimension, NotOnnx, Port, Summary, type_name};

use crate::eval::pooling::pool;
use crate::eval::standardise::Standardiser;
use crate::quantise::{FloatEncoder, WeightOnly};
use crate::{Error, Result};
use ldae_shared::spec::EncoderSpec;
use metadata::Vector;
use network::Network;

/// Bytes of the largest file: protocol buffers end here, because lengths are 32-bit signed in most readers.
pub const LARGEST: u64 = i32::MAX as u64;

/// How a file stores its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 32-bit floats.
    Float32,
    /// The artifact's integers, with a scale for each output.
    Int8,
}

impl Form {
    /// Name in the file and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Form::Float32 => "float32",
            Form::Int8 => "int8",
        }
    }
}

/// Pictures that the file carries as test vectors, and facts about its origin.
pub struct Origin<'a> {
    /// Facts.
    pub facts: Facts,
    /// Pictures, u8 [image, image, C].
    pub pictures: Vec<&'a [u8]>,
}

/// The float32 file of `encoder`, standardised by `head`.
///
/// # Errors
/// The file would exceed 2 GiB.
pub fn float32(encoder: &FloatEncoder, head: &Standardiser, origin: &Origin<'_>) -> Result<Vec<u8>> {
    file(&Network::from(encoder), Form::Float32, encoder, head, origin)
}

/// The int8 file of `encoder`, standardised by `head`.
///
/// # Errors
/// The file would exceed 2 GiB.
pub fn int8(encoder: &WeightOnly, head: &Standardiser, origin: &Origin<'_>) -> Result<Vec<u8>> {
    file(&Network::from(encoder), Form::Int8, &encoder.dequantised(), head, origin)
}

/// The standardised embedding that a file of `encoder` and `head` computes, by the host's own float code.
pub fn embedding(encoder: &FloatEncoder, head: &Standardiser, picture: &[u8]) -> Vec<f32> {
    let mut out = pooled(encoder, picture);
    head.apply_to(&mut out);
    out
}

/// [`embedding`] before standardisation.
pub fn pooled(encoder: &FloatEncoder, picture: &[u8]) -> Vec<f32> {
    let s = &encoder.spec;
    let mut out = vec![0.0; s.embedding() as usize];
    pool(&encoder.tokens(picture), s.grid() as usize, s.pooling, &mut out);
    out
}

fn file(
    network: &Network<'_>,
    form: Form,
    float: &FloatEncoder,
    head: &Standardiser,
    origin: &Origin<'_>,
) -> Result<Vec<u8>> {
    let vectors: Vec<Vector<'_>> =
        origin.pictures.iter().map(|&pixels| Vector { pixels, embedding: embedding(float, head, pixels) }).collect();
    let properties = metadata::properties(&network.spec, form, &origin.facts, &vectors);
    let model = schema::model(encoder::graph(network, head), properties);
    let bytes = model.len();
    if bytes > LARGEST { Err(too_large(form, bytes)) } else { Ok(model.encode()) }
}

/// Refuses a shape whose file would be too large, by its weights alone.
///
/// # Errors
/// The file would exceed 2 GiB.
pub fn check_size(spec: &EncoderSpec, form: Form) -> Result<()> {
    let positions = u64::from(spec.tokens()) * u64::from(spec.width);
    let bytes = match form {
        Form::Float32 => 4 * spec.parameters(),
        Form::Int8 => spec.parameters() + 3 * positions,
    };
    if bytes > LARGEST { Err(too_large(form, bytes)) } else { Ok(()) }
}

fn too_large(form: Form, bytes: u64) -> Error {
    let error = Error::new(format!(
        "the ONNX file with {} weights would have at least {bytes} bytes; the format ends at {LARGEST}",
        form.name()
    ));
    match form {
        Form::Float32 => error.hint("leave out --onnx; --onnx-int8 writes a quarter of the size"),
        Form::Int8 => error.hint("leave out --onnx-int8; the .ldae artifact can be larger"),
    }
}
