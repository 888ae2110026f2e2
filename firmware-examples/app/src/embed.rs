//! An artifact in flash, a picture, its embedding: what an application does. The pictures are the artifact's own test
//! vectors, so that the board can say whether it computes what the workstation computed.

use crate::stack;
use core::fmt::{self, Write};
use ldae_device::{Aligned, EmbedError, Encoder, LoadError, Scratch, scratch_bytes};
use ldae_shared::crc::Crc32;
use ldae_shared::spec::EncoderSpec;
use static_cell::ConstStaticCell;

/// The artifact (see build.rs).
pub static ARTIFACT: &[u8] = &ALIGNED.0;
/// Kernels want packed weights at multiples of 16 bytes.
static ALIGNED: Aligned<[u8; FILE.len()]> = Aligned(*FILE);
const FILE: &[u8; include_bytes!(concat!(env!("OUT_DIR"), "/artifact.ldae")).len()] =
    include_bytes!(concat!(env!("OUT_DIR"), "/artifact.ldae"));
/// Its shape, known at compile time.
pub(crate) const SPEC: EncoderSpec = include!(concat!(env!("OUT_DIR"), "/spec.rs"));

/// All memory that the engine needs: the linker refuses a model that does not fit.
const SCRATCH_BYTES: usize = scratch_bytes(&SPEC);
pub(crate) static SCRATCH: ConstStaticCell<Scratch<SCRATCH_BYTES>> = ConstStaticCell::new(Scratch::new());
pub(crate) static CODES: ConstStaticCell<[i8; SPEC.embedding() as usize]> =
    ConstStaticCell::new([0; SPEC.embedding() as usize]);

/// Stack that an example needs, bytes. Measured by `ldae bench --device qemu:all`: at most 2 028 (Cortex-M0).
pub const STACK_BYTES: usize = 3 << 10;
/// Flash of an example beside its artifact, bytes. Measured (`size` of the built example, Cortex-M0): 61 KB built for size, 80 KB
/// built for speed; the linker has the last word.
pub const PROGRAM_BYTES: usize = 64 << 10;

/// Fails the build of a board package whose memory is too small for the encoder:
/// `const _: () = assert_fits(RAM, FLASH);`, in bytes, as in the package's memory.x.
pub const fn assert_fits(ram: usize, flash: usize) {
    assert!(
        SCRATCH_BYTES + SPEC.embedding() as usize + STACK_BYTES <= ram,
        "the encoder needs more RAM than this board has: build in a smaller preset (`ldae inspect all` says what fits)"
    );
    assert!(
        ARTIFACT.len() + PROGRAM_BYTES <= flash,
        "the encoder needs more flash than this board has: build in a smaller preset (`ldae inspect all` says what fits)"
    );
}

/// What a board can measure.
pub struct Meter<C> {
    /// Cycles since any moment; none when the core does not count.
    pub cycles: C,
    /// Lowest address of the stack.
    pub stack_end: usize,
}

/// Embeds every test vector of the artifact. True when all equal what the workstation computed.
///
/// # Errors
/// The artifact or a buffer is refused, or the console broke. Call it once: the buffers are taken for good.
pub fn run(console: &mut impl Write) -> Result<bool, Error> {
    embed(console, None::<Meter<fn() -> Option<u64>>>)
}

/// As [`run`], and prints the cycles of each picture and the stack that the engine used.
///
/// # Errors
/// As [`run`].
pub fn measured(console: &mut impl Write, meter: Meter<impl Fn() -> Option<u64>>) -> Result<bool, Error> {
    embed(console, Some(meter))
}

fn embed(console: &mut impl Write, meter: Option<Meter<impl Fn() -> Option<u64>>>) -> Result<bool, Error> {
    let (scratch, codes) = (&mut SCRATCH.take().0, CODES.take());
    let encoder = Encoder::new(ARTIFACT)?;
    let (n, w, l) = (SPEC.tokens(), SPEC.width, SPEC.depth);
    writeln!(console, "artifact of {} bytes: {n} tokens, width {w}, {l} blocks", ARTIFACT.len())?;
    writeln!(console, "{} kernel, {} bytes of scratch", encoder.kernel(), scratch.len())?;

    if encoder.artifact().vectors().is_empty() {
        return Err(Error::NoVectors);
    }
    let mut all_equal = true;
    for (i, vector) in encoder.artifact().vectors().iter().enumerate() {
        let now = || meter.as_ref().and_then(|m| (m.cycles)());
        let began = now();
        let embedding = encoder.embed(vector.pixels, scratch, codes)?;
        // A counter of 32 bits may have started again.
        let passed = |(end, began): (u64, u64)| if end < began { end + (1 << 32) - began } else { end - began };
        let cycles = now().zip(began).map(passed);
        let mut crc = Crc32::new();
        embedding.codes.iter().for_each(|c| crc.update(&c.to_le_bytes()));
        let expected = vector.codes.iter().map(|c| c.cast_signed());
        let equal = embedding.codes.iter().copied().eq(expected) && embedding.norm2 == vector.norm2;
        let word = if equal { "as on the workstation" } else { "DIFFERS from the workstation" };
        write!(console, "picture {i}: CRC-32 {:08x}, squared norm {}, {word}", crc.finish(), embedding.norm2)?;
        match cycles {
            Some(cycles) => writeln!(console, ", {cycles} cycles")?,
            None => writeln!(console)?,
        }
        all_equal &= equal;
    }
    if let (Some(meter), Some(vector)) = (meter, encoder.artifact().vectors().iter().next()) {
        let stack = stack::depth(meter.stack_end, || encoder.embed(vector.pixels, scratch, codes).map(drop))?;
        writeln!(console, "RAM: {} bytes of scratch, {} of codes, {stack} of stack", SCRATCH_BYTES, SPEC.embedding())?;
    }
    Ok(all_equal)
}

/// Why nothing could be embedded.
#[derive(Debug)]
pub enum Error {
    /// The artifact is refused.
    Load(LoadError),
    /// A buffer is refused.
    Embed(EmbedError),
    /// The artifact carries no test vectors, so there is nothing to embed and to compare.
    NoVectors,
    /// The console broke.
    Console,
}

impl From<LoadError> for Error {
    fn from(e: LoadError) -> Self {
        Error::Load(e)
    }
}

impl From<EmbedError> for Error {
    fn from(e: EmbedError) -> Self {
        Error::Embed(e)
    }
}

impl From<fmt::Error> for Error {
    fn from(_: fmt::Error) -> Self {
        Error::Console
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Load(e) => write!(f, "artifact refused: {e}"),
            Error::Embed(e) => write!(f, "not embedded: {e}"),
            Error::NoVectors => f.write_str("the artifact has no test vectors; `ldae export` writes them"),
            Error::Console => f.write_str("console broken"),
        }
    }
}
