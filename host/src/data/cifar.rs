//! CIFAR-10 and CIFAR-100 in the binary version: records of one (CIFAR-100: two, coarse then fine) label bytes and
//! 3072 pixel bytes, channel by channel (1024 red, 1024 green, 1024 blue), row-major, 32 x 32.

use super::choice::Choice;
use super::compress;
use super::layout::{self, Part};
use super::origin::{Chunk, Origin, Payload, Raw};
use crate::{Error, Result, error::Context};
use rayon::prelude::*;
use std::path::PathBuf;

/// Height and width of a CIFAR picture.
pub const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE;
/// Largest decompressed file that is read; CIFAR-100's `train.bin` has 154 MB.
const MAX_BYTES: u64 = 1 << 30;
/// Pictures handed on at a time.
const CHUNK: usize = 1024;
/// Decompressed bytes that counting the records may keep for reading them; both sets have less than 0.2 GB.
const KEPT: usize = 1 << 30;

/// Which of the two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One label byte.
    Cifar10,
    /// A coarse and a fine label byte; the fine one is used.
    Cifar100,
}

impl Variant {
    /// Bytes of one record.
    pub const fn record(self) -> usize {
        self.label_bytes() + 3 * PIXELS
    }

    const fn label_bytes(self) -> usize {
        match self {
            Variant::Cifar10 => 1,
            Variant::Cifar100 => 2,
        }
    }

    const fn classes(self) -> usize {
        match self {
            Variant::Cifar10 => 10,
            Variant::Cifar100 => 100,
        }
    }
}

/// One record: its label and its planar pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// As stored; may be out of range in a damaged file.
    pub label: u8,
    /// Red, green, blue planes of 1024 bytes.
    pub planes: &'a [u8],
}

impl Record<'_> {
    /// The pixels as row, column, channel.
    pub fn interleaved(&self) -> Vec<u8> {
        let (red, rest) = self.planes.split_at(PIXELS);
        let (green, blue) = rest.split_at(PIXELS);
        red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]).collect()
    }
}

/// The records of a batch file. Pure, allocates nothing.
///
/// # Errors
/// One line: the file is empty or not a whole number of records.
pub fn parse(bytes: &[u8], variant: Variant) -> Result<impl ExactSizeIterator<Item = Record<'_>>, String> {
    let record = variant.record();
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(format!(
            "{} bytes are not a whole number of {record}-byte records (truncated, or not a CIFAR binary file)",
            bytes.len()
        ));
    }
    Ok(bytes.chunks_exact(record).map(move |r| {
        let (labels, planes) = r.split_at(variant.label_bytes());
        Record { label: labels[labels.len() - 1], planes }
    }))
}

/// A folder of CIFAR batch files.
pub(crate) struct Cifar {
    variant: Variant,
    batches: Vec<(Part, PathBuf)>,
    meta: Option<PathBuf>,
    classes: Vec<String>,
    limit: Option<usize>,
}

impl Cifar {
    /// Recognises `data_batch_N.bin` / `test_batch.bin` (CIFAR-10) or `train.bin` / `test.bin` (CIFAR-100) among
    /// `files`, which is sorted. With `limit`, that many pictures of each split are handed on.
    pub fn detect(files: &[PathBuf], limit: Option<usize>) -> Result<Option<Cifar>> {
        let (mut ten, mut hundred) = (Vec::new(), Vec::new());
        for path in files {
            let name = layout::file_name(path);
            match layout::without_compression(&name) {
                "test_batch.bin" => ten.push((Part::Test, path.clone())),
                n if n.starts_with("data_batch_") && n.ends_with(".bin") => ten.push((Part::Train, path.clone())),
                "train.bin" => hundred.push((Part::Train, path.clone())),
                "test.bin" => hundred.push((Part::Test, path.clone())),
                _ => {}
            }
        }
        let (variant, batches, names) = match (ten.is_empty(), hundred.is_empty()) {
            (true, true) => return Ok(None),
            (false, _) => (Variant::Cifar10, ten, "batches.meta.txt"),
            (true, false) => (Variant::Cifar100, hundred, "fine_label_names.txt"),
        };
        let meta = files.iter().find(|f| layout::file_name(f) == names).cloned();
        let mut classes: Vec<String> = match &meta {
            Some(path) => {
                let text = std::fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))?;
                text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
            }
            None => Vec::new(),
        };
        if classes.len() != variant.classes() {
            if let (false, Some(path)) = (classes.is_empty(), &meta) {
                let what = format!("{}: {} names, expected {}", path.display(), classes.len(), variant.classes());
                return Err(Error::new(what).hint("one class name a line; without the file, classes are numbered"));
            }
            classes = (0..variant.classes()).map(|c| c.to_string()).collect();
        }
        Ok(Some(Cifar { variant, batches, meta, classes, limit }))
    }

    /// Which records are wanted. Their number is known only when all files have been read: what fits in [`KEPT`] stays in
    /// `contents`.
    fn choose(&self, contents: &mut [Option<Vec<u8>>]) -> Result<Choice> {
        let (mut parts, mut kept) = (Vec::new(), 0);
        if self.limit.is_some() {
            let places: Vec<usize> = (0..self.batches.len()).collect();
            for group in places.chunks(rayon::current_num_threads()) {
                for (&i, bytes) in group.iter().zip(self.read(group)) {
                    let bytes = bytes?;
                    parts.extend(std::iter::repeat_n(self.batches[i].0, bytes.len() / self.variant.record()));
                    if kept + bytes.len() <= KEPT {
                        kept += bytes.len();
                        contents[i] = Some(bytes);
                    }
                }
            }
        }
        Ok(Choice::of(&parts, self.limit))
    }

    /// The decompressed files at these places, in parallel.
    fn read(&self, places: &[usize]) -> Vec<Result<Vec<u8>>> {
        places.par_iter().map(|&i| compress::read(&self.batches[i].1, MAX_BYTES)).collect()
    }
}

