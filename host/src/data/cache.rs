//! Decoded pictures in memory while they are few, in a memory-mapped file once they are many or a cache is asked for.
//!
//! Cache file, little-endian: all pictures (n * side * side * channels bytes), n sha256 digests of them, one JSON object
//! ([`Meta`]), then the trailer: length of the JSON (u64), n (u64), sha256 of the JSON (32 bytes), magic (8 bytes). The
//! name holds the key, a sha256 over the source's files (names, sizes, times) and everything that shapes the pictures.
//! Written beside its place and renamed. A file that does not check out is rebuilt, never trusted.

use super::dataset::{BadFile, Sizes};
use super::split::Pixels;
use crate::Result;
use crate::error::Context;
use memmap2::Mmap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"ldaepix1";
const TRAILER: usize = 8 + 8 + 32 + 8;
/// Caches up to this size are verified whole at every opening; of larger ones, evenly spaced pictures of this total.
const VERIFIED: usize = 4 << 30;

/// sha256 of one picture's bytes.
pub(crate) type PictureDigest = [u8; 32];

/// Everything about the pictures but their bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub key: String,
    pub kind: String,
    pub classes: Vec<String>,
    pub side: usize,
    pub channels: usize,
    pub names: Vec<String>,
    /// [`super::layout::Part`] of each picture.
    pub parts: Vec<u8>,
    /// `u16::MAX` stands for none.
    pub labels: Vec<u16>,
    pub bad: Vec<BadFile>,
    pub sizes: Sizes,
    pub fingerprint: String,
}

/// Where the cache file of `key` lies in `folder`.
pub(crate) fn place(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{}.ldae-pixels", &key[..32]))
}

/// Where caches go when the user names no folder: `$XDG_CACHE_HOME/ldae`, else `~/.cache/ldae`, else a temporary folder.
pub(crate) fn default_folder() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p: &PathBuf| p.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("ldae")
}

/// Collects pictures: in memory up to `limit` bytes, then in a partial file beside `path`, which disappears unless
/// [`Growing::finish`] renames it.
pub(crate) struct Growing {
    memory: Vec<u8>,
    limit: usize,
    path: PathBuf,
    partial: Option<Partial>,
}

struct Partial {
    file: Option<BufWriter<File>>,
    path: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Not finished: the error that led here is reported elsewhere.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Growing {
    pub fn new(path: PathBuf, limit: usize) -> Self {
        Growing { memory: Vec::new(), limit, path, partial: None }
    }

    pub fn append(&mut self, picture: &[u8]) -> Result<()> {
        if self.partial.is_none() && self.memory.len() + picture.len() > self.limit {
            self.spill()?;
        }
        match &mut self.partial {
            None => self.memory.extend_from_slice(picture),
            Some(partial) => write(partial, picture)?,
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).context(|| format!("cannot create the cache folder {}", folder.display()))?;
        let path = self.path.with_extension(format!("partial-{}", std::process::id()));
        let file = File::create(&path).context(|| format!("cannot write {}", path.display()))?;
        let mut partial = Partial { file: Some(BufWriter::with_capacity(1 << 20, file)), path };
        write(&mut partial, &std::mem::take(&mut self.memory))?;
        self.partial = Some(partial);
        Ok(())
    }

    /// The finished pictures; a file gets its digests, description and name.
    pub fn finish(mut self, meta: &Meta, digests: &[PictureDigest]) -> Result<Pixels> {
        if self.partial.is_none() && self.limit == 0 {
            self.spill()?;
        }
        let Some(mut partial) = self.partial else { return Ok(Pixels::Memory(self.memory)) };
        let json = serde_json::to_vec(meta).context(|| "cannot describe the cache")?;
        write(&mut partial, digests.as_flattened())?;
        write(&mut partial, &json)?;
        write(&mut partial, &(json.len() as u64).to_le_bytes())?;
        write(&mut partial, &(digests.len() as u64).to_le_bytes())?;
        write(&mut partial, &Sha256::digest(&json))?;
        write(&mut partial, MAGIC)?;
        let failed = || format!("cannot write {}", self.path.display());
        if let Some(file) = &mut partial.file {
            file.flush().context(failed)?;
            file.get_ref().sync_all().context(failed)?;
        }
        std::fs::rename(&partial.path, &self.path).context(failed)?;
        partial.file = None;
        map(&self.path).map(Pixels::Mapped)
    }
}

fn write(partial: &mut Partial, bytes: &[u8]) -> Result<()> {
    match &mut partial.file {
        Some(file) => file.write_all(bytes).context(|| format!("cannot write {}", partial.path.display())),
        None => Ok(()),
    }
}

fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).context(|| format!("cannot open {}", path.display()))?;
    // SAFETY: the map is read-only and our own files are never changed in place, only replaced by rename, which leaves
    // the mapped file alone. Another program that truncates it while we run ends this one with SIGBUS, as for any map.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) };
    map.context(|| format!("cannot map {}", path.display()))
}

