//! The public face: load once, embed many times.

use crate::engine::{self, Work};
use crate::kernels::Choice;
use crate::plan;
use crate::tap::{NoTap, Tap};
use ldae_shared::format::{Artifact, FormatError, Layout};
use ldae_shared::spec::EncoderSpec;

/// A validated encoder over borrowed artifact bytes (flash or RAM, any alignment).
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    artifact: Artifact<'a>,
    kernel: Choice,
}

/// One embedding: codes over ±5 standard deviations with one common scale, and their squared norm, so that cosine
/// similarity needs integers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embedding<'o> {
    /// E codes, −127..=127.
    pub codes: &'o [i8],
    /// Σ code².
    pub norm2: u32,
}

/// Why a picture was not embedded. Nothing was written to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbedError {
    /// The picture is not image·image·C bytes.
    Pixels {
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The scratch is too small.
    Scratch {
        /// Bytes needed.
        needed: usize,
        /// Bytes given.
        found: usize,
    },
    /// The scratch does not start at a multiple of 16 bytes.
    ScratchAlignment,
    /// The output has no room for E codes.
    Output {
        /// Codes needed.
        needed: usize,
        /// Codes given.
        found: usize,
    },
    /// A block index beyond the depth (stage-wise calls only).
    Block,
}

impl core::fmt::Display for EmbedError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            EmbedError::Pixels { expected, found } => {
                write!(f, "picture of {found} bytes, the encoder takes {expected}")
            }
            EmbedError::Scratch { needed, found } => write!(f, "scratch of {found} bytes, the encoder needs {needed}"),
            EmbedError::ScratchAlignment => f.write_str("scratch is not aligned to 16 bytes"),
            EmbedError::Output { needed, found } => write!(f, "output of {found} codes, the embedding has {needed}"),
            EmbedError::Block => f.write_str("no such block"),
        }
    }
}

impl core::error::Error for EmbedError {}

/// Scratch of `BYTES` bytes, aligned as the engine wants it; make it a `static` sized by [`crate::scratch_bytes`].
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Scratch<const BYTES: usize>(pub [u8; BYTES]);

/// Bytes at a multiple of 16, where packed artifacts must lie:
/// `static MODEL: Aligned<[u8; N]> = Aligned(*include_bytes!("encoder.cortex-m7.ldae"));`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Aligned<B>(pub B);

impl<const BYTES: usize> Scratch<BYTES> {
    /// Zeros.
    pub const fn new() -> Self {
        Scratch([0; BYTES])
    }
}

impl<const BYTES: usize> Default for Scratch<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why an artifact is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The bytes are unfit; says where.
    Format(FormatError),
    /// The artifact is packed for other cores: pack the canonical one for this target, or run that one as it is.
    Layout {
        /// Its weight layout.
        found: Layout,
    },
}

impl From<FormatError> for LoadError {
    fn from(e: FormatError) -> Self {
        LoadError::Format(e)
    }
}

impl core::fmt::Display for LoadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            LoadError::Format(e) => e.fmt(f),
            LoadError::Layout { found } => {
                write!(f, "packed as {}, which no kernel of this build and machine reads", found.name())
            }
        }
    }
}

impl core::error::Error for LoadError {}

impl<'a> Encoder<'a> {
    /// Validates the artifact and chooses the fastest kernel of this build and machine for its weight layout.
    ///
    /// # Errors
    /// The bytes are unfit, or packed for other cores.
    pub fn new(bytes: &'a [u8]) -> Result<Self, LoadError> {
        Self::from_artifact(Artifact::parse(bytes)?)
    }

    /// Wraps an artifact that was parsed already.
    ///
    /// # Errors
    /// It is packed for other cores, or misaligned.
    pub fn from_artifact(artifact: Artifact<'a>) -> Result<Self, LoadError> {
        let found = artifact.layout();
        Self::on(artifact, Choice::best(found).ok_or(LoadError::Layout { found })?)
    }

    /// The artifact on a given kernel, one of [`Choice::all`] for its layout; all give the same bits.
    ///
    /// # Errors
    /// The kernel does not read the artifact's layout, or the artifact is misaligned.
    pub fn on(artifact: Artifact<'a>, kernel: Choice) -> Result<Self, LoadError> {
        let found = artifact.layout();
        if kernel != Choice::Portable && kernel.family().layout() != found {
            return Err(LoadError::Layout { found });
        }
        // The kernels' loads trust this; `Artifact::parse_anywhere` does not check it.
        if !artifact.is_aligned() {
            return Err(LoadError::Format(FormatError::Misaligned));
        }
        Ok(Encoder { artifact, kernel })
    }

    /// The artifact on the portable kernel, which reads every layout (packed ones very slowly): the definition of the bits.
    #[must_use]
    pub const fn portable(artifact: Artifact<'a>) -> Self {
        Encoder { artifact, kernel: Choice::Portable }
    }

