//! Tar shards of images: an image folder inside one or several archives, or WebDataset's grouping, where the members of
//! one sample share the text before the first dot of the file name (`000123.jpg` with `000123.cls`).
//!
//! Read front to back, twice: once for the names (which decide splits, classes and the limit), once for the pictures, so
//! archives larger than memory and compressed ones work. Refused: archives that end early, `.cls` members that are not a
//! number. Members that are not regular files are skipped.

use super::choice::Choice;
use super::compress;
use super::layout::{self, Part};
use super::origin::{Chunk, Origin, Payload, Raw};
use crate::{Error, Result};
use std::cell::Cell;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A chunk ends at this many pictures ...
const CHUNK: usize = 256;
/// ... or this many bytes of them.
const CHUNK_BYTES: usize = 64 << 20;
/// A larger member is not a picture for us: named and counted as bad.
const MAX_MEMBER: u64 = super::decode::MAX_ENCODED;

/// A regular member of an archive.
pub struct Member<'a> {
    /// Full name, as stored.
    pub name: String,
    /// Size as stored.
    pub size: u64,
    /// Its contents, not read yet.
    pub contents: &'a mut dyn Read,
}

/// Visits the regular members of a tar archive. Entry point for fuzzing: any bytes may come.
///
/// # Errors
/// One line: not a tar archive, a damaged header, or the archive ends before its end mark; or what `visit` returned.
pub fn members<E: From<String>>(reader: impl Read, mut visit: impl FnMut(Member) -> Result<(), E>) -> Result<(), E> {
    let zeros = Rc::new(Cell::new(0));
    let mut archive = ::tar::Archive::new(CountZeros { inner: reader, zeros: Rc::clone(&zeros) });
    let text = |e: std::io::Error| format!("damaged or truncated tar archive ({e})");
    for entry in archive.entries().map_err(text)? {
        let mut entry = entry.map_err(text)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        visit(Member { name, size, contents: &mut entry })?;
    }
    // The archive ends with a block of 512 zeros; without it, it was cut between two members.
    if zeros.get() < 512 {
        return Err("truncated tar archive (it ends without its end mark)".to_owned().into());
    }
    // Whatever pads the end is read too: only then has a compressed stream checked its own sum.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(text)?;
    Ok(())
}

/// Counts the zero bytes at the end of what was read so far.
struct CountZeros<R> {
    inner: R,
    zeros: Rc<Cell<usize>>,
}

impl<R: Read> Read for CountZeros<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let tail = buffer[..n].iter().rev().take_while(|&&b| b == 0).count();
        self.zeros.set(if tail == n { self.zeros.get() + n } else { tail });
        Ok(n)
    }
}

/// What the first pass keeps of a picture.
struct Item {
    shard: usize,
    /// Position among the pictures of its shard.
    ordinal: usize,
    name: String,
    part: Part,
    label: Option<u16>,
}

/// One or several archives.
pub(crate) struct Tar {
    shards: Vec<PathBuf>,
    /// In archive order.
    items: Vec<Item>,
    classes: Vec<String>,
}

impl Tar {
    /// Lists the pictures in `shards`; `None` when there are none. With `limit`, that many of each split.
    pub fn list(shards: Vec<PathBuf>, limit: Option<usize>) -> Result<Option<Tar>> {
        let mut items: Vec<Item> = Vec::new();
        let mut samples: HashMap<(usize, String), String> = HashMap::new();
        for (shard, path) in shards.iter().enumerate() {
            let default = layout::part_in_name(&layout::file_name(path)).unwrap_or(Part::Train);
            let mut ordinal = 0;
            each_member(path, |mut member| {
                if member.name.ends_with(".cls") {
                    let class = read_class(&mut member).map_err(|why| refused(path, &why))?;
                    samples.insert((shard, sample_key(&member.name).to_owned()), class);
                } else if layout::is_picture(&member.name) {
                    items.push(Item { shard, ordinal, name: member.name, part: default, label: None });
                    ordinal += 1;
                }
                Ok(())
            })?;
        }
        if items.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = items.iter().map(|i| i.name.as_str()).collect();
        let default: Vec<Part> = items.iter().map(|i| i.part).collect();
        let mut places = layout::places(&names, &default);
        for (item, place) in items.iter().zip(&mut places) {
            if let Some(class) = samples.get(&(item.shard, sample_key(&item.name).to_owned())) {
                place.1 = Some(class.clone());
            } else if !samples.is_empty() {
                place.1 = None; // in a labelled WebDataset folders are not classes
            }
        }
        let (classes, labels) = layout::label(&places).map_err(|why| refused(&shards[0], &why))?;
        for (item, (part, label)) in items.iter_mut().zip(labels) {
            (item.part, item.label) = (part, label);
        }
        if let Some(limit) = limit {
            items = limited(items, limit);
        }
        Ok(Some(Tar { shards, items, classes }))
    }
}