impl Origin for Cifar {
    fn kind(&self) -> String {
        format!("CIFAR-{} binary", self.variant.classes())
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn files(&self) -> Vec<PathBuf> {
        self.batches.iter().map(|(_, path)| path.clone()).chain(self.meta.clone()).collect()
    }

    fn native(&self) -> Option<(usize, usize)> {
        Some((SIDE, 3))
    }

    fn count(&self) -> Option<usize> {
        None
    }

    fn each(&self, visit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        // As many files at a time as there are threads: xz decoding dominates, and memory stays bounded.
        let mut contents = vec![None; self.batches.len()];
        let choice = self.choose(&mut contents)?;
        let mut position = 0;
        let places: Vec<usize> = (0..self.batches.len()).collect();
        for group in places.chunks(rayon::current_num_threads()) {
            let missing: Vec<usize> = group.iter().copied().filter(|&i| contents[i].is_none()).collect();
            for (&i, bytes) in missing.iter().zip(self.read(&missing)) {
                contents[i] = Some(bytes?);
            }
            for &i in group {
                let (part, path) = &self.batches[i];
                let bytes = contents[i].take().unwrap_or_default();
                let records = parse(&bytes, self.variant).map_err(|why| {
                    Error::new(format!("{}: {why}", path.display()))
                        .hint("compare the file's size or checksum with the original's, or fetch it again")
                })?;
                let name = layout::file_name(path);
                let raws: Vec<Raw> = records
                    .enumerate()
                    .filter(|_| {
                        position += 1;
                        choice.has(position - 1)
                    })
                    .map(|(i, record)| {
                        let payload = if usize::from(record.label) < self.classes.len() {
                            let bytes = record.interleaved();
                            Payload::Pixels { width: SIDE, height: SIDE, channels: 3, bytes }
                        } else {
                            Payload::Bad(format!(
                                "label {} where there are {} classes",
                                record.label,
                                self.classes.len()
                            ))
                        };
                        Raw { name: format!("{name}:{i}"), part: *part, label: Some(u16::from(record.label)), payload }
                    })
                    .collect();
                let mut raws = raws.into_iter();
                while raws.len() > 0 {
                    visit(raws.by_ref().take(CHUNK).collect())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A CIFAR-10 file of records with these labels; pixel values follow from record and position.
    pub(crate) fn file(labels: &[u8]) -> Vec<u8> {
        let record = |&label: &u8| std::iter::once(label).chain((0..3072).map(move |i| (i / 4) as u8 ^ label));
        labels.iter().flat_map(record).collect()
    }

    #[test]
    fn planes_become_pixels() {
        let bytes = file(&[3, 7]);
        let records: Vec<Record> = parse(&bytes, Variant::Cifar10).unwrap().collect();
        assert_eq!(records.iter().map(|r| r.label).collect::<Vec<_>>(), [3, 7]);
        let pixels = records[1].interleaved();
        let expected = |channel: usize, at: usize| ((channel * 1024 + at) / 4) as u8 ^ 7;
        for at in [0, 1, 31, 32, 1023] {
            assert_eq!(pixels[3 * at..3 * at + 3], [expected(0, at), expected(1, at), expected(2, at)]);
        }
    }

    #[test]
    fn truncated_files_are_refused() {
        let bytes = file(&[3, 7]);
        for cut in [0, 1, 3072, 3074, bytes.len() - 1] {
            assert!(parse(&bytes[..cut], Variant::Cifar10).is_err(), "cut at {cut}");
        }
        assert!(parse(&bytes, Variant::Cifar100).is_err());
    }

    #[test]
    fn fine_labels_are_the_second_byte() {
        let bytes: Vec<u8> = [19, 42].into_iter().chain((0..3072).map(|_| 0)).collect();
        assert_eq!(parse(&bytes, Variant::Cifar100).unwrap().next().unwrap().label, 42);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..8000),
            hundred: bool,
            whole: bool,
        ) {
            let variant = if hundred { Variant::Cifar100 } else { Variant::Cifar10 };
            let end = if whole { bytes.len() / variant.record() * variant.record() } else { bytes.len() };
            if let Ok(records) = parse(&bytes[..end], variant) {
                prop_assert!(records.map(|r| r.interleaved().len()).all(|n| n == 3072));
            }
        }
    }
}
