//! The command line.

use crate::engine::Kind;
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
Embeds pictures with an encoder that `ldae export` wrote.

usage: ldae-board ENCODER PICTURES... [options]
       ldae-board ENCODER --frames WxHxC [options] < FRAMES
       ldae-board ENCODER --camera DEVICE [options]

  ENCODER               encoder.ldae (integer engine) or encoder.onnx (tract)
  PICTURES              folders (nested) and picture files: JPEG, PNG
  --frames WxHxC        raw pictures u8 [H, W, C] one after the other on standard input; C is 1 or 3
  --camera DEVICE       a V4L2 camera that gives YUYV, such as /dev/video0
  --size WxH            picture size asked of the camera (default 640x480)
  --engine ENGINE       integer or tract (default: what the file is for)
  --limit N             stop after N pictures
  --store FILE.npy      write the embeddings, and their names to FILE.names.txt
  --set FILE.npy        find neighbours in a stored set, of this program or of `ldae embed`
  --neighbours K        how many (default 5)
  --json                one JSON object a picture
  --stats               time of loading and of one picture, and peak memory, to standard error

Exit status: 0 done, 1 some pictures could not be read (they are named), 2 could not run.";

/// Where pictures come from.
#[derive(Debug, PartialEq)]
pub enum Input {
    /// Folders and files.
    Pictures(Vec<PathBuf>),
    /// Standard input: width, height, channels.
    Frames([usize; 3]),
    /// A camera: device, width, height.
    Camera(PathBuf, [usize; 2]),
}

/// The command line, checked.
#[derive(Debug, PartialEq)]
pub struct Options {
    pub encoder: PathBuf,
    pub input: Input,
    pub engine: Option<Kind>,
    pub limit: usize,
    pub store: Option<PathBuf>,
    pub set: Option<PathBuf>,
    pub neighbours: usize,
    pub json: bool,
    pub stats: bool,
}

/// Reads the arguments behind the program's name; `None` when help was asked for.
pub fn parse(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut paths, mut frames, mut camera, mut size) = (Vec::new(), None, None, None);
    let (mut engine, mut limit, mut store, mut set, mut neighbours) = (None, usize::MAX, None, None, None);
    let (mut json, mut stats) = (false, false);
    let usage = |e: lexopt::Error| Error::new(e.to_string()).hint("ldae-board --help");
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Value(path) => paths.push(PathBuf::from(path)),
            Long("json") => json = true,
            Long("stats") => stats = true,
            Long("frames") => frames = Some(sides(&text(&mut parser)?, "WxHxC, such as 640x480x3")?),
            Long("camera") => camera = Some(PathBuf::from(parser.value().map_err(usage)?)),
            Long("size") => size = Some(sides(&text(&mut parser)?, "WxH, such as 640x480")?),
            Long("engine") => engine = Some(Kind::from_name(&text(&mut parser)?)?),
            Long("limit") => limit = count(&text(&mut parser)?, "--limit")?,
            Long("neighbours") => neighbours = Some(count(&text(&mut parser)?, "--neighbours")?),
            Long("store") => store = Some(PathBuf::from(parser.value().map_err(usage)?)),
            Long("set") => set = Some(PathBuf::from(parser.value().map_err(usage)?)),
            other => return Err(usage(other.unexpected())),
        }
    }
    if paths.is_empty() {
        return Err(Error::new("no encoder").hint("ldae-board encoder.ldae PICTURES, or --help"));
    }
    let encoder = paths.remove(0);
    let input = match (paths.is_empty(), frames, camera) {
        (false, None, None) => Input::Pictures(paths),
        (true, Some(frames), None) => Input::Frames(frames),
        (true, None, Some(device)) => Input::Camera(device, size.unwrap_or([640, 480])),
        (true, None, None) => return Err(Error::new("no pictures").hint("give a folder, --frames or --camera")),
        _ => return Err(Error::new("pictures from two places").hint("give one of PICTURES, --frames, --camera")),
    };
    if let Input::Frames([_, _, channels]) = input
        && !matches!(channels, 1 | 3)
    {
        return Err(Error::new(format!("frames of {channels} channels")).hint("C is 1 (grey) or 3 (RGB)"));
    }
    if size.is_some() && !matches!(input, Input::Camera(..)) {
        return Err(Error::new("--size without a camera").hint("frames say their size in --frames WxHxC"));
    }
    if neighbours.is_some() && set.is_none() {
        return Err(Error::new("--neighbours without a set")
            .hint("store a set first with --store FILE.npy, then search it with --set FILE.npy"));
    }
    let neighbours = neighbours.unwrap_or(5);
    Ok(Some(Options { encoder, input, engine, limit, store, set, neighbours, json, stats }))
}

fn text(parser: &mut lexopt::Parser) -> Result<String> {
    let value = parser.value().map_err(|e| Error::new(e.to_string()).hint("ldae-board --help"))?;
    value.into_string().map_err(|v| Error::new(format!("{} is not text", v.display())))
}

fn count(text: &str, option: &str) -> Result<usize> {
    let number = text.parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| Error::new(format!("{option} {text}")).hint("give a positive number"))
}

/// Numbers of pixels between `x`; a side of at most 16384, as `ldae` reads pictures.
fn sides<const COUNT: usize>(text: &str, form: &str) -> Result<[usize; COUNT]> {
    let numbers = text.split('x').map(|n| n.parse().ok().filter(|n| (1..=16384).contains(n)));
    let numbers: Option<Vec<usize>> = numbers.collect();
    numbers
        .and_then(|n| n.try_into().ok())
        .ok_or_else(|| Error::new(format!("size {text}")).hint(format!("the form is {form}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Option<Options>> {
        parse(line.split_whitespace())
    }

    #[test]
    fn reads_every_input() {
        let input = |line: &str| options(line).unwrap().unwrap().input;
        assert_eq!(input("e.ldae a b --json"), Input::Pictures(vec!["a".into(), "b".into()]));
        assert_eq!(input("e.onnx --frames 64x48x3"), Input::Frames([64, 48, 3]));
        assert_eq!(input("e.onnx --camera /dev/video0"), Input::Camera("/dev/video0".into(), [640, 480]));
        assert_eq!(options("--help").unwrap(), None);
    }

    #[test]
    fn refuses_with_a_hint() {
        for line in [
            "",
            "e.ldae",
            "e.ldae a --frames 4x4x1",
            "e.ldae --frames 4x4",
            "e.ldae --frames 4x4x2",
            "e.ldae --frames 99999x4x3",
            "e.ldae a --limit 0",
            "e.ldae a --neighbours 3",
            "e.ldae a --size 4x4",
            "e.ldae a --engine gpu",
            "e.ldae a --what",
        ] {
            let error = options(line).unwrap_err().to_string();
            assert!(error.contains("\nhint: "), "{line}: {error}");
        }
    }
}
