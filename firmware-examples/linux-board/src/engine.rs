//! The two engines behind one call: bytes of a picture in, embedding in standard deviations out.

use crate::error::{Error, Result};
#[cfg(feature = "tract")]
use ldae_device::tract::TractEncoder;
use ldae_device::{AlignedBytes, Encoder, InMemory};
use ldae_shared::format::MAGIC;
use ldae_shared::spec::{CODE_UNIT, EncoderSpec};
use std::path::Path;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The integer engine, for `.ldae` files: the bits of every other machine.
    Integer,
    /// tract, for `.onnx` files.
    Tract,
}

impl Kind {
    /// By its name on the command line.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "integer" => Ok(Kind::Integer),
            "tract" => Ok(Kind::Tract),
            _ => Err(Error::new(format!("no engine {name}")).hint("engines are integer and tract")),
        }
    }
}

/// An encoder, loaded and checked.
pub enum Engine {
    /// Integer engine, its scratch and its codes.
    Integer { encoder: Encoder<'static>, scratch: AlignedBytes, codes: Vec<i8> },
    /// tract.
    #[cfg(feature = "tract")]
    Tract(TractEncoder),
}

impl Engine {
    /// Reads an encoder for the engine that the file is for; `wanted` must be that one.
    pub fn open(path: &Path, wanted: Option<Kind>) -> Result<Self> {
        let place = path.display();
        let bytes = std::fs::read(path).map_err(|e| {
            Error::new(format!("cannot read {place}: {e}")).hint("give the file that `ldae export` wrote")
        })?;
        let kind = if bytes.starts_with(&MAGIC) { Kind::Integer } else { Kind::Tract };
        match wanted {
            Some(Kind::Integer) if kind != Kind::Integer => Err(Error::new(format!("{place} is no .ldae file"))
                .hint("the integer engine runs .ldae files, tract .onnx")),
            Some(Kind::Tract) if kind != Kind::Tract => {
                Err(Error::new(format!("{place} is a .ldae file")).hint("tract runs encoder.onnx of the same export"))
            }
            _ if kind == Kind::Integer => Self::integer(&bytes, path),
            _ => Self::tract(&bytes, path),
        }
    }

    fn integer(bytes: &[u8], path: &Path) -> Result<Self> {
        // Lives as long as the program.
        let artifact: &'static InMemory = Box::leak(Box::new(InMemory::for_this_machine(bytes)));
        let encoder = Encoder::new(artifact.bytes()).map_err(|e| {
            Error::new(format!("{} is not run: {e}", path.display())).hint("export it again with `ldae export`")
        })?;
        let scratch = AlignedBytes::zeroed(encoder.scratch_bytes());
        let codes = vec![0; encoder.spec().embedding() as usize];
        Ok(Engine::Integer { encoder, scratch, codes })
    }

    #[cfg(feature = "tract")]
    fn tract(bytes: &[u8], path: &Path) -> Result<Self> {
        let hint = "give encoder.onnx or encoder-int8.onnx that `ldae export --onnx` wrote";
        let encoder = TractEncoder::new(bytes)
            .map_err(|e| Error::new(format!("{} is not run: {e}", path.display())).hint(hint))?;
        Ok(Engine::Tract(encoder))
    }

    #[cfg(not(feature = "tract"))]
    fn tract(_: &[u8], path: &Path) -> Result<Self> {
        Err(Error::new(format!("{} is no .ldae file", path.display()))
            .hint("this build has the integer engine only; build with the feature `tract` for .onnx files"))
    }

    /// Shape.
    pub fn spec(&self) -> &EncoderSpec {
        match self {
            Engine::Integer { encoder, .. } => encoder.spec(),
            #[cfg(feature = "tract")]
            Engine::Tract(encoder) => encoder.spec(),
        }
    }

    /// Name, for people.
    pub fn name(&self) -> String {
        match self {
            Engine::Integer { encoder, .. } => format!("integer engine, {} kernel", encoder.kernel()),
            #[cfg(feature = "tract")]
            Engine::Tract(encoder) => format!("tract, {} weights", encoder.weights().name()),
        }
    }

    /// Embeds one picture of image·image·C bytes into E values.
    pub fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<()> {
        match self {
            Engine::Integer { encoder, scratch, codes } => {
                encoder.embed(pixels, scratch.bytes_mut(), codes).map_err(|e| Error::new(e.to_string()))?;
                out.iter_mut().zip(codes).for_each(|(v, code)| *v = f32::from(*code) * CODE_UNIT);
                Ok(())
            }
            #[cfg(feature = "tract")]
            Engine::Tract(encoder) => encoder.embed(pixels, out).map_err(|e| Error::new(e.to_string())),
        }
    }
}
