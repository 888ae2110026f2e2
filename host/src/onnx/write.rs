//! Protocol buffers, the writing half: fields in the order they are given (ascending, so that equal models are equal
//! bytes), scalars at their default omitted as proto3 does. Source: protobuf.dev, "Encoding".

/// Varints, lengths.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// A message: its fields and their values.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<(u32, Value)>);

#[derive(Debug)]
enum Value {
    Varint(u64),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Message),
}

impl Message {
    /// A field of type int64, int32 or enum; 0 is the default and not written.
    pub(super) fn int(self, field: u32, value: i64) -> Self {
        if value == 0 { self } else { self.with(field, Value::Varint(value as u64)) }
    }

    /// A float, written even when it is 0.
    pub(super) fn float(self, field: u32, value: f32) -> Self {
        self.with(field, Value::Fixed32(value.to_le_bytes()))
    }

    /// A string; the empty one is the default and not written.
    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes().to_vec())
    }

    /// Bytes; none is the default and not written.
    pub(super) fn bytes(self, field: u32, value: Vec<u8>) -> Self {
        if value.is_empty() { self } else { self.with(field, Value::Bytes(value)) }
    }

    /// A repeated integer, packed.
    pub(super) fn ints(self, field: u32, values: &[i64]) -> Self {
        let mut packed = Vec::with_capacity(values.len());
        values.iter().for_each(|&v| put_varint(&mut packed, v as u64));
        self.bytes(field, packed)
    }

    /// A message inside this one, or one element of a repeated message.
    pub(super) fn message(self, field: u32, value: Message) -> Self {
        self.with(field, Value::Message(value))
    }

    /// All elements of a repeated string, empty ones too.
    pub(super) fn texts(self, field: u32, values: &[String]) -> Self {
        values.iter().fold(self, |m, v| m.with(field, Value::Bytes(v.as_bytes().to_vec())))
    }

    /// All elements of a repeated message.
    pub(super) fn messages(self, field: u32, values: impl IntoIterator<Item = Message>) -> Self {
        values.into_iter().fold(self, |m, v| m.message(field, v))
    }

    fn with(mut self, field: u32, value: Value) -> Self {
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last <= field), "fields ascend");
        self.0.push((field, value));
        self
    }

    /// Bytes that [`Message::encode`] gives.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(field, value)| varint_len(u64::from(*field) << 3) + value.len()).sum()
    }

    /// The message as bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() as usize);
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        for (field, value) in &self.0 {
            let key = |wire: u64| u64::from(*field) << 3 | wire;
            match value {
                Value::Varint(v) => {
                    put_varint(out, key(VARINT));
                    put_varint(out, *v);
                }
                Value::Fixed32(v) => {
                    put_varint(out, key(FIXED32));
                    out.extend_from_slice(v);
                }
                Value::Bytes(v) => {
                    put_varint(out, key(LENGTH_DELIMITED));
                    put_varint(out, v.len() as u64);
                    out.extend_from_slice(v);
                }
                Value::Message(v) => {
                    put_varint(out, key(LENGTH_DELIMITED));
                    put_varint(out, v.len());
                    v.put(out);
                }
            }
        }
    }
}

impl Value {
    /// Bytes behind the key.
    fn len(&self) -> u64 {
        let delimited = |length: u64| varint_len(length) + length;
        match self {
            Value::Varint(v) => varint_len(*v),
            Value::Fixed32(_) => 4,
            Value::Bytes(v) => delimited(v.len() as u64),
            Value::Message(v) => delimited(v.len()),
        }
    }
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples() {
        // "Encoding" of protobuf.dev: field 1 = 150; field 2 = "testing"; field 3 = a message with field 1 = 150;
        // field 6, packed, = 3, 270, 86942.
        assert_eq!(Message::default().int(1, 150).encode(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").encode(), b"\x12\x07testing");
        let inner = Message::default().int(1, 150);
        assert_eq!(Message::default().message(3, inner).encode(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let packed = Message::default().ints(6, &[3, 270, 86942]).encode();
        assert_eq!(packed, [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
        // Negative numbers take ten bytes.
        assert_eq!(Message::default().int(1, -2).encode()[1..], [0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }

    #[test]
    fn defaults_are_omitted_and_lengths_foretold() {
        assert_eq!(Message::default().int(1, 0).text(2, "").bytes(3, Vec::new()).len(), 0);
        for length in [1usize, 127, 128, 16383, 16384] {
            let m =
                Message::default().int(1, -1).float(2, 0.5).message(16, Message::default().bytes(1, vec![7; length]));
            assert_eq!(m.len(), m.encode().len() as u64);
        }
    }
}