    /// Name of the kernel in use.
    pub fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    /// The artifact.
    pub const fn artifact(&self) -> &Artifact<'a> {
        &self.artifact
    }

    /// Shape.
    pub const fn spec(&self) -> &EncoderSpec {
        self.artifact.spec()
    }

    /// Bytes of scratch needed with the kernel in use; the `const fn` [`crate::scratch_bytes`] of the spec is the most
    /// over all kernels of this build.
    pub const fn scratch_bytes(&self) -> usize {
        plan::scratch_bytes_of(self.spec(), self.kernel.family())
    }

    /// The kernel in use.
    pub const fn choice(&self) -> Choice {
        self.kernel
    }

    /// Embeds one picture: `pixels` u8 [image, image, C], row, column, channel; `scratch` of at least
    /// [`Encoder::scratch_bytes`]; `out` of at least E codes.
    ///
    /// # Errors
    /// A buffer of the wrong size or alignment.
    pub fn embed<'o>(&self, pixels: &[u8], scratch: &mut [u8], out: &'o mut [i8]) -> Result<Embedding<'o>, EmbedError> {
        self.embed_tapped(pixels, scratch, out, &mut NoTap)
    }

    /// [`Encoder::embed`], showing every stage to `tap`.
    ///
    /// # Errors
    /// As [`Encoder::embed`].
    pub fn embed_tapped<'o>(
        &self,
        pixels: &[u8],
        scratch: &mut [u8],
        out: &'o mut [i8],
        tap: &mut impl Tap,
    ) -> Result<Embedding<'o>, EmbedError> {
        let spec = self.spec();
        let found = scratch.len();
        let (stream, work) = scratch
            .split_at_mut_checked(plan::stream_bytes(spec))
            .ok_or(EmbedError::Scratch { needed: self.scratch_bytes(), found })?;
        if work.len() < plan::work_bytes(spec, self.kernel.family()) {
            return Err(EmbedError::Scratch { needed: self.scratch_bytes(), found });
        }
        let stream: &mut [i16] = bytemuck::try_cast_slice_mut(stream).map_err(|_| EmbedError::ScratchAlignment)?;
        let values = spec.tokens() as usize * spec.width as usize;
        let stream = stream.get_mut(..values).ok_or(EmbedError::ScratchAlignment)?;
        // Check the output before any work, so that an error leaves it untouched.
        let out = self.output(out)?;
        self.run_front(pixels, stream, work, tap)?;
        for i in 0..spec.depth {
            self.run_block(i, stream, work, tap)?;
        }
        self.run_head(stream, work, out, tap)
    }

    fn output<'o>(&self, out: &'o mut [i8]) -> Result<&'o mut [i8], EmbedError> {
        let needed = self.spec().embedding() as usize;
        let found = out.len();
        out.get_mut(..needed).ok_or(EmbedError::Output { needed, found })
    }

    /// Bytes of work memory of the stage-wise calls below (scratch without the stream).
    pub const fn work_bytes(&self) -> usize {
        plan::work_bytes(self.spec(), self.kernel.family())
    }

    /// First stage alone, for calibration: pixels to the stream (i16, N·W).
    ///
    /// # Errors
    /// A buffer of the wrong size or alignment.
    pub fn run_front(
        &self,
        pixels: &[u8],
        stream: &mut [i16],
        work: &mut [u8],
        tap: &mut impl Tap,
    ) -> Result<(), EmbedError> {
        let expected = self.spec().pixels() as usize;
        if pixels.len() != expected {
            return Err(EmbedError::Pixels { expected, found: pixels.len() });
        }
        let mut work = self.work(stream, work)?;
        engine::front(self.kernel, self.spec(), &self.artifact.front(), pixels, stream, &mut work, tap)
    }

    /// Block `index` alone, for calibration: the stream in place.
    ///
    /// # Errors
    /// No such block, or a buffer of the wrong size or alignment.
    pub fn run_block(
        &self,
        index: u16,
        stream: &mut [i16],
        work: &mut [u8],
        tap: &mut impl Tap,
    ) -> Result<(), EmbedError> {
        let block = self.artifact.blocks().nth(usize::from(index)).ok_or(EmbedError::Block)?;
        let mut work = self.work(stream, work)?;
        engine::block(self.kernel, self.spec(), &block, index, stream, &mut work, tap)
    }

    /// Last stage alone, for calibration: the stream to codes.
    ///
    /// # Errors
    /// A buffer of the wrong size or alignment.
    pub fn run_head<'o>(
        &self,
        stream: &mut [i16],
        work: &mut [u8],
        out: &'o mut [i8],
        tap: &mut impl Tap,
    ) -> Result<Embedding<'o>, EmbedError> {
        let out = self.output(out)?;
        let mut work = self.work(stream, work)?;
        let norm2 = engine::head(self.kernel, self.spec(), &self.artifact.head(), stream, &mut work, out, tap)?;
        Ok(Embedding { codes: out, norm2 })
    }

    fn work<'w>(&self, stream: &[i16], work: &'w mut [u8]) -> Result<Work<'w>, EmbedError> {
        let spec = self.spec();
        let values = spec.tokens() as usize * spec.width as usize;
        if stream.len() != values || work.len() < plan::work_bytes(spec, self.kernel.family()) {
            let found = 2 * stream.len() + work.len();
            return Err(EmbedError::Scratch { needed: self.scratch_bytes(), found });
        }
        Work::new(work, spec, self.kernel.family())
    }
}
