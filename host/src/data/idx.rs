//! IDX files (MNIST and its relatives): big-endian header `00 00 type rank`, `rank` dimensions of 32 bits, then data.
//!
//! Only unsigned bytes (type 0x08) are read: rank 3 (N, rows, columns) or rank 4 (N, rows, columns, channels) for
//! pictures, rank 1 for labels. Sizes are checked against the bytes that are really there before anything is allocated.

use super::choice::Choice;
use super::layout::Part;
use super::origin::{Chunk, Origin, Payload, Raw};
use super::{compress, layout};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Largest decompressed IDX file that is read: 8 GiB (EMNIST has 0.5 GiB).
const MAX_BYTES: u64 = 8 << 30;
/// Pictures handed on at a time.
const CHUNK: usize = 1024;

/// An IDX array of unsigned bytes, borrowed from the file's contents.
#[derive(Debug, PartialEq, Eq)]
pub struct Array<'a> {
    /// One to four dimensions, outermost first.
    pub dims: Vec<usize>,
    /// As many bytes as the product of `dims`.
    pub data: &'a [u8],
}

/// Reads an IDX array. Pure: allocates nothing but the list of dimensions.
///
/// # Errors
/// One line: not IDX, another element type, a rank outside 1..=4, data shorter or longer than the header says.
pub fn parse(bytes: &[u8]) -> Result<Array<'_>, String> {
    let &[zero0, zero1, kind, rank, ref rest @ ..] = bytes else {
        return Err("shorter than an IDX header".into());
    };
    if (zero0, zero1) != (0, 0) {
        return Err("not an IDX file (it must begin with two zero bytes)".into());
    }
    if kind != 0x08 {
        return Err(format!("IDX element type 0x{kind:02x} is not supported, only unsigned bytes (0x08)"));
    }
    if !(1..=4).contains(&rank) {
        return Err(format!("IDX rank {rank} is not supported, only 1 to 4"));
    }
    let (header, data) =
        rest.split_at_checked(4 * usize::from(rank)).ok_or("the IDX header ends early (truncated file)")?;
    let dims: Vec<usize> =
        header.chunks_exact(4).map(|d| u32::from_be_bytes([d[0], d[1], d[2], d[3]]) as usize).collect();
    let claimed = dims.iter().try_fold(1usize, |product, &d| product.checked_mul(d));
    if claimed != Some(data.len()) {
        let claimed = claimed.map_or("more than fits in memory".into(), |c| format!("{c} bytes"));
        return Err(format!("the IDX header says {dims:?} ({claimed}), but {} bytes follow it", data.len()));
    }
    Ok(Array { dims, data })
}

/// An images file and, where there is one, its labels file.
struct Pair {
    part: Part,
    /// Pictures, as the header says.
    count: usize,
    images: PathBuf,
    labels: Option<PathBuf>,
}

/// A folder of IDX files in MNIST's naming: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, ...
pub(crate) struct Idx {
    pairs: Vec<Pair>,
    /// (rows, columns, channels), equal in all files.
    shape: (usize, usize, usize),
    classes: Vec<String>,
    choice: Choice,
}

impl Idx {
    /// Recognises a folder by its `*images*idx?-ubyte*` files; `None` when it has none. With `limit`, that many pictures of
    /// each split are handed on.
    pub fn detect(files: &[PathBuf], limit: Option<usize>) -> Result<Option<Idx>> {
        let mut pairs = Vec::new();
        for path in files {
            let name = layout::file_name(path);
            let plain = layout::without_compression(&name);
            if !(plain.contains("images") && plain.ends_with("-ubyte") && plain.contains("idx")) {
                continue;
            }
            let part = layout::part_in_name(&name).unwrap_or(Part::Train);
            let wanted = plain.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1");
            let labels = files.iter().find(|f| layout::without_compression(&layout::file_name(f)) == wanted).cloned();
            pairs.push(Pair { part, count: 0, images: path.clone(), labels });
        }
        if pairs.is_empty() {
            return Ok(None);
        }
        let mut shape = None;
        let mut classes = 0;
        for pair in &mut pairs {
            let (count, this) = picture_shape(&pair.images)?;
            pair.count = count;
            if *shape.get_or_insert(this) != this {
                let what = format!("{}: pictures of {this:?}, where another file has {shape:?}", pair.images.display());
                return Err(Error::new(what).hint("keep only files of one data set in the folder"));
            }
            if let Some(path) = &pair.labels {
                let bytes = compress::read(path, MAX_BYTES)?;
                let labels = read_labels(&bytes, path)?;
                classes = classes.max(labels.iter().map(|&l| usize::from(l) + 1).max().unwrap_or(0));
            }
        }
        let classes = (0..classes).map(|c| c.to_string()).collect();
        let parts: Vec<Part> = match limit {
            Some(_) => pairs.iter().flat_map(|p| std::iter::repeat_n(p.part, p.count)).collect(),
            None => Vec::new(),
        };
        let choice = Choice::of(&parts, limit);
        Ok(Some(Idx { pairs, shape: shape.unwrap_or_default(), classes, choice }))
    }
}

