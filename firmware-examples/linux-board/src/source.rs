//! Where pictures come from, one after the other: files, standard input, a camera.

use crate::camera::Camera;
use crate::error::{Error, Result};
use crate::options::Input;
use crate::picture::{self, Pixels};
use std::io::{ErrorKind, Read, StdinLock};
use std::path::{Path, PathBuf};

/// Deeper nesting is taken for a mistake (a link that leads upwards).
const MAX_DEPTH: usize = 32;

/// A picture with its name, or why it cannot be read.
pub type Item = (String, std::result::Result<Pixels, String>);

/// A source of pictures.
pub enum Source {
    /// Files: names and paths, in the order of the names' bytes within each folder given.
    Files(std::vec::IntoIter<(String, PathBuf)>),
    /// Frames of a fixed size: width, height, channels, and how many were read.
    Frames(StdinLock<'static>, [usize; 3], usize),
    /// A camera, and how many pictures it gave.
    Camera(Camera, usize),
}

impl Source {
    /// Opens what the command line names.
    pub fn open(input: &Input) -> Result<Self> {
        match input {
            Input::Pictures(paths) => Ok(Source::Files(files(paths)?.into_iter())),
            Input::Frames(size) => Ok(Source::Frames(std::io::stdin().lock(), *size, 0)),
            Input::Camera(device, [width, height]) => Ok(Source::Camera(Camera::open(device, *width, *height)?, 0)),
        }
    }

    /// The next picture; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Item>> {
        match self {
            Source::Files(files) => Ok(files.next().map(|(name, path)| (name, read(&path)))),
            Source::Frames(stdin, [width, height, channels], count) => {
                let mut bytes = vec![0; *width * *height * *channels];
                if !whole(stdin, &mut bytes)? {
                    return Ok(None);
                }
                *count += 1;
                let pixels = Pixels { width: *width, height: *height, channels: *channels, bytes };
                Ok(Some((format!("frame {}", *count - 1), Ok(pixels))))
            }
            Source::Camera(camera, count) => {
                *count += 1;
                Ok(Some((format!("frame {}", *count - 1), Ok(camera.picture()?))))
            }
        }
    }
}

fn read(path: &Path) -> std::result::Result<Pixels, String> {
    picture::decode(&std::fs::read(path).map_err(|e| e.to_string())?)
}

/// Fills `frame`; false at the end of the stream, an error inside a frame.
fn whole(stream: &mut impl Read, frame: &mut [u8]) -> Result<bool> {
    let mut have = 0;
    while have < frame.len() {
        match stream.read(&mut frame[have..]) {
            Ok(0) if have == 0 => return Ok(false),
            Ok(0) => {
                let what = format!("standard input ends {have} bytes into a frame of {}", frame.len());
                return Err(Error::new(what).hint("check the size in --frames WxHxC"));
            }
            Ok(bytes) => have += bytes,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::new(format!("cannot read standard input: {e}"))),
        }
    }
    Ok(true)
}

/// Folders expanded to the pictures below them, named by their path in the folder; files by their path as given.
fn files(paths: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut found = Vec::new();
            walk(path, "", 0, &mut found)?;
            found.sort_unstable(); // bytewise: the listing order of the file system does not matter
            all.extend(found);
        } else {
            all.push((path.display().to_string(), path.clone()));
        }
    }
    if all.is_empty() {
        return Err(Error::new("no pictures there").hint("pictures end in .jpg, .jpeg or .png"));
    }
    Ok(all)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    let cannot = |e: std::io::Error| Error::new(format!("cannot read {}: {e}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let path = entry.path();
        if path.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, &relative, depth + 1, found)?;
            }
        } else if is_picture(&relative) {
            found.push((relative, path));
        }
    }
    Ok(())
}

fn is_picture(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    matches!(ending.as_deref(), Some("jpg" | "jpeg" | "png"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_listed_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a/z.jpg", "a/.hidden.png", "a/note.txt", "B.JPEG"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let names: Vec<String> = files(&[folder.path().into()]).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["B.JPEG", "a/z.jpg", "b.png"]);
        assert!(files(&[folder.path().join("a/none")]).is_ok(), "a missing file is a picture that cannot be read");
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(files(&[folder.path().join("empty")]).is_err());
    }

    #[test]
    fn a_stream_ends_between_frames_or_is_an_error() {
        let mut frame = [0; 3];
        let mut stream = &[1, 2, 3, 4, 5, 6][..];
        assert!(whole(&mut stream, &mut frame).unwrap() && whole(&mut stream, &mut frame).unwrap());
        assert_eq!(frame, [4, 5, 6]);
        assert!(!whole(&mut stream, &mut frame).unwrap());
        assert!(whole(&mut &[1, 2][..], &mut frame).is_err());
    }
}
