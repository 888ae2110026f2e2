//! Decoded pictures in memory while they are few, in a memory-mapped file once they are many or a cache is asked for.
//!
//! Cache file, little-endian: all pictures (n * side * side * channels bytes), n sha256 digests of them, one JSON object
//! ([`Meta`]), then the trailer: length of the JSON (u64), n (u64), sha256 of the JSON (32 bytes), magic (8 bytes). The
//! name holds the key, a sha256 over the source's files (names, sizes, times) and everything that shapes the pictures.
//! Written beside its place and renamed; locked while it is written or mapped, so that no process removes it to make
//! room ([`Room`]). A file that does not check out is rebuilt, never trusted.

use super::dataset::{BadFile, Sizes};
use super::room::{ENDING, PARTIAL, Room};
use super::split::Pixels;
use crate::Result;
use crate::error::Context;
use memmap2::{Mmap, UncheckedAdvice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, FileTimes, TryLockError};
use std::io::{BufWriter, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

const MAGIC: &[u8; 8] = b"ldaepix1";
const TRAILER: usize = 8 + 8 + 32 + 8;
/// Caches up to this size are verified whole at every opening; of larger ones, evenly spaced pictures of this total.
const VERIFIED: usize = 4 << 30;
/// What is asked for at a time when the size of a cache is not known beforehand.
const STEP: u64 = 64 << 20;
/// Digest, name and other facts of one picture, about.
const FACTS: u64 = 32 + 100;

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
    folder.join(format!("{}.{ENDING}", &key[..32]))
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
    room: Room,
    partial: Option<Partial>,
    /// Bytes in the partial file, and bytes that there is room for.
    written: u64,
    granted: u64,
}

struct Partial {
    file: BufWriter<File>,
    path: PathBuf,
    finished: bool,
}

/// A cache file in memory: mapped, and locked against removal as long as it is.
pub(crate) struct Mapped {
    map: Mmap,
    /// Holds the lock.
    _file: File,
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // The error that led here is reported elsewhere.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Partial {
    fn create(path: PathBuf) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.context(|| format!("cannot write {}", path.display()))?;
        // On a file system without locks, nothing is ever removed to make room.
        let _ = file.try_lock();
        Ok(Partial { file: BufWriter::with_capacity(1 << 20, file), path, finished: false })
    }

    /// Gives the finished file its name and maps it.
    fn finish(mut self, path: &Path) -> Result<Mapped> {
        let failed = || format!("cannot write {}", path.display());
        self.file.flush().context(failed)?;
        self.file.get_ref().sync_all().context(failed)?;
        std::fs::rename(&self.path, path).context(failed)?;
        self.finished = true;
        let file = self.file.get_ref().try_clone().context(failed)?;
        let _ = file.unlock(); // from alone to shared: others may map it too
        let _ = file.try_lock_shared();
        map(file, path)
    }
}

impl Growing {
    pub fn new(path: PathBuf, limit: usize, room: Room) -> Self {
        Growing { memory: Vec::new(), limit, path, room, partial: None, written: 0, granted: 0 }
    }

    /// Announces `count` pictures of `size` bytes: what will not stay in memory gets its room at once, or is refused before
    /// anything is decoded.
    pub fn expect(&mut self, count: usize, size: usize) -> Result<()> {
        let (count, size) = (count as u64, size as u64);
        if count * size > self.limit as u64 {
            self.grant(count * (size + FACTS))?;
            self.spill()?;
        }
        Ok(())
    }

    /// Makes room for a file of `total` bytes.
    fn grant(&mut self, total: u64) -> Result<()> {
        if total > self.granted {
            let own = self.partial.as_ref().map_or(&self.path, |partial| &partial.path);
            self.room.make(own, total, self.written)?;
            self.granted = total;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.written + bytes.len() as u64 > self.granted {
            let needed = self.written + bytes.len() as u64;
            // Just below the cap there is room for less than a whole step.
            self.grant(needed + STEP).or_else(|_| self.grant(needed))?;
        }
        if let Some(Partial { file, path, .. }) = &mut self.partial {
            file.write_all(bytes).context(|| format!("cannot write {}", path.display()))?;
            self.written += bytes.len() as u64;
        }
        Ok(())
    }

    pub fn append(&mut self, picture: &[u8]) -> Result<()> {
        if self.partial.is_none() && self.memory.len() + picture.len() > self.limit {
            self.spill()?;
        }
        if self.partial.is_some() {
            return self.write(picture);
        }
        self.memory.extend_from_slice(picture);
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).context(|| format!("cannot create the cache folder {}", folder.display()))?;
        static FILES: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{PARTIAL}{}-{}", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
        let path = self.path.with_extension(unique);
        self.partial = Some(Partial::create(path)?);
        let memory = std::mem::take(&mut self.memory);
        self.write(&memory)
    }

