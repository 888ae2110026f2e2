//! A folder of images, nested as deep as it likes; see [`super::layout`] for what the folder names mean.

use super::choice::Choice;
use super::layout::{self, Part};
use super::origin::{Chunk, Origin, Payload, Raw};
use crate::{Error, Result, error::Context};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Files handed on at a time.
const CHUNK: usize = 256;
/// Deeper nesting is taken for a mistake (a link that leads upwards).
const MAX_DEPTH: usize = 32;

pub(crate) struct Folder {
    root: PathBuf,
    /// (path relative to the root with `/`, split, label), sorted by path.
    items: Vec<(String, Part, Option<u16>)>,
    classes: Vec<String>,
}

impl Folder {
    /// Lists the pictures below `root`; `None` when there are none. With `limit`, that many of each split.
    pub fn detect(root: &Path, limit: Option<usize>) -> Result<Option<Folder>> {
        let mut paths = Vec::new();
        walk(root, "", 0, &mut HashSet::new(), &mut paths)?;
        if paths.is_empty() {
            return Ok(None);
        }
        paths.sort_unstable(); // bytewise: the listing order of the file system does not matter
        let names: Vec<&str> = paths.iter().map(String::as_str).collect();
        let places = layout::places(&names, &vec![Part::Train; names.len()]);
        let (classes, labels) =
            layout::label(&places).map_err(|why| Error::new(format!("{}: {why}", root.display())))?;
        let mut items: Vec<_> =
            paths.into_iter().zip(labels).map(|(path, (part, label))| (path, part, label)).collect();
        let parts: Vec<Part> = items.iter().map(|(_, part, _)| *part).collect();
        let choice = Choice::of(&parts, limit);
        let mut position = 0..;
        items.retain(|_| position.next().is_some_and(|i| choice.has(i)));
        Ok(Some(Folder { root: root.to_owned(), items, classes }))
    }
}

fn walk(folder: &Path, prefix: &str, depth: usize, seen: &mut HashSet<PathBuf>, paths: &mut Vec<String>) -> Result<()> {
    // Links are followed, but no folder is read twice.
    let real = folder.canonicalize().context(|| format!("cannot read {}", folder.display()))?;
    if depth > MAX_DEPTH || !seen.insert(real) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.context(|| format!("cannot read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        let path = entry.path();
        let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        // A dangling link is a damaged picture, not an error of the listing.
        if path.is_dir() {
            walk(&path, &relative, depth + 1, seen, paths)?;
        } else if layout::is_picture(&relative) {
            paths.push(relative);
        }
    }
    Ok(())
}

impl Origin for Folder {
    fn kind(&self) -> String {
        "folder of images".into()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn files(&self) -> Vec<PathBuf> {
        self.items.iter().map(|(path, ..)| self.root.join(path)).collect()
    }

    fn native(&self) -> Option<(usize, usize)> {
        None
    }

    fn count(&self) -> Option<usize> {
        Some(self.items.len())
    }

    fn each(&self, visit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        for chunk in self.items.chunks(CHUNK) {
            let raws = chunk.iter().map(|(path, part, label)| Raw {
                name: path.clone(),
                part: *part,
                label: *label,
                payload: Payload::File(self.root.join(path)),
            });
            visit(raws.collect())?;
        }
        Ok(())
    }
}
