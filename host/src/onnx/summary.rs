//! What an ONNX file says about itself, read without trusting it: versions, inputs, outputs, operators with counts,
//! constants, properties. Text is borrowed from the file; what is allocated is less than the file is long. Messages are
//! read to a fixed depth (model, graph, node, tensor, type, shape), attributes and subgraphs not at all.
//!
//! Refused: bytes that are no protocol buffer, a model without graph, text that is not UTF-8, and constants whose shape
//! does not fit their bytes.

use super::read::{Fields, Malformed, Value};
use std::collections::BTreeMap;

/// Why a file is no model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOnnx {
    /// Not a protocol buffer, or with other types than ONNX's.
    Malformed(Malformed),
    /// There is no graph, or no IR version.
    NoModel,
    /// A constant has another number of bytes than its shape implies.
    Constant(String),
}

impl std::fmt::Display for NotOnnx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotOnnx::Malformed(e) => e.fmt(f),
            NotOnnx::NoModel => f.write_str("it has no graph"),
            NotOnnx::Constant(name) => write!(f, "constant {name:?} has another length than its shape implies"),
        }
    }
}

impl std::error::Error for NotOnnx {}

impl From<Malformed> for NotOnnx {
    fn from(e: Malformed) -> Self {
        NotOnnx::Malformed(e)
    }
}

/// An input or output of the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port<'a> {
    /// Name.
    pub name: &'a str,
    /// `TensorProto.DataType`, 0 when it is no tensor.
    pub data_type: i64,
    /// Lengths; a name where the length is left open.
    pub shape: Vec<Dimension<'a>>,
}

/// Length of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension<'a> {
    /// A number.
    Fixed(i64),
    /// Left open, perhaps with a name.
    Open(&'a str),
}

/// Constants of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constants {
    /// Tensors.
    pub tensors: u64,
    /// Values in all of them.
    pub values: u64,
}

/// A file's own description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary<'a> {
    /// IR version.
    pub ir_version: i64,
    /// Program that wrote it, and its version.
    pub producer: (&'a str, &'a str),
    /// Operator sets: domain (empty for ONNX's own) and version.
    pub opsets: Vec<(&'a str, i64)>,
    /// Inputs without constants.
    pub inputs: Vec<Port<'a>>,
    /// Outputs.
    pub outputs: Vec<Port<'a>>,
    /// Nodes by operator.
    pub operators: BTreeMap<&'a str, u64>,
    /// Constants by `TensorProto.DataType`.
    pub constants: BTreeMap<i64, Constants>,
    /// Constants that lie in other files.
    pub external: u64,
    /// Properties in file order.
    pub properties: Vec<(&'a str, &'a str)>,
}

impl<'a> Summary<'a> {
    /// Reads a model.
    ///
    /// # Errors
    /// See the module header.
    pub fn of(bytes: &'a [u8]) -> Result<Self, NotOnnx> {
        let mut s = Summary::default();
        let mut graph = None;
        for field in Fields::of(bytes) {
            match field? {
                (1, v) => s.ir_version = v.int(1)?,
                (2, v) => s.producer.0 = v.text(2)?,
                (3, v) => s.producer.1 = v.text(3)?,
                (7, v) => graph = Some(v.bytes(7)?),
                (8, v) => s.opsets.push(opset(v.bytes(8)?)?),
                (14, v) => s.properties.push(property(v.bytes(14)?)?),
                _ => {}
            }
        }
        let graph = graph.filter(|_| s.ir_version > 0).ok_or(NotOnnx::NoModel)?;
        s.graph(graph)?;
        Ok(s)
    }

    /// Value of a property.
    pub fn property(&self, key: &str) -> Option<&'a str> {
        self.properties.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    fn graph(&mut self, bytes: &'a [u8]) -> Result<(), NotOnnx> {
        let mut names = Vec::new();
        for field in Fields::of(bytes) {
            match field? {
                (1, v) => *self.operators.entry(operator(v.bytes(1)?)?).or_default() += 1,
                (5, v) => names.push(self.constant(v.bytes(5)?)?),
                (11, v) => self.inputs.push(port(v.bytes(11)?)?),
                (12, v) => self.outputs.push(port(v.bytes(12)?)?),
                _ => {}
            }
        }
        // Files of old versions list their constants among the inputs.
        names.sort_unstable();
        self.inputs.retain(|port| names.binary_search(&port.name).is_err());
        Ok(())
    }

