//! Why an ONNX file is not run: one small `Copy` enum, every message a line.

use core::fmt;
use ldae_shared::spec::SpecError;

/// The first characters of a name out of the file, for messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    bytes: [u8; 32],
    length: u8,
}

impl Label {
    /// At most 32 bytes of `name`; what is not printable ASCII becomes `?`.
    pub(super) fn new(name: &str) -> Self {
        let mut bytes = [0; 32];
        let mut length = 0;
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = if from.is_ascii_graphic() { from } else { b'?' };
            length += 1;
        }
        Label { bytes, length }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.get(..self.length.into()).unwrap_or_default();
        f.write_str(core::str::from_utf8(bytes).unwrap_or_default())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Why a file is refused. Nothing is kept of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TractError {
    /// The file is larger than anything of its kind.
    FileSize {
        /// Its bytes.
        found: usize,
        /// The most that its spec, or protobuf, allows.
        most: usize,
    },
    /// No ONNX: truncated, damaged, or another kind of file.
    Protobuf {
        /// Byte where reading stopped.
        offset: usize,
    },
    /// A field that the exporter never writes.
    Field {
        /// The message that holds it.
        message: &'static str,
        /// Its number in onnx.proto.
        number: u32,
    },
    /// More nodes, tensors or attributes than an encoder has.
    Records,
    /// Tensors in another file.
    ExternalData,
    /// A part of ONNX that no encoder needs: graphs inside nodes, functions, training, sparse tensors.
    Foreign {
        /// Which part.
        part: &'static str,
    },
    /// Another operator set than the one whose meaning is checked here.
    Opset {
        /// Its version; 0 when there is none.
        found: i64,
    },
    /// A property of the file is missing, double or unknown: not an export of `ldae`, or of a newer one.
    Metadata {
        /// Its key.
        key: &'static str,
    },
    /// The shape of the encoder is refused.
    Spec(SpecError),
    /// The encoder is too large for this runtime.
    SpecSize {
        /// What is too large.
        what: &'static str,
    },
    /// QuantizeLinear or DynamicQuantizeLinear: tract would rewrite quantise-dequantise pairs around a softmax into a
    /// table and answer wrongly without an error. Export weight-only int8 instead.
    QuantisePair,
    /// An operator outside the list.
    Operator {
        /// Its name.
        name: Label,
    },
    /// An operator whose inputs, attributes or shapes are unfit.
    Node {
        /// Place in the list of nodes.
        index: usize,
        /// Which operator.
        operator: &'static str,
        /// What is unfit.
        what: &'static str,
    },
    /// A stored tensor that is unfit.
    Tensor {
        /// Its name.
        name: Label,
        /// What is unfit.
        what: &'static str,
    },
    /// Inputs or outputs of the graph are not those of an encoder of its spec.
    Graph {
        /// What is unfit.
        what: &'static str,
    },
    /// The test vectors are missing or their length is no multiple of one.
    Vectors,
    /// tract gives another embedding than the file's test vectors: do not use this file with this build.
    Disagrees {
        /// Which vector.
        vector: usize,
        /// Largest absolute difference, in root mean squares of the expected embedding.
        worst: f32,
    },
    /// tract refused what passed the checks.
    Tract {
        /// At which stage.
        stage: &'static str,
    },
}

impl fmt::Display for TractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            TractError::FileSize { found, most } => {
                write!(f, "{found} bytes, an encoder of this kind has at most {most}")
            }
            TractError::Protobuf { offset } => write!(f, "not an ONNX file, or damaged at byte {offset}"),
            TractError::Field { message, number } => write!(f, "{message} has field {number}, which ldae never writes"),
            TractError::Records => f.write_str("more nodes and tensors than an encoder has"),
            TractError::ExternalData => f.write_str("tensors in another file (external data)"),
            TractError::Foreign { part } => write!(f, "has {part}, which no encoder needs"),
            TractError::Opset { found } => write!(f, "operator set {found}, expected {}", super::OPSET),
            TractError::Metadata { key } => write!(f, "no export of ldae, or of a newer one: property {key}"),
            TractError::Spec(e) => write!(f, "shape: {e}"),
            TractError::SpecSize { what } => write!(f, "too large for this runtime: {what}"),
            TractError::QuantisePair => {
                f.write_str("quantises activations, which tract computes wrongly; use the weight-only int8 export")
            }
            TractError::Operator { name } => write!(f, "operator {name} is not part of an encoder"),
            TractError::Node { index, operator, what } => write!(f, "node {index} ({operator}): {what}"),
            TractError::Tensor { name, what } => write!(f, "tensor {name}: {what}"),
            TractError::Graph { what } => write!(f, "graph: {what}"),
            TractError::Vectors => f.write_str("no whole test vectors"),
            TractError::Disagrees { vector, worst } => {
                write!(f, "test vector {vector} comes out wrong by {worst:.1e}: do not use this file here")
            }
            TractError::Tract { stage } => write!(f, "tract refuses it: {stage}"),
        }
    }
}

impl core::error::Error for TractError {}

/// Why a picture was not embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunError {
    /// The picture is not image·image·C bytes.
    Pixels {
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The output has no room for E values.
    Output {
        /// Values needed.
        needed: usize,
        /// Values given.
        found: usize,
    },
    /// tract failed, or gave values that are not finite.
    Tract,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            RunError::Pixels { expected, found } => {
                write!(f, "picture of {found} bytes, the encoder takes {expected}")
            }
            RunError::Output { needed, found } => write!(f, "output of {found} values, the embedding has {needed}"),
            RunError::Tract => f.write_str("tract failed on this picture"),
        }
    }
}

impl core::error::Error for RunError {}
