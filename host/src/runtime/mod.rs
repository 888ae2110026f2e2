//! Every way this machine has to run an encoder, one picture at a time, behind one call: the training network in Burn, the float
//! reference, the integer engine on each of its kernels, tract and onnxruntime.
//!
//! ```text
//! file (.ldae or .onnx) ── Runtime::prepare ──> Prepared (what it would read from flash or disk) ── open ──> Session ── embed
//! weights of a run      ── Network::new, Folded::new ─────────────────────────────────────────────> Session ── embed
//! ```
//!
//! A [`Session`] takes u8 pixels [image, image, C] and gives E components in standard deviations, f32. The suites of ldae-tests and
//! `ldae bench` compare what stands behind it. A runtime that this machine lacks is an error with a hint, never another runtime.

mod folded;
mod integer;
mod network;
mod onnxruntime;
#[cfg(feature = "tract")]
mod tract;

pub use folded::Folded;
pub use network::Network;
pub use onnxruntime::{Optimisation, quantise_dynamically, version as onnxruntime_version};

use crate::pack::{self, InMemory};
use crate::{Error, Result};
use ldae_device::kernels::Choice;
use ldae_shared::format::Layout;

/// A loaded encoder.
pub trait Session {
    /// Embeds one picture: `pixels` u8 [image, image, C], row, column, channel; `out` E components in standard deviations.
    ///
    /// # Errors
    /// A picture or an output of another size (nothing was written then), or the runtime failed.
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<()>;
}

/// A way to run an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The integer engine of the device crate on one of its kernels; reads `.ldae`.
    Integer(Choice),
    /// tract on one thread; reads `.onnx`.
    #[cfg(feature = "tract")]
    Tract,
    /// onnxruntime on one thread; reads `.onnx`.
    Onnxruntime(Optimisation),
}

impl Runtime {
    /// Everything this build knows, present here or not: kernels slowest first.
    pub fn all() -> Vec<Runtime> {
        let kernels = Layout::ALL.into_iter().flat_map(Choice::all).map(Runtime::Integer);
        let mut all: Vec<Runtime> = Vec::new();
        // The portable kernel reads every layout; once is enough.
        kernels.for_each(|k| {
            if !all.contains(&k) {
                all.push(k)
            }
        });
        #[cfg(feature = "tract")]
        all.push(Runtime::Tract);
        all.extend(Optimisation::ALL.map(Runtime::Onnxruntime));
        all
    }

    /// Name in tables; [`Runtime::from_name`] reads it.
    pub fn name(self) -> String {
        match self {
            Runtime::Integer(kernel) => format!("integer {}", kernel.name()),
            #[cfg(feature = "tract")]
            Runtime::Tract => "tract".to_owned(),
            Runtime::Onnxruntime(level) => format!("onnxruntime{}", level.suffix()),
        }
    }

    /// Inverse of [`Runtime::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|r| r.name() == name)
    }

    /// Extension of the files it reads.
    pub const fn extension(self) -> &'static str {
        match self {
            Runtime::Integer(_) => "ldae",
            #[cfg(feature = "tract")]
            Runtime::Tract => "onnx",
            Runtime::Onnxruntime(_) => "onnx",
        }
    }

    /// Whether this machine can run it.
    ///
    /// # Errors
    /// Says what is missing, with a hint how to get it.
    pub fn check(self) -> Result<()> {
        match self {
            Runtime::Integer(_) => Ok(()),
            #[cfg(feature = "tract")]
            Runtime::Tract => Ok(()),
            Runtime::Onnxruntime(_) => onnxruntime::environment().map(|_| ()),
        }
    }

    /// The file as the runtime reads it: an artifact in the weight layout of the kernel, an ONNX file as it is.
    ///
    /// # Errors
    /// The artifact is refused, or packed for other cores.
    pub fn prepare(self, file: &[u8]) -> Result<Prepared> {
        let bytes = match self {
            Runtime::Integer(kernel) => match kernel.family().layout() {
                Layout::Canonical => InMemory::copy(file),
                layout => InMemory::copy(&pack::to_layout(file, layout)?),
            },
            _ => InMemory::copy(file),
        };
        Ok(Prepared { runtime: self, bytes })
    }

    /// [`Runtime::prepare`] for bytes that it gave before: `ldae bench` hands them to a process of their own.
    pub fn prepared(self, bytes: &[u8]) -> Prepared {
        Prepared { runtime: self, bytes: InMemory::copy(bytes) }
    }
}

/// A file in memory, ready to be opened.
pub struct Prepared {
    runtime: Runtime,
    bytes: InMemory,
}

impl Prepared {
    /// What the runtime reads.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// [`Prepared::open`] for a process that runs this one encoder until it ends. Only the integer engine reads the file in place and
    /// keeps it; the others' memory is theirs alone.
    ///
    /// # Errors
    /// As [`Prepared::open`].
    pub fn into_session(self) -> Result<Box<dyn Session>> {
        match self.runtime {
            Runtime::Integer(_) => Box::leak(Box::new(self)).open(),
            #[cfg(feature = "tract")]
            Runtime::Tract => tract::Plan::open(self.bytes()).map(|s| Box::new(s) as _),
            Runtime::Onnxruntime(level) => onnxruntime::Model::open(self.bytes(), level).map(|s| Box::new(s) as _),
        }
    }

    /// Checks the file and loads it: the time of this call is the load time that `ldae bench` states.
    ///
    /// # Errors
    /// The runtime refuses the file, or is missing.
    pub fn open(&self) -> Result<Box<dyn Session + '_>> {
        match self.runtime {
            Runtime::Integer(kernel) => integer::Engine::open(self.bytes(), kernel).map(|s| Box::new(s) as _),
            #[cfg(feature = "tract")]
            Runtime::Tract => tract::Plan::open(self.bytes()).map(|s| Box::new(s) as _),
            Runtime::Onnxruntime(level) => onnxruntime::Model::open(self.bytes(), level).map(|s| Box::new(s) as _),
        }
    }
}

/// Refuses a picture of another size than the encoder takes.
fn check_pixels(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(format!("picture of {found} bytes, the encoder takes {expected}"))
        .hint("load the pictures at the side and with the channels of the encoder"))
}

/// Refuses a picture or an output of another size, before anything is written.
fn check_sizes(pixels: &[u8], out: &[f32], expected: (usize, usize)) -> Result<()> {
    check_pixels(pixels.len(), expected.0)?;
    if out.len() == expected.1 {
        return Ok(());
    }
    Err(Error::new(format!("output of {} components, the embedding has {}", out.len(), expected.1)))
}
