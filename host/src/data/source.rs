//! Recognises what a source is by what is there.

use super::cifar::Cifar;
use super::drawn::Drawn;
use super::folder::Folder;
use super::idx::Idx;
use super::layout;
use super::origin::Origin;
use super::tar::Tar;
use crate::{Error, Result, error::Context};
use std::path::{Path, PathBuf};

const LOOKED_FOR: &str = "looked for: CIFAR binary (data_batch_*.bin, test_batch.bin, train.bin, test.bin), IDX \
    (*-images-idx3-ubyte), tar archives (*.tar), each also .gz or .xz, and pictures in any subfolder (jpg, png, bmp, gif, \
    webp, pnm, tiff)";

/// The recognised source and its name. With `limit`, it hands on that many pictures of a split.
pub(crate) fn open(source: &str, limit: Option<usize>) -> Result<(String, Box<dyn Origin>)> {
    if source == "drawn" || source.starts_with("drawn:") {
        return Ok(("drawn".into(), Box::new(Drawn::parse(source)?.limited(limit))));
    }
    let path = Path::new(source);
    let kind = std::fs::metadata(path).map_err(|cause| {
        Error::new(format!("cannot read the data set {source}")).caused_by(cause).hint(
            "give a folder of images, a tar file, a CIFAR or IDX folder, or `drawn` for pictures the program draws itself",
        )
    })?;
    let name = path.canonicalize().ok().map(|p| layout::file_name(&p)).unwrap_or_else(|| source.to_owned());
    let origin = if kind.is_dir() { in_folder(path, limit)? } else { one_file(path, limit)? };
    Ok((name, origin))
}

fn one_file(path: &Path, limit: Option<usize>) -> Result<Box<dyn Origin>> {
    if !layout::is_tar(&layout::file_name(path)) {
        return Err(Error::new(format!("{} is not a tar archive", path.display()))
            .hint("give the folder that holds the CIFAR, IDX or picture files, or a .tar, .tar.gz or .tar.xz file"));
    }
    let tar = Tar::list(vec![path.to_owned()], limit)?;
    tar.map(|t| Box::new(t) as Box<dyn Origin>).ok_or_else(|| {
        Error::new(format!("no pictures in {}", path.display()))
            .hint("a tar archive must hold picture files (jpg, png, bmp, gif, webp, pnm, tiff)")
    })
}

fn in_folder(path: &Path, limit: Option<usize>) -> Result<Box<dyn Origin>> {
    let files = listed(path)?;
    if let Some(origin) = arrays(&files, limit)? {
        return Ok(origin);
    }
    // The archives of these sets unpack into one folder (cifar-10-batches-bin).
    if let [only] = &folders(path)?[..]
        && let Some(origin) = arrays(&listed(only)?, limit)?
    {
        return Ok(origin);
    }
    let shards: Vec<PathBuf> = files.iter().filter(|f| layout::is_tar(&layout::file_name(f))).cloned().collect();
    if !shards.is_empty()
        && let Some(tar) = Tar::list(shards, limit)?
    {
        return Ok(Box::new(tar));
    }
    if let Some(folder) = Folder::detect(path, limit)? {
        return Ok(Box::new(folder));
    }
    let mut error = Error::new(format!("no pictures in {}", path.display())).hint(LOOKED_FOR);
    if files.iter().any(|f| matches!(&layout::file_name(f)[..], "data_batch_1" | "test_batch" | "batches.meta")) {
        error = error.hint("these look like CIFAR's Python files: fetch the \"binary version\" instead");
    }
    Err(error)
}

fn arrays(files: &[PathBuf], limit: Option<usize>) -> Result<Option<Box<dyn Origin>>> {
    if let Some(cifar) = Cifar::detect(files, limit)? {
        return Ok(Some(Box::new(cifar)));
    }
    Ok(Idx::detect(files, limit)?.map(|idx| Box::new(idx) as Box<dyn Origin>))
}

/// The files directly in a folder, sorted bytewise.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    entries(folder, |path| path.is_file())
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    entries(folder, |path| path.is_dir())
}

fn entries(folder: &Path, keep: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).context(failed)? {
        let path = entry.context(failed)?.path();
        if !layout::file_name(&path).starts_with('.') && keep(&path) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
