//! The size of the cache folder: before a cache file is written, the least recently used ones are removed until it fits
//! under the cap and on the disk.
//!
//! Sizes are in bytes. The cap is `LDAE_CACHE_GB` (1 GB = 10^9 bytes); without it 20 GB, but at most half of what the disk
//! has free or holds in caches. Use is told by the access time, which opening a cache sets. Every process locks the cache files
//! that it has mapped and the one that it writes: a locked file is never removed, one left behind by a process that was killed
//! is. Refused before anything is written: a file larger than the cap, and one that would leave less than 1 GiB on the disk.

use crate::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Environment variable with the cap in GB.
const VARIABLE: &str = "LDAE_CACHE_GB";
/// Cap without it: two data sets of the size of ImageNet at 64 x 64 pixels (15.7 GB) do not fit, one does.
const CAP: u64 = 20_000_000_000;
/// What a cache leaves free on the disk, for the runs that are trained from it.
const RESERVE: u64 = 1 << 30;
/// Ending of a finished cache file.
pub(super) const ENDING: &str = "ldae-pixels";
/// How the ending of an unfinished one begins.
pub(super) const PARTIAL: &str = "partial-";

/// How much the caches in one folder may take.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    folder: PathBuf,
    /// As the user gave it.
    cap: Option<u64>,
    reserve: u64,
}

/// A file of the cache folder.
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Room {
    /// The room in `folder`, with the cap of the environment.
    ///
    /// # Errors
    /// The variable is set to something that is no size.
    pub fn new(folder: &Path) -> Result<Self> {
        let cap = size_of(VARIABLE)?;
        Ok(Room { folder: folder.to_owned(), cap, reserve: RESERVE })
    }

    #[cfg(test)]
    pub fn with_cap(folder: &Path, cap: u64) -> Self {
        Room { folder: folder.to_owned(), cap: Some(cap), reserve: 0 }
    }

    /// Makes room for the file at `own`, which will be `total` bytes long and already has `written`.
    ///
    /// # Errors
    /// It cannot fit. Nothing is removed when no removal would help.
    pub fn make(&self, own: &Path, total: u64, written: u64) -> Result<()> {
        self.make_with(own, total, written, &|| free(&self.folder))
    }

    fn make_with(&self, own: &Path, total: u64, written: u64, free: &dyn Fn() -> Option<u64>) -> Result<()> {
        let mut others: Vec<Entry> = self.entries().into_iter().filter(|e| e.path != own).collect();
        others.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        let mut held: u64 = others.iter().map(|e| e.bytes).sum();
        // Where the system does not say, the disk counts as endless: writing then fails with its own error.
        let available = free().unwrap_or(u64::MAX);
        let cap = self.cap.unwrap_or_else(|| CAP.min(available.saturating_add(held).saturating_add(written) / 2));
        let missing = (total - written.min(total)).saturating_add(self.reserve);
        if total > cap {
            return Err(self.refusal(total, &format!("the caches in {} may take {}", self.folder.display(), gb(cap))));
        }
        if missing > available.saturating_add(held) {
            return Err(self.too_full(total, available));
        }
        let mut available = available;
        for entry in others {
            if held + total <= cap && missing <= available {
                break;
            }
            if remove(&entry.path) {
                held -= entry.bytes;
                available = free().unwrap_or(u64::MAX);
            }
        }
        if missing > available {
            return Err(self.too_full(total, available));
        }
        if held + total > cap {
            let why = format!("{} of the {} for caches are in use by running programs", gb(held), gb(cap));
            return Err(self.refusal(total, &why));
        }
        Ok(())
    }

    fn refusal(&self, total: u64, why: &str) -> Error {
        let needed = total.div_ceil(1_000_000_000);
        Error::new(format!("no room for {} of decoded pictures: {why}", gb(total))).hint(format!(
            "allow more with {VARIABLE}={needed}, or read fewer pictures (--limit N) or smaller ones (--image S)"
        ))
    }

    fn too_full(&self, total: u64, available: u64) -> Error {
        let place = self.folder.display();
        Error::new(format!("no room for {} of decoded pictures: the disk of {place} has {} free", gb(total), gb(available)))
            .hint("free some space, point XDG_CACHE_HOME to a larger disk, or read fewer pictures (--limit N) or smaller ones (--image S)")
    }

    /// The cache files here, finished or not. A folder that is not there holds none.
    fn entries(&self) -> Vec<Entry> {
        let Ok(listing) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        listing
            .flatten()
            .filter_map(|entry| {
                let path = entry.path();
                let facts = entry.metadata().ok().filter(|m| m.is_file() && is_cache(&path))?;
                let used = facts.accessed().or_else(|_| facts.modified()).ok()?;
                Some(Entry { path, bytes: facts.len(), used })
            })
            .collect()
    }
}

/// Our own names alone: 32 hexadecimal digits and one of our endings.
fn is_cache(path: &Path) -> bool {
    let part = |part: Option<&std::ffi::OsStr>| part.and_then(|p| p.to_str()).unwrap_or_default().to_owned();
    let (stem, ending) = (part(path.file_stem()), part(path.extension()));
    stem.len() == 32 && stem.bytes().all(|b| b.is_ascii_hexdigit()) && (ending == ENDING || ending.starts_with(PARTIAL))
}

/// Removes a file that no process has locked.
fn remove(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok() && std::fs::remove_file(path).is_ok())
}