    /// The finished pictures; a file gets its digests, description and name.
    pub fn finish(mut self, meta: &Meta, digests: &[PictureDigest]) -> Result<Pixels> {
        if self.partial.is_none() && self.limit == 0 {
            self.spill()?;
        }
        if self.partial.is_some() {
            let json = serde_json::to_vec(meta).context(|| "cannot describe the cache")?;
            let lengths = [json.len() as u64, digests.len() as u64].map(u64::to_le_bytes);
            for part in [digests.as_flattened(), &json, lengths.as_flattened(), &Sha256::digest(&json), MAGIC] {
                self.write(part)?;
            }
        }
        match self.partial {
            None => Ok(Pixels::Memory(self.memory)),
            Some(partial) => partial.finish(&self.path).map(Pixels::Mapped),
        }
    }
}

fn map(file: File, path: &Path) -> Result<Mapped> {
    // SAFETY: the map is read-only and our own files are never changed in place, only replaced by rename, which leaves
    // the mapped file alone. Another program that truncates it while we run ends this one with SIGBUS, as for any map.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) };
    Ok(Mapped { map: map.context(|| format!("cannot map {}", path.display()))?, _file: file })
}

/// Opens a cache file and checks it. `None` when it is not there, not ours, for another key, damaged, or about to be removed.
pub(crate) fn open(path: &Path, key: &str) -> Option<(Meta, Pixels)> {
    let file = File::open(path).ok()?;
    if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        return None;
    }
    // When it was last used; a folder that belongs to someone else keeps its times.
    let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
    let mapped = map(file, path).ok()?;
    let meta = check(&mapped, key)?;
    // The check has read all of it: let go of the pages, so that only those in use count as this process's memory.
    // SAFETY: a read-only map of a file reads the file again.
    #[allow(unsafe_code)]
    let _ = unsafe { mapped.map.unchecked_advise(UncheckedAdvice::DontNeed) };
    Some((meta, Pixels::Mapped(mapped)))
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
        let path = place(folder, &"a".repeat(64));
        let pictures: Vec<[u8; 4]> = (0..5).map(|i| [i, i + 1, i + 2, i + 3]).collect();
        let digests: Vec<PictureDigest> = pictures.iter().map(|p| digest(p)).collect();
        let mut meta = Meta {
            key: "a".repeat(64),
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
        let mut growing = Growing::new(path.clone(), 8, Room::with_cap(folder, 1 << 20));
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
        let mut growing =
            Growing::new(place(folder.path(), &"a".repeat(64)), 0, Room::with_cap(folder.path(), 1 << 20));
        growing.append(&[1, 2, 3, 4]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(growing);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_or_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let growing = |cap| Growing::new(place(folder.path(), &"a".repeat(64)), 0, Room::with_cap(folder.path(), cap));
        assert!(growing(1000).expect(10, 1000).expect_err("10 kB").to_string().contains("no room"));
        let mut unannounced = growing(1000);
        let appended: Vec<bool> = (0..12).map(|_| unannounced.append(&[0; 100]).is_ok()).collect();
        assert_eq!(appended.iter().filter(|&&a| a).count(), 10, "1000 bytes of pictures");
        drop(unannounced);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_mapped_cache_is_not_removed_to_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let (path, meta) = cached(folder.path());
        let opened = open(&path, &meta.key).unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        let room = Room::with_cap(folder.path(), length + 10);
        let next = place(folder.path(), &"b".repeat(64));
        assert!(room.make(&next, 100, 0).is_err() && path.exists());
        drop(opened);
        room.make(&next, 100, 0).unwrap();
        assert!(!path.exists());
    }
}