/// At most `limit` items of each split, chosen by the fixed shuffle over their sorted names.
fn limited(mut items: Vec<Item>, limit: usize) -> Vec<Item> {
    let place = |item: &Item| (item.shard, item.ordinal);
    items.sort_by(|a, b| a.name.cmp(&b.name));
    let parts: Vec<Part> = items.iter().map(|i| i.part).collect();
    let choice = Choice::of(&parts, Some(limit));
    let mut position = 0..;
    items.retain(|_| position.next().is_some_and(|i| choice.has(i)));
    items.sort_by_key(place);
    items
}

/// WebDataset: the path up to the first dot of its last part.
fn sample_key(name: &str) -> &str {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    name[last..].find('.').map_or(name, |dot| &name[..last + dot])
}

/// The class number in a `.cls` member.
fn read_class(member: &mut Member) -> Result<String, String> {
    let mut text = String::new();
    let whole = member.size <= 32 && member.contents.read_to_string(&mut text).is_ok();
    match text.trim().parse::<u64>() {
        Ok(number) if whole => Ok(number.to_string()),
        _ => Err(format!("member {} does not hold a class number", member.name)),
    }
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(format!("{}: {why}", path.display()))
        .hint("compare the file's size or checksum with the original's, or fetch it again")
}

/// Either our own error or a message of [`members`].
enum Stop {
    Tar(String),
    Ours(Error),
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Stop::Tar(why)
    }
}

fn each_member(path: &Path, mut visit: impl FnMut(Member) -> Result<()>) -> Result<()> {
    let reader = compress::open(path)?;
    members(reader, |member| visit(member).map_err(Stop::Ours)).map_err(|stop| match stop {
        Stop::Tar(why) => refused(path, &why),
        Stop::Ours(error) => error,
    })
}

impl Origin for Tar {
    fn kind(&self) -> String {
        if self.shards.len() == 1 {
            "tar archive of images".into()
        } else {
            format!("{} tar shards", self.shards.len())
        }
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn files(&self) -> Vec<PathBuf> {
        self.shards.clone()
    }

    fn native(&self) -> Option<(usize, usize)> {
        None
    }

    fn count(&self) -> Option<usize> {
        Some(self.items.len())
    }

    fn each(&self, visit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let mut items = self.items.iter().peekable();
        for (shard, path) in self.shards.iter().enumerate() {
            let (mut chunk, mut bytes, mut ordinal) = (Vec::new(), 0, 0);
            each_member(path, |member| {
                if !layout::is_picture(&member.name) {
                    return Ok(());
                }
                let Some(item) = items.next_if(|i| i.shard == shard && i.ordinal == ordinal) else {
                    ordinal += 1;
                    return Ok(());
                };
                ordinal += 1;
                let payload = if member.size > MAX_MEMBER {
                    Payload::Bad(format!("{} bytes, more than {} MiB", member.size, MAX_MEMBER >> 20))
                } else {
                    let mut contents = Vec::new();
                    member.contents.read_to_end(&mut contents).map_err(|e| refused(path, &e.to_string()))?;
                    if (contents.len() as u64) < member.size {
                        return Err(refused(path, &format!("truncated tar archive (it ends inside {})", item.name)));
                    }
                    bytes += contents.len();
                    Payload::Encoded(contents)
                };
                chunk.push(Raw { name: item.name.clone(), part: item.part, label: item.label, payload });
                if chunk.len() == CHUNK || bytes >= CHUNK_BYTES {
                    bytes = 0;
                    visit(std::mem::take(&mut chunk))?;
                }
                Ok(())
            })?;
            visit(chunk)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tar archive of these files.
    pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (name, contents) in files {
            let mut header = ::tar::Header::new_ustar();
            header.set_size(contents.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *contents).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn names(bytes: &[u8]) -> Result<Vec<(String, u64)>, String> {
        let mut names = Vec::new();
        members::<String>(bytes, |m| {
            names.push((m.name, m.size));
            Ok(())
        })?;
        Ok(names)
    }

    #[test]
    fn lists_members_and_notices_every_truncation() {
        let bytes = archive(&[("a/1.txt", &[1; 700]), ("b.txt", b"x")]);
        assert_eq!(names(&bytes).unwrap(), [("a/1.txt".into(), 700), ("b.txt".into(), 1)]);
        let end = 512 * (1 + 2 + 1 + 1);
        for cut in (0..end + 512).step_by(64) {
            assert!(names(&bytes[..cut]).is_err(), "cut at {cut} of {}", bytes.len());
        }
    }

    #[test]
    fn sample_keys_end_at_the_first_dot_of_the_file_name() {
        assert_eq!(sample_key("a.b/000123.left.jpg"), "a.b/000123");
        assert_eq!(sample_key("000123.cls"), "000123");
        assert_eq!(sample_key("plain"), "plain");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            let _ = names(&bytes);
        }

        #[test]
        fn a_changed_header_never_panics(at in 0usize..1536, value: u8) {
            let mut bytes = archive(&[("a.jpg", &[7; 100]), ("b.jpg", &[8; 10])]);
            bytes[at] = value;
            let _ = names(&bytes);
        }
    }
}
