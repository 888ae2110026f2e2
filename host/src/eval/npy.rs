//! NumPy's .npy files, version 1.0, two dimensions, C order: 4-byte little-endian floats or signed bytes.
//! Source: numpy.lib.format. The header is padded with spaces so that the data starts at a multiple of 64.

/// A file of `rows` by `dim` f32 values.
///
/// # Panics
/// When the number of values does not fit the shape.
pub fn of_f32(rows: usize, dim: usize, values: &[f32]) -> Vec<u8> {
    assert_eq!(values.len(), rows * dim);
    let mut file = header("<f4", rows, dim);
    file.reserve(values.len() * 4);
    values.iter().for_each(|v| file.extend_from_slice(&v.to_le_bytes()));
    file
}

/// A file of `rows` by `dim` i8 values.
///
/// # Panics
/// When the number of values does not fit the shape.
pub fn of_i8(rows: usize, dim: usize, values: &[i8]) -> Vec<u8> {
    assert_eq!(values.len(), rows * dim);
    let mut file = header("|i1", rows, dim);
    file.extend(values.iter().map(|v| v.cast_unsigned()));
    file
}

/// Magic, version, length of the dictionary, dictionary ending in a line feed.
fn header(descr: &str, rows: usize, dim: usize) -> Vec<u8> {
    let mut dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    const PREFIX: usize = 10;
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
        let file = of_f32(2, 3, &[0.0, 1.0, 2.0, 3.0, 4.0, -5.5]);
        // What numpy.save writes for this array (numpy 2.4.6), header first.
        let mut want = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".to_vec();
        want.resize(127, b' ');
        want.push(b'\n');
        assert_eq!(file[..128], want);
        assert_eq!(file[128..132], [0; 4]);
        assert_eq!(file[148..], (-5.5f32).to_le_bytes());
    }

    #[test]
    fn another_reader_reads_it() {
        let f = Array2::<f32>::read_npy(&of_f32(1, 2, &[1.5, -2.0])[..]).unwrap();
        assert_eq!(f, ndarray::arr2(&[[1.5, -2.0]]));
        let i = Array2::<i8>::read_npy(&of_i8(2, 2, &[-127, 127, 0, 5])[..]).unwrap();
        assert_eq!(i, ndarray::arr2(&[[-127, 127], [0, 5]]));
    }
}
