//! From a source's name to a [`Dataset`].

use super::Dataset;
use super::cache::{self, Growing, Meta};
use super::import::{self, Shaping};
use super::layout::Part;
use super::origin::Origin;
use super::room::Room;
use super::source;
use super::split::{Pictures, Pixels, Split};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Decoded sets up to this size stay in memory: CIFAR-10 takes 0.18 GB, ImageNet at 64 x 64 would take 15.
const MEMORY_LIMIT: usize = 2 << 30;
/// Environment variable with another size, in GB.
const MEMORY_VARIABLE: &str = "LDAE_MEMORY_GB";

/// How a data set is read.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Height and width to bring the pictures to; the most common shorter side when `None` (pictures below it are
    /// enlarged then).
    pub side: Option<usize>,
    /// 1 (grey) or 3 (RGB); when `None`, 3 if any picture is in colour.
    pub channels: Option<usize>,
    /// Damaged files that are tolerated.
    pub max_bad: usize,
    /// At most this many pictures of each split, chosen by a fixed shuffle over all of the source; no other is decoded or
    /// cached. What has to be read for the choice: names (a folder), the archives once (tar), headers (IDX), everything but
    /// without decoding (CIFAR, whose files may be compressed).
    pub limit: Option<usize>,
    /// Keep the decoded pictures in this folder and map them from there. When `None`, only sets above `memory_limit`
    /// are kept, in `$XDG_CACHE_HOME/ldae` or `~/.cache/ldae`. Caches there take at most `LDAE_CACHE_GB` (20 GB, or half of
    /// what is free if that is less): the least recently used ones make room for a new one.
    pub cache: Option<PathBuf>,
    /// Decoded bytes that may stay in memory. When `None`, `LDAE_MEMORY_GB` says it, or else they are 2 GiB.
    pub memory_limit: Option<usize>,
    /// Enlarge pictures smaller than `side` instead of refusing them.
    pub upscale: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            side: None,
            channels: None,
            max_bad: 10,
            limit: None,
            cache: None,
            memory_limit: None,
            upscale: false,
        }
    }
}

/// Reads a data set: `drawn`, `drawn:train=4000,test=1000,side=32,seed=1`, a folder of images, a tar archive or a folder
/// of them, a CIFAR folder, an IDX folder.
///
/// # Errors
/// As listed in the module header; each names the place and what to do next.
pub fn load(source: &str, options: &LoadOptions) -> Result<Dataset> {
    load_with_progress(source, options, &mut |_, _| {})
}

/// [`load`], calling `progress(pictures done, pictures in all where known)` now and then.
///
/// # Errors
/// As [`load`].
pub fn load_with_progress(
    source: &str,
    options: &LoadOptions,
    progress: &mut dyn FnMut(usize, Option<usize>),
) -> Result<Dataset> {
    if options.limit == Some(0) {
        return Err(Error::new("the data set is empty").hint("a limit of 0 leaves nothing: use at least 1"));
    }
    let (name, origin) = source::open(source, options.limit)?;
    let shaping = shaping(source, origin.as_ref(), options)?;
    let key = key(source, origin.as_ref(), shaping, options.limit);
    let folder = options.cache.clone().unwrap_or_else(cache::default_folder);
    let path = cache::place(&folder, &key);
    let (meta, pixels) = match cache::open(&path, &key) {
        Some((meta, pixels)) if meta.bad.len() <= options.max_bad => (meta, pixels),
        // No cache, a damaged one, or one made with a larger --max-bad: read the source (again).
        _ => {
            let limit = match (&options.cache, options.memory_limit) {
                (Some(_), _) => 0,
                (None, Some(limit)) => limit,
                (None, None) => super::room::size_of(MEMORY_VARIABLE)?.map_or(MEMORY_LIMIT, |bytes| bytes as usize),
            };
            let mut store = Growing::new(path, limit, Room::new(&folder)?);
            if let Some(count) = origin.count() {
                store.expect(count, shaping.side * shaping.side * shaping.channels)?;
            }
            import::import(origin.as_ref(), shaping, options.max_bad, key, store, progress)?
        }
    };
    assemble(name, meta, pixels, options.limit)
}

