//! The part of the ONNX schema that an encoder needs, with its field numbers (onnx.proto, IR version 9): model, graph,
//! nodes, attributes, constant tensors, and the types of inputs and outputs.

use super::write::Message;

/// Types of tensors, with their numbers in `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// 32-bit floats.
    Float = 1,
    /// Bytes: pixels.
    Uint8 = 2,
    /// Signed bytes: weights.
    Int8 = 3,
    /// Shapes, axes and bounds of slices.
    Int64 = 7,
}

/// A constant: raw little-endian values in row-major order.
#[derive(Debug)]
pub struct Tensor {
    /// Name that nodes read it by.
    pub name: String,
    /// Shape.
    pub dims: Vec<i64>,
    /// Type.
    pub data_type: DataType,
    /// Values.
    pub raw: Vec<u8>,
}

impl Tensor {
    fn message(self) -> Message {
        Message::default().ints(1, &self.dims).int(2, self.data_type as i64).text(8, &self.name).bytes(9, self.raw)
    }
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A float.
    Float(f32),
    /// An integer.
    Int(i64),
    /// Text.
    Text(&'static str),
    /// Integers.
    Ints(Vec<i64>),
}

impl Attribute {
    /// `AttributeProto`; 20 is its type.
    fn message(self, name: &str) -> Message {
        let m = Message::default().text(1, name);
        match self {
            Attribute::Float(v) => m.float(2, v).int(20, 1),
            Attribute::Int(v) => m.int(3, v).int(20, 2),
            Attribute::Text(v) => m.text(4, v).int(20, 3),
            Attribute::Ints(v) => m.ints(8, &v).int(20, 7),
        }
    }
}

/// An operation.
#[derive(Debug)]
pub struct Node {
    /// Operator.
    pub operator: &'static str,
    /// Names of what it reads.
    pub inputs: Vec<String>,
    /// Name of what it computes, and of the node.
    pub output: String,
    /// Attributes by name.
    pub attributes: Vec<(&'static str, Attribute)>,
}

impl Node {
    fn message(self) -> Message {
        Message::default()
            .texts(1, &self.inputs)
            .text(2, &self.output)
            .text(3, &self.output)
            .text(4, self.operator)
            .messages(5, self.attributes.into_iter().map(|(name, value)| value.message(name)))
    }
}

/// Name, type and shape of an input or output of the graph.
#[derive(Debug)]
pub struct ValueInfo {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub data_type: DataType,
    /// Shape.
    pub dims: Vec<i64>,
}

impl ValueInfo {
    fn message(self) -> Message {
        let dims = self.dims.into_iter().map(|d| Message::default().int(1, d));
        let shape = Message::default().messages(1, dims);
        let tensor = Message::default().int(1, self.data_type as i64).message(2, shape);
        Message::default().text(1, self.name).message(2, Message::default().message(1, tensor))
    }
}

/// Nodes in order of computation, and constants.
#[derive(Debug)]
pub struct Graph {
    /// Operations, each after those it reads from.
    pub nodes: Vec<Node>,
    /// Constants.
    pub initializers: Vec<Tensor>,
    /// The one input.
    pub input: ValueInfo,
    /// The one output.
    pub output: ValueInfo,
}

impl Graph {
    fn message(self) -> Message {
        Message::default()
            .messages(1, self.nodes.into_iter().map(Node::message))
            .text(2, "encoder")
            .messages(5, self.initializers.into_iter().map(Tensor::message))
            .message(11, self.input.message())
            .message(12, self.output.message())
    }
}

/// IR version that belongs to [`OPSET`].
const IR_VERSION: i64 = 9;
/// The first operator set with Gelu.
const OPSET: i64 = 20;

/// A whole file as a message: `graph` with `metadata`, keys and values.
pub(super) fn model(graph: Graph, metadata: Vec<(&'static str, String)>) -> Message {
    let entry = |(key, value): (&str, String)| Message::default().text(1, key).text(2, &value);
    Message::default()
        .int(1, IR_VERSION)
        .text(2, "ldae")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, graph.message())
        .message(8, Message::default().int(2, OPSET))
        .messages(14, metadata.into_iter().map(entry))
}