/// Bytes that an ordinary user may still write where `folder` is or will be.
fn free(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|f| f.is_dir()).unwrap_or(Path::new("."));
    let facts = rustix::fs::statvfs(there).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Bytes that an environment variable gives in GB; `None` when it is not set.
///
/// # Errors
/// It is set to something that is no size.
pub(super) fn size_of(variable: &str) -> Result<Option<u64>> {
    std::env::var(variable).ok().map(|text| parse(variable, &text)).transpose()
}

fn parse(variable: &str, text: &str) -> Result<u64> {
    match text.trim().parse::<f64>() {
        Ok(gb) if gb.is_finite() && gb >= 0.0 => Ok((gb * 1e9) as u64),
        _ => Err(Error::new(format!("{variable} is `{text}`, which is no size"))
            .hint(format!("set it to gigabytes, for example {variable}=50, or unset it"))),
    }
}

fn gb(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::FileTimes;
    use std::time::Duration;

    /// Cache files `0`, `1`, ... of these sizes, the first used longest ago.
    fn folder(sizes: &[usize]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (i, &size) in sizes.iter().enumerate() {
            let path = name(folder.path(), i);
            std::fs::write(&path, vec![0; size]).unwrap();
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + i as u64);
            File::open(&path).unwrap().set_times(FileTimes::new().set_accessed(used)).unwrap();
        }
        folder
    }

    fn name(folder: &Path, i: usize) -> PathBuf {
        folder.join(format!("{i:032x}.{ENDING}"))
    }

    fn left(folder: &Path, n: usize) -> Vec<usize> {
        (0..n).filter(|&i| name(folder, i).exists()).collect()
    }

    #[test]
    fn the_least_recently_used_go_first_and_no_more_than_needed() {
        let folder = folder(&[100, 200, 300]);
        let own = name(folder.path(), 9);
        Room::with_cap(folder.path(), 1000).make(&own, 400, 0).unwrap();
        assert_eq!(left(folder.path(), 3), [0, 1, 2], "600 + 400 fit");
        Room::with_cap(folder.path(), 1000).make(&own, 550, 0).unwrap();
        assert_eq!(left(folder.path(), 3), [2], "without 100 it is still 1050");
        let (what, hint) = refused(Room::with_cap(folder.path(), 1000).make(&own, 1001, 0));
        assert!(what.contains("no room") && hint.contains("LDAE_CACHE_GB=1,"), "{what}: {hint}");
        assert_eq!(left(folder.path(), 3), [2], "nothing is removed in vain");
    }

    fn refused(result: Result<()>) -> (String, String) {
        let error = result.expect_err("must be refused");
        (error.to_string(), error.advice().unwrap().to_owned())
    }

    #[test]
    fn files_in_use_and_foreign_files_stay() {
        let folder = folder(&[100, 200]);
        let foreign = folder.path().join(format!("photo.{ENDING}"));
        std::fs::write(&foreign, [0; 5000]).unwrap();
        let stale = folder.path().join(format!("{:032x}.{PARTIAL}77", 5));
        std::fs::write(&stale, [0; 400]).unwrap();
        let in_use = File::open(name(folder.path(), 0)).unwrap();
        in_use.lock_shared().unwrap();
        let own = name(folder.path(), 9);
        let room = Room::with_cap(folder.path(), 500);
        assert!(refused(room.make(&own, 450, 0)).0.contains("in use"));
        assert!(!stale.exists(), "what a killed process left behind");
        assert_eq!((left(folder.path(), 2), foreign.exists()), (vec![0], true));
        room.make(&own, 400, 0).unwrap();
        drop(in_use);
        room.make(&own, 450, 0).unwrap();
        assert_eq!(left(folder.path(), 2), [0usize; 0]);
    }

    #[test]
    fn the_disk_is_never_filled() {
        let folder = folder(&[100, 200, 300]);
        let own = name(folder.path(), 9);
        let room = Room { folder: folder.path().to_owned(), cap: None, reserve: 50 };
        // A disk of 1000 bytes with 100 that are not ours.
        let free = || Some(900 - Room::with_cap(folder.path(), 0).entries().iter().map(|e| e.bytes).sum::<u64>());
        // Half of the 900 that are free or ours may be caches.
        assert!(refused(room.make_with(&own, 451, 0, &free)).0.contains("may take"));
        let room = Room { cap: Some(10_000), ..room };
        let (what, hint) = refused(room.make_with(&own, 851, 0, &free));
        assert!(what.contains("the disk of") && hint.contains("free some space"), "{what}: {hint}");
        assert_eq!(left(folder.path(), 3), [0, 1, 2], "nothing is removed in vain");
        room.make_with(&own, 851, 1, &free).unwrap();
        assert_eq!(left(folder.path(), 3), [0usize; 0]);
    }

    #[test]
    fn caps_are_gigabytes() {
        assert_eq!(
            (parse(VARIABLE, "20").unwrap(), parse(VARIABLE, " 0.5 ").unwrap(), parse(VARIABLE, "0").unwrap()),
            (CAP, 500_000_000, 0)
        );
        for bad in ["", "-1", "20GB", "inf", "NaN"] {
            assert!(parse(VARIABLE, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_system_says_what_is_free() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free(&folder.path().join("not/there/yet")).unwrap() > 0);
    }
}