/// Decides side and channels, and refuses at once what cannot work for a format of fixed size.
fn shaping(source: &str, origin: &dyn Origin, options: &LoadOptions) -> Result<Shaping> {
    if let Some(channels) = options.channels.filter(|c| !matches!(c, 1 | 3)) {
        return Err(Error::new(format!("{channels} channels are not supported")).hint("use 1 (grey) or 3 (RGB)"));
    }
    if let Some(side) = options.side.filter(|s| !(1..=4096).contains(s)) {
        return Err(Error::new(format!("a side of {side} pixels is not supported")).hint("use 1 to 4096"));
    }
    let native = origin.native();
    if let (Some((native, _)), Some(side)) = (native, options.side)
        && native < side
        && !options.upscale
    {
        let hint = format!("pass --image {native} and a --patch that divides it, or --upscale to enlarge the pictures");
        let what = format!("the pictures of {source} are {native}x{native}, smaller than the model's {side}x{side}");
        return Err(Error::new(what).hint(hint));
    }
    let (side, channels) = match (options.side, options.channels, native) {
        (Some(side), Some(channels), _) => (side, channels),
        (side, channels, Some(native)) => (side.unwrap_or(native.0), channels.unwrap_or(native.1)),
        (side, channels, None) => {
            let sizes = import::survey(origin)?;
            let common = sizes.common.0.min(sizes.common.1).clamp(1, 4096) as usize;
            (side.unwrap_or(common), channels.unwrap_or(if sizes.colour > 0 { 3 } else { 1 }))
        }
    };
    Ok(Shaping { side, channels, upscale: options.upscale || options.side.is_none() })
}

/// sha256 (hex) over all that shapes the decoded pictures, with the source's files by name, size and time.
fn key(source: &str, origin: &dyn Origin, shaping: Shaping, limit: Option<usize>) -> String {
    let mut hash = Sha256::new();
    let root = std::fs::canonicalize(source).unwrap_or_else(|_| source.into());
    hash.update(format!("ldae cache 2\n{}\n{shaping:?}\n{limit:?}\n{}\n", root.display(), origin.kind()));
    for file in origin.files() {
        let (size, time) = std::fs::metadata(&file).map_or((0, 0), |m| {
            let time = m.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
            (m.len(), time.map_or(0, |t| t.as_nanos()))
        });
        // However the source was named: its root is hashed above.
        let name = file.strip_prefix(source).unwrap_or(&file);
        hash.update(format!("{}\n{size} {time}\n", name.display()));
    }
    crate::digest::hex(&hash.finalize())
}

fn assemble(name: String, meta: Meta, pixels: Pixels, limit: Option<usize>) -> Result<Dataset> {
    let Meta { kind, classes, side, channels, names, parts, labels, bad, sizes, fingerprint, .. } = meta;
    let pictures = Arc::new(Pictures { pixels, side, channels, names });
    let part = |part: Part| {
        let index: Vec<u32> = (0..parts.len() as u32).filter(|&i| parts[i as usize] == part as u8).collect();
        let of_part: Option<Vec<u16>> =
            index.iter().map(|&i| Some(labels[i as usize]).filter(|&l| l != u16::MAX)).collect();
        let split = Split::new(Arc::clone(&pictures), index, of_part.filter(|l| !l.is_empty()));
        let split = limit.map_or(split.clone(), |n| split.limit(n));
        Some(split).filter(|s| !s.is_empty())
    };
    // A choice of pictures is another data set than the whole.
    let fingerprint = match limit {
        Some(n) => crate::digest::hex(&Sha256::digest(format!("{fingerprint} limit {n}"))),
        None => fingerprint,
    };
    let [train, mut val, mut test, mut unlabelled] = Part::ALL.map(part);
    // Something has to be trained on: failing training pictures, those without labels, then whatever there is.
    let Some(mut train) = train.or_else(|| unlabelled.take()).or_else(|| val.take()).or_else(|| test.take()) else {
        return Err(Error::new("the data set is empty").hint("give a source with at least one picture"));
    };
    let test_is_cut = test.is_none() && val.is_none() && train.len() > 1;
    if test_is_cut {
        let (rest, cut) = train.cut(train.len().div_ceil(10));
        (train, test) = (rest, Some(cut));
    }
    Ok(Dataset { name, kind, classes, train, test, val, unlabelled, test_is_cut, bad, sizes, fingerprint })
}