    /// Counts a constant; its name.
    fn constant(&mut self, bytes: &'a [u8]) -> Result<&'a str, NotOnnx> {
        let (mut values, mut data_type, mut name, mut raw, mut elsewhere) = (Some(1u64), 0, "", None, false);
        for field in Fields::of(bytes) {
            match field? {
                (1, v) => {
                    for dim in v.ints(1)? {
                        values = values.and_then(|n| n.checked_mul(u64::try_from(dim).ok()?));
                    }
                }
                (2, v) => data_type = v.int(2)?,
                (8, v) => name = v.text(8)?,
                (9, v) => raw = Some(v.bytes(9)?.len() as u64),
                (14, v) => elsewhere = v.int(14)? == 1,
                _ => {}
            }
        }
        let wrong = || NotOnnx::Constant(name.chars().take(60).collect());
        let values = values.ok_or_else(wrong)?;
        if let (Some(raw), Some(size), false) = (raw, value_bytes(data_type), elsewhere)
            && values.checked_mul(size) != Some(raw)
        {
            return Err(wrong());
        }
        let constants = self.constants.entry(data_type).or_default();
        constants.tensors += 1;
        constants.values = constants.values.saturating_add(values);
        self.external += u64::from(elsewhere);
        Ok(name)
    }
}

/// Bytes of a value of the types that are whole bytes (`TensorProto.DataType`).
fn value_bytes(data_type: i64) -> Option<u64> {
    match data_type {
        2 | 3 | 9 => Some(1),
        4 | 5 | 10 | 16 => Some(2),
        1 | 6 | 12 => Some(4),
        7 | 11 | 13 => Some(8),
        _ => None,
    }
}

/// ONNX's name of a type.
pub fn type_name(data_type: i64) -> String {
    match data_type {
        1 => "float32",
        2 => "uint8",
        3 => "int8",
        6 => "int32",
        7 => "int64",
        9 => "bool",
        10 => "float16",
        11 => "float64",
        16 => "bfloat16",
        other => return format!("type {other}"),
    }
    .to_owned()
}

fn opset(bytes: &[u8]) -> Result<(&str, i64), Malformed> {
    let mut found = ("", 0);
    for field in Fields::of(bytes) {
        match field? {
            (1, v) => found.0 = v.text(1)?,
            (2, v) => found.1 = v.int(2)?,
            _ => {}
        }
    }
    Ok(found)
}

fn property(bytes: &[u8]) -> Result<(&str, &str), Malformed> {
    let mut found = ("", "");
    for field in Fields::of(bytes) {
        match field? {
            (1, v) => found.0 = v.text(1)?,
            (2, v) => found.1 = v.text(2)?,
            _ => {}
        }
    }
    Ok(found)
}

fn operator(bytes: &[u8]) -> Result<&str, Malformed> {
    last(bytes, 4)?.map_or(Ok(""), |v| v.text(4))
}

/// The last occurrence of a field, which is the one that counts.
fn last(bytes: &[u8], number: u32) -> Result<Option<Value<'_>>, Malformed> {
    let mut found = None;
    for field in Fields::of(bytes) {
        let (n, v) = field?;
        if n == number {
            found = Some(v);
        }
    }
    Ok(found)
}

fn port(bytes: &[u8]) -> Result<Port<'_>, Malformed> {
    let mut port = Port::default();
    if let Some(v) = last(bytes, 1)? {
        port.name = v.text(1)?;
    }
    let Some(kind) = last(bytes, 2)? else { return Ok(port) };
    let Some(tensor) = last(kind.bytes(2)?, 1)? else { return Ok(port) };
    let tensor = tensor.bytes(1)?;
    if let Some(v) = last(tensor, 1)? {
        port.data_type = v.int(1)?;
    }
    let Some(shape) = last(tensor, 2)? else { return Ok(port) };
    for field in Fields::of(shape.bytes(2)?) {
        let (1, v) = field? else { continue };
        let mut dimension = Dimension::Open("");
        for field in Fields::of(v.bytes(1)?) {
            match field? {
                (1, v) => dimension = Dimension::Fixed(v.int(1)?),
                (2, v) => dimension = Dimension::Open(v.text(2)?),
                _ => {}
            }
        }
        port.shape.push(dimension);
    }
    Ok(port)
}

impl std::fmt::Display for Port<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shape: Vec<String> = self
            .shape
            .iter()
            .map(|d| match d {
                Dimension::Fixed(n) => n.to_string(),
                Dimension::Open("") => "?".to_owned(),
                Dimension::Open(name) => (*name).to_owned(),
            })
            .collect();
        write!(f, "{} {} [{}]", self.name, type_name(self.data_type), shape.join(", "))
    }
}