/// Opens a cache file and checks it. `None` when it is not there, not ours, for another key, or damaged.
pub(crate) fn open(path: &Path, key: &str) -> Option<(Meta, Pixels)> {
    let map = map(path).ok()?;
    let meta = check(&map, key)?;
    Some((meta, Pixels::Mapped(map)))
}

/// The description inside the bytes of a cache file, if everything about them checks out.
fn check(bytes: &[u8], key: &str) -> Option<Meta> {
    let (body, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER)?)?;
    if &trailer[48..] != MAGIC {
        return None;
    }
    let number = |at: usize| usize::try_from(u64::from_le_bytes(trailer[at..at + 8].try_into().ok()?)).ok();
    let (json_length, n) = (number(0)?, number(8)?);
    let (body, json) = body.split_at_checked(body.len().checked_sub(json_length)?)?;
    if Sha256::digest(json)[..] != trailer[16..48] {
        return None;
    }
    let meta: Meta = serde_json::from_slice(json).ok()?;
    let (pixels, digests) = body.split_at_checked(body.len().checked_sub(n.checked_mul(32)?)?)?;
    let size = meta.side.checked_mul(meta.side)?.checked_mul(meta.channels)?;
    let counts = [meta.names.len(), meta.parts.len(), meta.labels.len()];
    if meta.key != key || size == 0 || counts != [n; 3] || pixels.len() != n.checked_mul(size)? {
        return None;
    }
    let (digests, _) = digests.as_chunks::<32>();
    if fingerprint(&meta, digests) != meta.fingerprint {
        return None;
    }
    let step = pixels.len().div_ceil(VERIFIED).max(1);
    let sound = (0..n).into_par_iter().step_by(step).all(|i| digest(&pixels[i * size..][..size]) == digests[i]);
    sound.then_some(meta)
}

/// sha256 of one picture.
pub(crate) fn digest(picture: &[u8]) -> PictureDigest {
    Sha256::digest(picture).into()
}

/// The data set's fingerprint (hex): sha256 over shape, class names, and every picture's digest, split and label.
pub(crate) fn fingerprint(meta: &Meta, digests: &[PictureDigest]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"ldae data 1");
    for number in [meta.side, meta.channels, meta.classes.len(), digests.len()] {
        hash.update((number as u64).to_le_bytes());
    }
    for class in &meta.classes {
        hash.update((class.len() as u64).to_le_bytes());
        hash.update(class);
    }
    for ((digest, part), label) in digests.iter().zip(&meta.parts).zip(&meta.labels) {
        hash.update(digest);
        hash.update([*part]);
        hash.update(label.to_le_bytes());
    }
    crate::digest::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(folder: &Path) -> (PathBuf, Meta) {
        let path = place(folder, &"k".repeat(64));
        let pictures: Vec<[u8; 4]> = (0..5).map(|i| [i, i + 1, i + 2, i + 3]).collect();
        let digests: Vec<PictureDigest> = pictures.iter().map(|p| digest(p)).collect();
        let mut meta = Meta {
            key: "k".repeat(64),
            kind: "test".into(),
            classes: vec!["a".into()],
            side: 2,
            channels: 1,
            names: (0..5).map(|i| i.to_string()).collect(),
            parts: vec![0; 5],
            labels: vec![0; 5],
            bad: vec![BadFile { name: "x".into(), reason: "y".into() }],
            sizes: Sizes::default(),
            fingerprint: String::new(),
        };
        meta.fingerprint = fingerprint(&meta, &digests);
        let mut growing = Growing::new(path.clone(), 8);
        pictures.iter().for_each(|p| growing.append(p).unwrap());
        assert!(matches!(growing.finish(&meta, &digests).unwrap(), Pixels::Mapped(_)));
        (path, meta)
    }

    #[test]
    fn round_trip_leaves_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, meta) = cached(folder.path());
        let (read, pixels) = open(&path, &meta.key).unwrap();
        assert_eq!(read, meta);
        let Pixels::Mapped(map) = pixels else { panic!("mapped") };
        assert_eq!(map[..8], [0, 1, 2, 3, 1, 2, 3, 4]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn any_damage_or_another_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, meta) = cached(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        assert!(check(&bytes, &meta.key).is_some());
        assert!(check(&bytes, "other").is_none());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(check(&damaged, &meta.key).is_none(), "byte {at}");
            assert!(check(&bytes[..at], &meta.key).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn an_abandoned_file_disappears() {
        let folder = tempfile::tempdir().unwrap();
        let mut growing = Growing::new(place(folder.path(), &"k".repeat(64)), 0);
        growing.append(&[1, 2, 3, 4]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(growing);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