fn refused(path: &Path, why: String) -> Error {
    Error::new(format!("{}: {why}", path.display()))
        .hint("compare the file's size or checksum with the original's, or fetch it again")
}

/// Number and (rows, columns, channels) of the pictures. Reads the header alone, so that a model of another size is refused
/// before anything is decoded.
fn picture_shape(path: &Path) -> Result<(usize, (usize, usize, usize))> {
    use std::io::Read;
    let mut head = Vec::new();
    // An error in the compressed stream is reported when the whole file is read.
    let _ = compress::open(path)?.take(20).read_to_end(&mut head);
    let word =
        |i: usize| head.get(4 + 4 * i..8 + 4 * i).map_or(0, |d| u32::from_be_bytes([d[0], d[1], d[2], d[3]]) as usize);
    let count = word(0);
    let shape = match head.get(..4) {
        Some([0, 0, 8, 3]) => (word(1), word(2), 1),
        Some([0, 0, 8, 4]) => (word(1), word(2), word(3)),
        _ => return Err(refused(path, "not an IDX file of unsigned bytes with 3 or 4 dimensions".into())),
    };
    let (rows, columns, channels) = shape;
    if rows == 0 || columns == 0 || rows > 16384 || columns > 16384 || !matches!(channels, 1 | 3) {
        return Err(refused(path, format!("its header claims pictures of {rows}x{columns} with {channels} channels")));
    }
    if (count * rows * columns * channels) as u64 > MAX_BYTES {
        return Err(refused(
            path,
            format!("its header claims {count} pictures of {rows}x{columns}, more than {MAX_BYTES} bytes"),
        ));
    }
    Ok((count, shape))
}

fn read_labels<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a [u8]> {
    let array = parse(bytes).map_err(|why| refused(path, why))?;
    if array.dims.len() != 1 {
        return Err(refused(path, format!("labels have one dimension, this file has {}", array.dims.len())));
    }
    Ok(array.data)
}

impl Origin for Idx {
    fn kind(&self) -> String {
        "IDX".into()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn files(&self) -> Vec<PathBuf> {
        self.pairs.iter().flat_map(|p| [Some(p.images.clone()), p.labels.clone()]).flatten().collect()
    }

    fn native(&self) -> Option<(usize, usize)> {
        Some((self.shape.0.min(self.shape.1), self.shape.2))
    }

    fn count(&self) -> Option<usize> {
        Some(self.choice.count(self.pairs.iter().map(|p| p.count).sum()))
    }

    fn each(&self, visit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let (rows, columns, channels) = self.shape;
        let mut before = 0; // pictures of earlier files
        for pair in &self.pairs {
            let bytes = compress::read(&pair.images, MAX_BYTES)?;
            let pictures = parse(&bytes).map_err(|why| refused(&pair.images, why))?;
            let label_bytes = pair.labels.as_ref().map(|p| compress::read(p, MAX_BYTES)).transpose()?;
            let labels = match (&label_bytes, &pair.labels) {
                (Some(bytes), Some(path)) => Some(read_labels(bytes, path)?),
                _ => None,
            };
            if let (Some(labels), Some(path)) = (labels, &pair.labels)
                && labels.len() != pictures.dims[0]
            {
                let what = format!("{} labels, but {} pictures", labels.len(), pictures.dims[0]);
                return Err(refused(path, what));
            }
            let name = layout::file_name(&pair.images);
            let size = rows * columns * channels;
            for (chunk, block) in pictures.data.chunks(size * CHUNK).enumerate() {
                let raws = block.chunks_exact(size).enumerate().filter_map(|(i, pixels)| {
                    let record = chunk * CHUNK + i;
                    self.choice.has(before + record).then(|| Raw {
                        name: format!("{name}:{record}"),
                        part: pair.part,
                        label: labels.map(|l| u16::from(l[record])),
                        payload: Payload::Pixels { width: columns, height: rows, channels, bytes: pixels.to_vec() },
                    })
                });
                visit(raws.collect())?;
            }
            before += pair.count;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An IDX file of unsigned bytes.
    pub(crate) fn file(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    #[test]
    fn reads_what_the_header_says() {
        let bytes = file(&[2, 2, 1], &[1, 2, 3, 4]);
        assert_eq!(parse(&bytes).unwrap(), Array { dims: vec![2, 2, 1], data: &[1, 2, 3, 4] });
    }

    #[test]
    fn refuses_truncation_and_absurd_claims() {
        let bytes = file(&[2, 2, 1], &[1, 2, 3, 4]);
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let huge = file(&[u32::MAX, u32::MAX, u32::MAX, u32::MAX], &[0; 100]);
        assert!(parse(&huge).unwrap_err().contains("100 bytes follow"), "{:?}", parse(&huge));
        assert!(parse(&[0, 0, 0x0d, 1, 0, 0, 0, 0]).unwrap_err().contains("0x0d"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(array) = parse(&bytes) {
                prop_assert_eq!(array.dims.iter().product::<usize>(), array.data.len());
            }
        }

        #[test]
        fn arbitrary_tails_never_panic(rank in 0u8..6, tail in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&[&[0, 0, 8, rank], &tail[..]].concat());
        }
    }
}
