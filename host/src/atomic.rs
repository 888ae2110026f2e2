//! Files that are either the old one or the whole new one: written beside their place, synced, renamed.

use crate::error::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to `path` atomically. On any error the old file (if any) is untouched and the partial one is removed.
///
/// # Errors
/// The folder is missing or unwritable, or the disk is full.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".partial-{}", std::process::id()));
    let partial = path.with_file_name(name);
    let result = File::create(&partial)
        .and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    if result.is_err() {
        // The error below is the one to report; a partial file that cannot be removed either is harmless.
        let _ = fs::remove_file(&partial);
    }
    result.context(|| format!("cannot write {}", path.display()))
}
