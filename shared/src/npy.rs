//! Header of NumPy's .npy files, version 1.0, two dimensions, C order; the values follow it, little-endian.
//! Source: numpy.lib.format. The header is padded with spaces so that the data starts at a multiple of 64.

use alloc::format;
use alloc::vec::Vec;

/// Types of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// 4-byte little-endian floats.
    F32,
    /// Signed bytes.
    I8,
}

impl Type {
    /// NumPy's name.
    pub fn name(self) -> &'static str {
        match self {
            Type::F32 => "float32",
            Type::I8 => "int8",
        }
    }

    fn descr(self) -> &'static str {
        match self {
            Type::F32 => "<f4",
            Type::I8 => "|i1",
        }
    }
}

/// Magic, version, length of the dictionary, dictionary ending in a line feed.
pub fn header(of: Type, rows: usize, dim: usize) -> Vec<u8> {
    const PREFIX: usize = 10;
    let mut dictionary = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}", of.descr());
    let length = (PREFIX + dictionary.len() + 1).next_multiple_of(64) - PREFIX;
    while dictionary.len() + 1 < length {
        dictionary.push(' ');
    }
    dictionary.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend_from_slice(&(length as u16).to_le_bytes());
    file.extend_from_slice(dictionary.as_bytes());
    file
}

/// A matrix that [`header`] begins: its type, rows, columns, and values. Other headers are refused, even where NumPy would
/// read them.
pub fn read(file: &[u8]) -> Option<(Type, usize, usize, &[u8])> {
    const SHAPE: &[u8] = b"'shape': (";
    let start = file.get(..128)?.windows(SHAPE.len()).position(|w| w == SHAPE)? + SHAPE.len();
    let text = core::str::from_utf8(file.get(start..128)?).ok()?;
    let (rows, columns) = text.split_once(')')?.0.split_once(", ")?;
    let (rows, columns) = (rows.parse().ok()?, columns.parse().ok()?);
    [(Type::F32, 4), (Type::I8, 1)].into_iter().find_map(|(of, size)| {
        let values = file.strip_prefix(header(of, rows, columns).as_slice())?;
        let length = rows.checked_mul(columns)?.checked_mul(size)?;
        (values.len() == length).then_some((of, rows, columns, values))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_bytes() {
        // What numpy.save of numpy 2.4.6 writes before the values of such an array.
        let mut want = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".to_vec();
        want.resize(127, b' ');
        want.push(b'\n');
        assert_eq!(header(Type::F32, 2, 3), want);
        // Millions of rows change the length of the text, not that of the header.
        assert_eq!(header(Type::I8, 12_345_678, 4096).len(), 128);
    }

    #[test]
    fn reads_back_what_it_wrote_and_nothing_else() {
        let mut file = header(Type::I8, 3, 2);
        file.extend([1, 2, 3, 4, 5, 6]);
        assert_eq!(read(&file), Some((Type::I8, 3, 2, &[1, 2, 3, 4, 5, 6][..])));
        for length in 0..file.len() {
            assert_eq!(read(&file[..length]), None);
        }
        file.push(7);
        assert_eq!(read(&file), None);
        for at in 0..128 {
            let mut other = file[..134].to_vec();
            other[at] ^= 1;
            assert_eq!(read(&other), None, "{at}");
        }
        let mut huge = header(Type::F32, usize::MAX, 2);
        huge.extend([0; 8]);
        assert_eq!(read(&huge), None);
    }
}
