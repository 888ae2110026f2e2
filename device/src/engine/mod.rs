//! The graph walk: front end, blocks, head, over the regions of the memory plan.
//!
//! Every function is generic over the kernel and the tap, and works by row chunks of [`crate::kernels::Family::rows`] tokens.

mod attention;
mod head;
mod mlp;
mod norm;
mod work;

pub(crate) use norm::token;
pub(crate) use work::Work;

use crate::encoder::EmbedError;
#[cfg(kernel_neon)]
use crate::kernels::aarch64;
#[cfg(kernel_dsp)]
use crate::kernels::dsp::Dsp;
#[cfg(kernel_mve)]
use crate::kernels::mve::Mve;
#[cfg(kernel_two_lane)]
use crate::kernels::two_lane::TwoLane;
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86;
use crate::kernels::{Choice, Kernel, portable::Portable};
use crate::tap::{Tap, TapData, TapId};
use ldae_shared::format::{Block, Front, Head};
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::EncoderSpec;

/// Calls `$f::<K, _>` for the chosen kernel.
macro_rules! dispatch {
    ($choice:expr, $f:ident ( $($arg:expr),* )) => {
        match $choice {
            Choice::Portable => $f::<Portable, _>($($arg),*),
            #[cfg(kernel_dsp)]
            Choice::Dsp => $f::<Dsp, _>($($arg),*),
            #[cfg(kernel_mve)]
            Choice::Mve => $f::<Mve, _>($($arg),*),
            #[cfg(kernel_two_lane)]
            Choice::TwoLane => $f::<TwoLane, _>($($arg),*),
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2(_) => $f::<x86::Avx2, _>($($arg),*),
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512(_) => $f::<x86::Avx512, _>($($arg),*),
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2Dot(_) => $f::<x86::Avx2Dot, _>($($arg),*),
            #[cfg(target_arch = "x86_64")]
            Choice::AvxVnni(_) => $f::<x86::AvxVnniDot, _>($($arg),*),
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512Vnni(_) => $f::<x86::Avx512Dot, _>($($arg),*),
            #[cfg(kernel_neon)]
            Choice::Neon => $f::<aarch64::NeonDot, _>($($arg),*),
            #[cfg(kernel_neon)]
            Choice::NeonDotprod(_) => $f::<aarch64::NeonDotprod, _>($($arg),*),
        }
    };
}

/// Pixels to the stream: centre, patch, project to latents, embed, add positions.
pub(crate) fn front(
    kernel: Choice,
    spec: &EncoderSpec,
    front: &Front<'_>,
    pixels: &[u8],
    stream: &mut [i16],
    work: &mut Work<'_>,
    tap: &mut impl Tap,
) -> Result<(), EmbedError> {
    dispatch!(kernel, front_with(spec, front, pixels, stream, work, tap))
}

fn front_with<K: Kernel, T: Tap>(
    spec: &EncoderSpec,
    front: &Front<'_>,
    pixels: &[u8],
    stream: &mut [i16],
    work: &mut Work<'_>,
    tap: &mut T,
) -> Result<(), EmbedError> {
    let (p, k, w) = (spec.patch_values() as usize, spec.rank as usize, usize::from(spec.width.max(1)));
    let chunk = K::FAMILY.front_rows();
    let mut region = work.region();
    let mut patches = region.rows(chunk * p, chunk, p, K::FAMILY)?;
    let mut latents = region.rows(chunk * k, chunk, k, K::FAMILY)?;
    let product: &mut [i16] = region.take(chunk * w)?;
    let expected = spec.pixels() as usize;
    let grid = PatchGrid::of(spec).ok_or(EmbedError::Pixels { expected, found: pixels.len() })?;
    let mut positions = front.positions();
    if T::ENABLED {
        tap.tap(TapId::Pixels, TapData::U8(pixels));
    }
    for (i, stream) in stream.chunks_mut(chunk * w).enumerate() {
        let count = stream.len() / w.max(1);
        let product = prefix(product, count * w)?;
        for (row, patch) in patches.rows(count)?.chunks_exact_mut(p.max(1)).enumerate() {
            let rows = patch.chunks_exact_mut((spec.patch as usize * spec.channels as usize).max(1));
            for (to, from) in rows.zip(grid.rows(pixels, i * chunk + row)) {
                K::centre(from, to);
            }
        }
        K::linear_i8(patches.prepare::<K>(count)?, &front.project, latents.rows(count)?);
        K::linear_i16(latents.prepare::<K>(count)?, &front.embed, product);
        for ((s, &e), position) in stream.iter_mut().zip(product.iter()).zip(&mut positions) {
            *s = e.saturating_add(position);
        }
        if T::ENABLED {
            tap.tap(TapId::Patches, TapData::I8(patches.rows(count)?));
            tap.tap(TapId::Latents, TapData::I8(latents.rows(count)?));
            tap.tap(TapId::Embed, TapData::I16(product));
            tap.tap(TapId::Stream, TapData::I16(stream));
        }
    }
    Ok(())
}

/// One block on the stream, in place.
pub(crate) fn block(
    kernel: Choice,
    spec: &EncoderSpec,
    block: &Block<'_>,
    index: u16,
    stream: &mut [i16],
    work: &mut Work<'_>,
    tap: &mut impl Tap,
) -> Result<(), EmbedError> {
    dispatch!(kernel, block_with(spec, block, index, stream, work, tap))
}

fn block_with<K: Kernel, T: Tap>(
    spec: &EncoderSpec,
    block: &Block<'_>,
    index: u16,
    stream: &mut [i16],
    work: &mut Work<'_>,
    tap: &mut T,
) -> Result<(), EmbedError> {
    attention::run::<K, T>(spec, block, index, stream, work, tap)?;
    mlp::run::<K, T>(spec, block, index, stream, work, tap)
}

/// Stream to embedding codes; returns the squared norm.
pub(crate) fn head(
    kernel: Choice,
    spec: &EncoderSpec,
    head: &Head<'_>,
    stream: &[i16],
    work: &mut Work<'_>,
    out: &mut [i8],
    tap: &mut impl Tap,
) -> Result<u32, EmbedError> {
    dispatch!(kernel, head_with(spec, head, stream, work, out, tap))
}

fn head_with<K: Kernel, T: Tap>(
    spec: &EncoderSpec,
    head: &Head<'_>,
    stream: &[i16],
    work: &mut Work<'_>,
    out: &mut [i8],
    tap: &mut T,
) -> Result<u32, EmbedError> {
    head::run::<K, T>(spec, head, stream, work, out, tap)
}

/// The first `length` elements; the plan makes regions large enough, so the error cannot occur.
fn prefix<T>(slice: &mut [T], length: usize) -> Result<&mut [T], EmbedError> {
    let found = slice.len();
    slice.get_mut(..length).ok_or(EmbedError::Scratch { needed: length, found })
}
