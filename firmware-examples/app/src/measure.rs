//! The device side of `ldae bench --device`: runs pictures between marker instructions, so that a counter in the emulator
//! knows what to count, and measures how much scratch and stack was really used.
//!
//! Each picture runs four times: once unmeasured after painting scratch and stack (memory use), once more with another
//! pattern (a byte that happens to hold the first pattern shows in the second), then once whole and once stage by stage
//! between markers. The program and its answer are the same on a board; markers do nothing there.

use crate::parity::{Failure, Memory, Source, failure, take};
use crate::stack;
use core::fmt::Display;
use ldae_device::{Encoder, NoTap};
use ldae_shared::crc::crc32;
use ldae_shared::parity::{AnswerWriter, Identity, MemoryUse, Plan, Request, Sink};

/// What runs between two markers. Numbers are those of the counter (tools/insn-counter/src/marker.rs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing that is measured.
    Outside,
    /// [`Encoder::embed`].
    Embed,
    /// Patches, latents, embedding, positions.
    Front,
    /// One block.
    Block,
    /// Last LayerNorm, pooling, standardisation.
    Head,
}

/// What the board package provides beside its buffers.
pub struct Board<'a, M> {
    /// The core as it names itself.
    pub core: &'a str,
    /// Executes the marker instruction of a stage; a function item, so that it is inlined.
    pub mark: M,
    /// Lowest address of the stack.
    pub stack_end: usize,
}

/// Answers one request with embeddings, their markers around them, and the memory used. True when everything ran.
pub fn answer<'m, S: Sink>(
    board: &Board<'_, impl Fn(Stage)>,
    source: &mut impl Source,
    sink: S,
    artifact: impl FnOnce(usize) -> Option<&'m [u8]>,
    memory: Memory<'_>,
) -> bool {
    let Ok(mut writer) = AnswerWriter::start(sink) else { return false };
    let ran = match run(board, source, &mut writer, artifact, memory) {
        Ok(()) => true,
        Err(why) => {
            let _ = writer.failure(&why);
            false
        }
    };
    writer.finish().is_ok() && ran
}

fn run<'m, S: Sink>(
    board: &Board<'_, impl Fn(Stage)>,
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
    let (core, version) = (board.core, crate::VERSION);
    let identity = Identity { artifact_bytes: request.artifact_bytes, artifact_crc: crc32(bytes), core, version };
    writer.identity(&identity).map_err(lost)?;

    let encoder = Encoder::new(bytes).map_err(|e| failure(format_args!("artifact refused: {e}")))?;
    let spec = *encoder.spec();
    let room = memory.scratch.len();
    let pixels = take("picture buffer", memory.pixels, spec.pixels() as usize)?;
    if request.picture_bytes as usize != pixels.len() {
        return Err(failure("the pictures have another size than the artifact wants"));
    }
    let codes = take("embedding buffer", memory.codes, spec.embedding() as usize)?;
    let planned = encoder.scratch_bytes();
    let scratch = memory.scratch.get_mut(..planned);
    let scratch = scratch.ok_or_else(|| failure(format_args!("scratch: {planned} needed, {room} on this board")))?;
    let kernel = encoder.kernel();
    let components = codes.len() as u32;
    writer.plan(&Plan { taps: 0, components, scratch_bytes: planned as u32, kernel }).map_err(lost)?;

    let mut used = MemoryUse { scratch_touched: 0, stack: 0 };
    for index in 0..request.pictures {
        source.read(pixels).map_err(|e| failure(format_args!("cannot read picture {index}: {e}")))?;
        for pattern in [0xA5, 0x5A] {
            scratch.fill(pattern);
            let stack = stack::depth(board.stack_end, || embed(&encoder, pixels, scratch, codes))?;
            let touched = scratch.iter().rposition(|b| *b != pattern).map_or(0, |last| last + 1);
            used.scratch_touched = used.scratch_touched.max(touched as u32);
            used.stack = used.stack.max(stack as u32);
        }
        (board.mark)(Stage::Embed);
        let embedded = embed(&encoder, pixels, scratch, codes);
        (board.mark)(Stage::Outside);
        let norm2 = embedded?;
        writer.picture(index, crc32(pixels), norm2, codes, &[]).map_err(lost)?;
        let staged = stages(board, &encoder, pixels, scratch, codes);
        (board.mark)(Stage::Outside);
        if staged? != norm2 {
            return Err(failure("the stages one by one give another embedding than the whole"));
        }
    }
    writer.memory_use(&used).map_err(lost)
}

/// The inference. Not inlined, so that what is measured is one call, as in an application.
#[inline(never)]
fn embed(encoder: &Encoder<'_>, pixels: &[u8], scratch: &mut [u8], codes: &mut [i8]) -> Result<u32, Failure> {
    Ok(encoder.embed(pixels, scratch, codes).map_err(refused)?.norm2)
}

/// The same inference with a marker before each stage.
fn stages(
    board: &Board<'_, impl Fn(Stage)>,
    encoder: &Encoder<'_>,
    pixels: &[u8],
    scratch: &mut [u8],
    codes: &mut [i8],
) -> Result<u32, Failure> {
    let spec = encoder.spec();
    let (stream, work) = scratch.split_at_mut(scratch.len() - encoder.work_bytes());
    let stream: &mut [i16] = bytemuck::try_cast_slice_mut(stream).map_err(|e| failure(format_args!("{e:?}")))?;
    let stream = take("stream", stream, spec.tokens() as usize * spec.width as usize)?;
    (board.mark)(Stage::Front);
    encoder.run_front(pixels, stream, work, &mut NoTap).map_err(refused)?;
    for index in 0..spec.depth {
        (board.mark)(Stage::Block);
        encoder.run_block(index, stream, work, &mut NoTap).map_err(refused)?;
    }
    (board.mark)(Stage::Head);
    Ok(encoder.run_head(stream, work, codes, &mut NoTap).map_err(refused)?.norm2)
}

fn refused(why: impl Display) -> Failure {
    failure(format_args!("not embedded: {why}"))
}
