//! Protocol buffers, the reading half: the fields of a message one after the other, borrowed from the bytes. Nothing is
//! allocated, nothing recurses, and every length is checked against the bytes that are there. Source: protobuf.dev,
//! "Encoding". Groups (deprecated) are refused.

/// A field's value, by wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end inside a field.
    Truncated,
    /// A number is longer than 64 bits.
    Varint,
    /// A wire type that does not exist or is deprecated.
    WireType(u8),
    /// Field number 0 or above 2^29 − 1.
    FieldNumber,
    /// The field has another type than the schema says.
    Type(u32),
    /// Text that is not UTF-8.
    Text(u32),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::Truncated => f.write_str("it ends inside a field"),
            Malformed::Varint => f.write_str("a number is longer than 64 bits"),
            Malformed::WireType(t) => write!(f, "there is no wire type {t}"),
            Malformed::FieldNumber => f.write_str("a field number is out of range"),
            Malformed::Type(field) => write!(f, "field {field} has another type than ONNX gives it"),
            Malformed::Text(field) => write!(f, "the text in field {field} is not UTF-8"),
        }
    }
}

impl std::error::Error for Malformed {}

/// The fields of a message. Ends after the first error.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Fields(message)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed::Truncated)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed::Varint);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|n| (1..1 << 29).contains(n));
        let number = number.ok_or(Malformed::FieldNumber)?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(self.array()?),
            other => return Err(Malformed::WireType(other as u8)),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    /// The bytes of field `number`: a message, a string or packed numbers.
    pub(super) fn bytes(self, number: u32) -> Result<&'a [u8], Malformed> {
        if let Value::Bytes(bytes) = self { Ok(bytes) } else { Err(Malformed::Type(number)) }
    }

    /// The text of field `number`.
    pub(super) fn text(self, number: u32) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(number)?).map_err(|_| Malformed::Text(number))
    }

    /// The integer of field `number`.
    pub(super) fn int(self, number: u32) -> Result<i64, Malformed> {
        if let Value::Varint(v) = self { Ok(v as i64) } else { Err(Malformed::Type(number)) }
    }

    /// The integers of one occurrence of a repeated field: packed, or a single one.
    pub(super) fn ints(self, number: u32) -> Result<Vec<i64>, Malformed> {
        match self {
            Value::Varint(v) => Ok(vec![v as i64]),
            Value::Bytes(bytes) => {
                let mut fields = Fields(bytes);
                let mut values = Vec::new();
                while !fields.0.is_empty() {
                    values.push(fields.varint()? as i64);
                }
                Ok(values)
            }
            _ => Err(Malformed::Type(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::Message;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_what_was_written(int: i64, text: String, ints: Vec<i64>, float: f32) {
            let inner = Message::default().int(3, int);
            let m = Message::default().int(1, int).text(2, &text).ints(3, &ints).float(16, float).message(17, inner);
            let bytes = m.encode();
            let fields: Vec<_> = Fields::of(&bytes).collect::<Result<_, _>>().unwrap();
            let get = |n: u32| fields.iter().find(|(number, _)| *number == n).map(|(_, v)| *v);
            prop_assert_eq!(get(1).map_or(0, |v| v.int(1).unwrap()), int);
            prop_assert_eq!(get(2).map_or("", |v| v.text(2).unwrap()), text);
            prop_assert_eq!(get(3).map_or(Vec::new(), |v| v.ints(3).unwrap()), ints);
            prop_assert_eq!(get(16), Some(Value::Fixed32(float.to_le_bytes())));
            prop_assert!(get(17).unwrap().bytes(17).is_ok());
        }

        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        }
    }

    #[test]
    fn refuses_what_is_no_message() {
        fn first(bytes: &[u8]) -> Result<(u32, Value<'_>), Malformed> {
            Fields::of(bytes).next().expect("there are bytes")
        }
        assert_eq!(first(&[0x08]), Err(Malformed::Truncated));
        assert_eq!(first(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]), Err(Malformed::Truncated));
        assert_eq!(first(&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]), Err(Malformed::Varint));
        assert_eq!(first(&[0x0b]), Err(Malformed::WireType(3)));
        assert_eq!(first(&[0x00, 0]), Err(Malformed::FieldNumber));
    }
}
