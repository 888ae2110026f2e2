//! The memory plan (EMBEDDED.md section 4) as `const fn` of the spec: what lies in scratch, and how many bytes it takes.
//!
//! ```text
//! stream  i16 N·W | token statistics 8·N | LayerNorm rows i8 R·W, and the kernel's form of them | then one of, over each other:
//!   front      patches i8 R·P and their form, latents i8 R·K and their form, product i16 R·W
//!   attention  queries (become outputs) i8 N·W, then either keys and values of one head, and either a chunk of them
//!              i8 R·W/H or some rows of logits i8 N and probabilities u16 N with the kernel's work memory — or product i16 R·W
//!   MLP        hidden i8 R·rW and their form, product i16 R·W (over the hidden rows where they have a form)
//!   head       sums i32 W, with squares u32 W or four quarters
//! ```
//! R is the rows of a chunk ([`Family::rows`]). No N×N matrix and no N×rW hidden layer ever exists. Every region starts at a
//! multiple of 16 bytes.

use crate::kernels::{Choice, Family};
use ldae_shared::spec::{EncoderSpec, Pooling};

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

/// Behind rows that kernels read in vectors of 16 bytes whatever the width.
pub(crate) const SLACK: usize = 16;

/// `rows` rows of `width` bytes with the kernel's form of them.
const fn input(f: Family, rows: usize, width: usize) -> usize {
    aligned(rows * width + SLACK) + aligned(f.input_bytes(rows, width))
}

/// Bytes of the hidden rows of a chunk: where the kernel has a form of them, the product lies over the rows.
pub(crate) const fn hidden_row_bytes(s: &EncoderSpec, f: Family) -> usize {
    let (rows, product) = (f.rows() * s.hidden() as usize, 2 * f.rows() * s.width as usize);
    if f.has_form() { max(rows, product) } else { rows }
}

/// Bytes of everything but the stream.
pub(crate) const fn work_bytes(s: &EncoderSpec, f: Family) -> usize {
    let (n, w, dh) = (s.tokens() as usize, s.width as usize, s.head_width() as usize);
    let product = aligned(f.rows() * w * 2);
    let rows = f.front_rows();
    let front = input(f, rows, s.patch_values() as usize) + input(f, rows, s.rank as usize) + aligned(rows * w * 2);
    let scores = aligned(f.queries() * n) + aligned(2 * f.queries() * n) + aligned(f.attention_bytes(n, dh));
    let store = aligned(f.key_bytes(n, dh)) + aligned(f.value_bytes(n, dh));
    let attention = aligned(n * w + SLACK) + max(store + max(aligned(f.rows() * dh), scores), product);
    let form = f.input_bytes(f.rows(), s.hidden() as usize);
    let mlp = aligned(hidden_row_bytes(s, f) + SLACK) + aligned(form) + if f.has_form() { 0 } else { product };
    let sums = match s.pooling {
        Pooling::Mean => aligned(4 * w),
        Pooling::MeanStd => 2 * aligned(4 * w),
        Pooling::Grid2x2 => aligned(16 * w),
    };
    aligned(8 * n) + input(f, f.rows(), w) + max(max(front, attention), max(mlp, sums))
}

/// Bytes of scratch that [`crate::Encoder::embed`] needs for a spec with a family of kernels.
pub const fn scratch_bytes_of(s: &EncoderSpec, family: Family) -> usize {
    stream_bytes(s) + work_bytes(s, family)
}

/// Bytes of scratch that [`crate::Encoder::embed`] needs for a spec with any kernel of this build, all of which it may
/// overwrite. Align it to 16 bytes ([`crate::Scratch`] is).
pub const fn scratch_bytes(s: &EncoderSpec) -> usize {
    let (mut bytes, mut i) = (scratch_bytes_of(s, Family::Portable), 0);
    while i < Choice::FAMILIES.len() {
        bytes = max(bytes, scratch_bytes_of(s, Choice::FAMILIES[i]));
        i += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::spec::PRESETS;

    #[test]
    fn board_presets_stay_below_the_published_arenas() {
        // EMBEDDED.md section 4: 7.2, 17.8, 28.8, 36.0, 54.5 KB.
        let families = [Family::Portable, Family::Dsp, Family::Mve, Family::TwoLane];
        for (p, kb) in PRESETS.iter().zip([7.2, 17.8, 28.8, 36.0, 54.5]) {
            for family in families {
                let bytes = scratch_bytes_of(&p.spec, family);
                std::println!("{} {family:?}: {bytes} bytes", p.name);
                assert!((bytes as f64) < kb * 1024.0, "{} {family:?}: {bytes}", p.name);
            }
        }
    }
}
