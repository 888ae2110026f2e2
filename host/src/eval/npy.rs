//! Header of NumPy's .npy files, version 1.0, two dimensions, C order; the values follow it, little-endian.
//! Source: numpy.lib.format. The header is padded with spaces so that the data starts at a multiple of 64.

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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use ndarray_npy::ReadNpyExt;

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
    fn another_reader_reads_it() {
        let mut file = header(Type::F32, 1, 2);
        file.extend([1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
        assert_eq!(Array2::<f32>::read_npy(&file[..]).unwrap(), ndarray::arr2(&[[1.5, -2.0]]));
        let mut file = header(Type::I8, 2, 2);
        file.extend([129, 127, 0, 5]);
        assert_eq!(Array2::<i8>::read_npy(&file[..]).unwrap(), ndarray::arr2(&[[-127, 127], [0, 5]]));
    }
}
