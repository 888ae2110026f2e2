//! The device side of `ldae verify`: reads a request (`ldae_shared::parity`), runs every picture, writes the answer.
//!
//! The engine gets exactly the scratch that it asks for, so a plan that is too small shows here and not in the field.

use core::fmt::{Display, Write};
use heapless::String;
use ldae_device::{CrcTaps, Encoder, Tap, TapData, TapId};
use ldae_shared::crc::crc32;
use ldae_shared::parity::{AnswerWriter, Identity, MAX_TEXT, Plan, Request, Sink, TapWanted};

// What `memory!` names.
pub use ldae_device::Scratch;
pub use ldae_shared::crc::Crc32;
pub use static_cell::ConstStaticCell;

/// Where requests come from. The artifact itself lies in memory already.
pub trait Source {
    /// Why bytes could not be read.
    type Error: Display;
    /// Fills `bytes`.
    ///
    /// # Errors
    /// The channel broke or ended early.
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error>;
}

/// Buffers for any artifact and picture that the board accepts.
pub struct Memory<'a> {
    /// At least `scratch_bytes()`, aligned to 16 bytes.
    pub scratch: &'a mut [u8],
    /// At least one picture.
    pub pixels: &'a mut [u8],
    /// At least E components.
    pub codes: &'a mut [i8],
    /// At least one state for each tap.
    pub taps: &'a mut [Crc32],
}

/// The buffers of a board as statics: `memory!(scratch: 2 << 20, pixels: 1 << 20, codes: 8192, taps: 4096)`, in bytes and
/// items, where it is called, once.
#[macro_export]
macro_rules! memory {
    (scratch: $scratch:expr, pixels: $pixels:expr, codes: $codes:expr, taps: $taps:expr) => {{
        use $crate::parity::{ConstStaticCell, Crc32, Memory, Scratch};
        static SCRATCH: ConstStaticCell<Scratch<{ $scratch }>> = ConstStaticCell::new(Scratch::new());
        static PIXELS: ConstStaticCell<[u8; $pixels]> = ConstStaticCell::new([0; $pixels]);
        static CODES: ConstStaticCell<[i8; $codes]> = ConstStaticCell::new([0; $codes]);
        static TAPS: ConstStaticCell<[Crc32; $taps]> = ConstStaticCell::new([Crc32::new(); $taps]);
        Memory { scratch: &mut SCRATCH.take().0, pixels: PIXELS.take(), codes: CODES.take(), taps: TAPS.take() }
    }};
}

/// Why a device stopped; the text goes to the host as a FAIL record.
pub(crate) type Failure = String<MAX_TEXT>;

pub(crate) fn failure(why: impl Display) -> Failure {
    let mut text = Failure::new();
    // A text that does not fit is cut: the beginning says enough.
    let _ = write!(text, "{why}");
    text
}

/// Answers one request. `artifact` returns the bytes at the artifact's place for a given length, if there is room.
///
/// Returns true when every picture ran and the whole answer was written.
pub fn answer<'m, S: Sink>(
    core: &str,
    source: &mut impl Source,
    sink: S,
    artifact: impl FnOnce(usize) -> Option<&'m [u8]>,
    memory: Memory<'_>,
) -> bool {
    let Ok(mut writer) = AnswerWriter::start(sink) else { return false };
    let ran = match run(core, source, &mut writer, artifact, memory) {
        Ok(()) => true,
        Err(why) => {
            let _ = writer.failure(&why);
            false
        }
    };
    writer.finish().is_ok() && ran
}

fn run<'m, S: Sink>(
    core: &str,
    source: &mut impl Source,
    writer: &mut AnswerWriter<S>,
    artifact: impl FnOnce(usize) -> Option<&'m [u8]>,
    memory: Memory<'_>,
) -> Result<(), Failure> {
    let lost = |_: S::Error| failure("cannot write the answer");
    let mut header = [0; Request::BYTES];
    source.read(&mut header).map_err(|e| failure(format_args!("cannot read the request: {e}")))?;
    let request = Request::from_bytes(&header).map_err(failure)?;
    let bytes = artifact(request.artifact_bytes as usize).ok_or_else(|| {
        failure(format_args!("an artifact of {} bytes does not fit on this board", request.artifact_bytes))
    })?;
    writer
        .identity(&Identity {
            artifact_bytes: bytes.len() as u32,
            artifact_crc: crc32(bytes),
            core,
            version: crate::VERSION,
        })
        .map_err(lost)?;

    let encoder = Encoder::new(bytes).map_err(|e| failure(format_args!("artifact refused: {e}")))?;
    let spec = *encoder.spec();
    let (pixels, components, taps) = (spec.pixels() as usize, spec.embedding() as usize, spec.taps());
    if request.picture_bytes as usize != pixels {
        return Err(failure(format_args!(
            "a picture has {} bytes, the artifact wants {pixels}",
            request.picture_bytes
        )));
    }
    let scratch = take("scratch", memory.scratch, encoder.scratch_bytes())?;
    let pixels = take("picture buffer", memory.pixels, pixels)?;
    let codes = take("embedding buffer", memory.codes, components)?;
    let crcs = take("tap states", memory.taps, taps)?;
    let plan = Plan {
        taps: taps as u32,
        components: components as u32,
        scratch_bytes: scratch.len() as u32,
        kernel: encoder.kernel(),
    };
    writer.plan(&plan).map_err(lost)?;

    for index in 0..request.pictures {
        source.read(pixels).map_err(|e| failure(format_args!("cannot read picture {index}: {e}")))?;
        let wanted = request.wanted.filter(|w| w.picture == index);
        let crc_taps = CrcTaps::new(crcs, spec.depth);
        let mut observer = Observer { crc_taps, depth: spec.depth, wanted, writer: &mut *writer, lost: false };
        let embedding = encoder
            .embed_tapped(pixels, scratch, codes, &mut observer)
            .map_err(|e| failure(format_args!("picture {index}: {e}")))?;
        if observer.lost {
            return Err(failure("cannot write the answer"));
        }
        writer.picture(index, crc32(pixels), embedding.norm2, embedding.codes, crcs).map_err(lost)?;
    }
    Ok(())
}

/// The first `length` items of a buffer of the board.
pub(crate) fn take<'a, T>(what: &str, buffer: &'a mut [T], length: usize) -> Result<&'a mut [T], Failure> {
    let have = buffer.len();
    buffer.get_mut(..length).ok_or_else(|| failure(format_args!("{what}: {length} needed, {have} on this board")))
}

/// Keeps a CRC-32 per tap and passes the bytes of one tap on.
struct Observer<'a, S> {
    crc_taps: CrcTaps<'a>,
    depth: u16,
    wanted: Option<TapWanted>,
    writer: &'a mut AnswerWriter<S>,
    lost: bool,
}

impl<S: Sink> Tap for Observer<'_, S> {
    fn tap(&mut self, id: TapId, data: TapData<'_>) {
        self.crc_taps.tap(id, data);
        if self.wanted.is_some_and(|w| w.tap as usize == id.index(self.depth)) {
            self.lost |= data.le_bytes(|piece| self.writer.tap_bytes(piece)).is_err();
        }
    }
}
