//! A pass over the protobuf bytes before anything is decoded: knows the messages and fields that the exporter writes, and
//! refuses all others. It allocates nothing, recurses no deeper than its tables, and bounds what decoding will allocate:
//! the bytes of the file plus [`MAX_RECORDS`] small structures.
//!
//! Field numbers are those of onnx.proto (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>).

use super::TractError;

/// Most messages, strings and list entries of a file. A preset vit-large with split int8 weights has about 20 000. Two bytes of
/// a file can become a structure of a kilobyte, so this also bounds what hostile bytes can take: 141 MB were measured
/// (tests/tract_memory.rs).
pub(super) const MAX_RECORDS: usize = 1 << 16;

/// What a field holds.
enum Holds {
    /// A number, or a packed list of them.
    Varints,
    /// Four bytes.
    Float,
    /// Text or raw bytes.
    Bytes,
    /// A message.
    Message(&'static Message),
    /// Something that is refused by name.
    Refused(TractError),
}

/// The fields of a message that are read or refused by name.
struct Message {
    name: &'static str,
    fields: &'static [(u32, Holds)],
}

use Holds::{Bytes, Float, Message as Inner, Refused, Varints};

const EXTERNAL: Holds = Refused(TractError::ExternalData);
const fn foreign(part: &'static str) -> Holds {
    Refused(TractError::Foreign { part })
}

static MODEL: Message = Message {
    name: "ModelProto",
    fields: &[
        (1, Varints), // ir_version
        (2, Bytes),   // producer_name
        (3, Bytes),   // producer_version
        (4, Bytes),   // domain
        (5, Varints), // model_version
        (6, Bytes),   // doc_string
        (7, Inner(&GRAPH)),
        (8, Inner(&OPSET)),
        (14, Inner(&ENTRY)), // metadata_props
        (20, foreign("training information")),
        (25, foreign("functions")),
    ],
};
static OPSET: Message = Message { name: "OperatorSetIdProto", fields: &[(1, Bytes), (2, Varints)] };
static ENTRY: Message = Message { name: "StringStringEntryProto", fields: &[(1, Bytes), (2, Bytes)] };
static GRAPH: Message = Message {
    name: "GraphProto",
    fields: &[
        (1, Inner(&NODE)),
        (2, Bytes), // name
        (5, Inner(&TENSOR)),
        (10, Bytes), // doc_string
        (11, Inner(&VALUE)),
        (12, Inner(&VALUE)),
        (15, foreign("sparse tensors")),
    ],
};
static NODE: Message = Message {
    name: "NodeProto",
    fields: &[(1, Bytes), (2, Bytes), (3, Bytes), (4, Bytes), (5, Inner(&ATTRIBUTE)), (6, Bytes), (7, Bytes)],
};
static ATTRIBUTE: Message = Message {
    name: "AttributeProto",
    fields: &[
        (1, Bytes), // name
        (2, Float),
        (3, Varints), // i
        (4, Bytes),   // s
        (6, foreign("graphs inside nodes")),
        (8, Varints), // ints
        (11, foreign("graphs inside nodes")),
        (20, Varints), // type
        (22, foreign("sparse tensors")),
        (23, foreign("sparse tensors")),
    ],
};
static TENSOR: Message = Message {
    name: "TensorProto",
    fields: &[
        (1, Varints), // dims
        (2, Varints), // data_type
        (8, Bytes),   // name
        (9, Bytes),   // raw_data
        (13, EXTERNAL),
        (14, EXTERNAL),
    ],
};
static VALUE: Message = Message { name: "ValueInfoProto", fields: &[(1, Bytes), (2, Inner(&TYPE)), (3, Bytes)] };
static TYPE: Message = Message { name: "TypeProto", fields: &[(1, Inner(&TENSOR_TYPE)), (6, Bytes)] };
static TENSOR_TYPE: Message = Message { name: "TypeProto.Tensor", fields: &[(1, Varints), (2, Inner(&SHAPE))] };
static SHAPE: Message = Message { name: "TensorShapeProto", fields: &[(1, Inner(&DIMENSION))] };
static DIMENSION: Message = Message { name: "TensorShapeProto.Dimension", fields: &[(1, Varints), (2, Bytes)] };

/// Checks the bytes of a whole file. It begins with its version, so that other kinds of files are told apart at once.
pub(super) fn scan(file: &[u8]) -> Result<(), TractError> {
    if file.first() != Some(&VERSION_KEY) {
        return Err(TractError::Protobuf { offset: 0 });
    }
    Scan { file, records: 0 }.message(&MODEL, 0, file.len())
}

/// Key of ModelProto.ir_version, field 1, a number: every writer of ONNX begins with it.
const VERSION_KEY: u8 = 1 << 3;

struct Scan<'a> {
    file: &'a [u8],
    records: usize,
}

impl Scan<'_> {
    /// Bytes `at..end` as fields of `message`.
    fn message(&mut self, message: &'static Message, mut at: usize, end: usize) -> Result<(), TractError> {
        while at < end {
            let start = at;
            let damaged = TractError::Protobuf { offset: start };
            let key = self.varint(&mut at, end)?;
            let number = u32::try_from(key >> 3).map_err(|_| damaged)?;
            let unknown = TractError::Field { message: message.name, number };
            let (_, holds) = message.fields.iter().find(|(n, _)| *n == number).ok_or(unknown)?;
            self.count(1)?;
            match (holds, key & 7) {
                (Refused(e), _) => return Err(*e),
                (Varints, 0) => {
                    self.varint(&mut at, end)?;
                }
                (Varints, 2) => {
                    let inner = self.length(&mut at, end)?;
                    self.count(inner - at)?;
                    while at < inner {
                        self.varint(&mut at, inner)?;
                    }
                }
                (Float, 5) => at = at.checked_add(4).filter(|a| *a <= end).ok_or(damaged)?,
                (Bytes, 2) => at = self.length(&mut at, end)?,
                (Inner(fields), 2) => {
                    let inner = self.length(&mut at, end)?;
                    self.message(fields, at, inner)?;
                    at = inner;
                }
                _ => return Err(damaged),
            }
        }
        Ok(())
    }

    fn count(&mut self, records: usize) -> Result<(), TractError> {
        self.records = self.records.saturating_add(records);
        if self.records > MAX_RECORDS { Err(TractError::Records) } else { Ok(()) }
    }

    /// A length at `at`; gives the end of what it announces.
    fn length(&self, at: &mut usize, end: usize) -> Result<usize, TractError> {
        let damaged = TractError::Protobuf { offset: *at };
        let length = usize::try_from(self.varint(at, end)?).map_err(|_| damaged)?;
        at.checked_add(length).filter(|e| *e <= end).ok_or(damaged)
    }

    /// Base 128, least significant group first, at most ten bytes.
    fn varint(&self, at: &mut usize, end: usize) -> Result<u64, TractError> {
        let damaged = TractError::Protobuf { offset: *at };
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.file.get(*at).filter(|_| *at < end).ok_or(damaged)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged)
    }
}
