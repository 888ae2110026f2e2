//! Files that are either the old one or the whole new one: written beside their place, synced, renamed.

use crate::error::{Context, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes `bytes` to `path` atomically. On any error the old file (if any) is untouched and the partial one is removed.
///
/// # Errors
/// The folder is missing or unwritable, or the disk is full.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes).context(|| format!("cannot write {}", path.display())))
}

/// [`write()`] for contents that are made piece by piece: `fill` writes them.
///
/// # Errors
/// As [`write()`], or whatever `fill` returns.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".partial-{}", std::process::id()));
    let partial = path.with_file_name(name);
    let cannot = || format!("cannot write {}", path.display());
    let written = File::create(&partial).context(cannot).and_then(|file| {
        let mut file = BufWriter::with_capacity(1 << 16, file);
        fill(&mut file)?;
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error).context(cannot)?;
        file.sync_all().and_then(|()| fs::rename(&partial, path)).context(cannot)
    });
    if written.is_err() {
        // The error below is the one to report; a partial file that cannot be removed either is harmless.
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn a_failed_writer_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"new").context(|| "cannot write")?;
            Err(Error::new("stop"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "stop");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_with(&path, |file| file.write_all(b"newer").context(|| "cannot write")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error_with_its_path() {
        let error = write(Path::new("/nonexistent/folder/x"), b"").unwrap_err();
        assert!(error.to_string().starts_with("cannot write /nonexistent/folder/x"), "{error}");
    }
}
