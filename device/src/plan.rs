//! The memory plan (EMBEDDED.md section 4) as `const fn` of the spec: what lies in scratch, and how many bytes it takes.
//!
//! ```text
//! stream  i16 N·W | token statistics 8·N | LayerNorm rows i8 8·W | then one of, over each other:
//!   front      patches i8 8·P, latents i8 8·K, product i16 8·W
//!   attention  queries (become outputs) i8 N·W, then either keys and values of one head i8 2·N·W/H, one row of logits
//!              i8 N and probabilities u16 N, accumulators i32 W/H  — or product i16 8·W
//!   MLP        hidden i8 8·rW, product i16 8·W
//!   head       sums i32 W, with squares u32 W or four quarters
//! ```
//! No N×N matrix and no N×rW hidden layer ever exists. Every region starts at a multiple of 16 bytes.

use ldae_shared::spec::{EncoderSpec, Pooling};

/// Rows (tokens) of a chunk: every weight is read once per chunk.
pub const ROWS: usize = 8;

/// Alignment of scratch and of every region, bytes.
pub(crate) const ALIGN: usize = 16;

pub(crate) const fn aligned(bytes: usize) -> usize {
    bytes.div_ceil(ALIGN) * ALIGN
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// Bytes of the residual stream.
pub(crate) const fn stream_bytes(s: &EncoderSpec) -> usize {
    aligned(s.tokens() as usize * s.width as usize * 2)
}

/// Bytes of everything but the stream.
pub(crate) const fn work_bytes(s: &EncoderSpec) -> usize {
    let (n, w, dh) = (s.tokens() as usize, s.width as usize, s.head_width() as usize);
    let product = aligned(ROWS * w * 2);
    let front = aligned(ROWS * s.patch_values() as usize) + aligned(ROWS * s.rank as usize) + product;
    let rows = aligned(n) + aligned(2 * n) + aligned(4 * dh);
    let attention = aligned(n * w) + max(2 * aligned(n * dh) + rows, product);
    let mlp = aligned(ROWS * s.hidden() as usize) + product;
    let sums = match s.pooling {
        Pooling::Mean => aligned(4 * w),
        Pooling::MeanStd => 2 * aligned(4 * w),
        Pooling::Grid2x2 => aligned(16 * w),
    };
    aligned(8 * n) + aligned(ROWS * w) + max(max(front, attention), max(mlp, sums))
}

/// Bytes of scratch that [`crate::Encoder::embed`] needs for a spec, all of which it may overwrite. Align it to 16 bytes
/// ([`crate::Scratch`] is).
pub const fn scratch_bytes(s: &EncoderSpec) -> usize {
    stream_bytes(s) + work_bytes(s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::spec::PRESETS;

    #[test]
    fn board_presets_stay_below_the_published_arenas() {
        // EMBEDDED.md section 4: 7.2, 17.8, 28.8, 36.0, 54.5 KB.
        for (p, kb) in PRESETS.iter().zip([7.2, 17.8, 28.8, 36.0, 54.5]) {
            let bytes = scratch_bytes(&p.spec);
            std::println!("{}: {bytes} bytes", p.name);
            assert!((bytes as f64) < kb * 1024.0, "{}: {bytes}", p.name);
        }
    }
}
