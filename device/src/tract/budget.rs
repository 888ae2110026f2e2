//! What an encoder of a spec can need at most: a file that claims more is refused before anything is allocated for it.

use super::TractError;
use ldae_shared::spec::EncoderSpec;

/// Largest tensor between two operators, in values: 256 MB of f32. Larger ones (attention over more than 2000 tokens with
/// 16 heads) do not fit a board's memory.
const MAX_ACTIVATION: u64 = 1 << 26;
/// Largest dequantised tensor, in values: above 4 MiB tract expands it in every run instead of once (its
/// `CONST_FOLD_MEM_BUDGET`), so the exporter splits larger weights.
pub(super) const MAX_DEQUANTISED: u64 = 1 << 20;

/// Upper bounds, in values and nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Sum over the stored tensors.
    pub(super) stored: u64,
    /// Largest tensor that an operator gives.
    pub(super) largest: u64,
    /// Sum over all that operators give, dequantised weights included.
    pub(super) computed: u64,
    /// Multiply-accumulates of all products: bounds the time of the test vectors.
    pub(super) macs: u64,
    /// Operators.
    pub(super) nodes: usize,
}

impl Budget {
    /// Bounds for a checked spec. Counts of one block, each with room for another form of the same computation: a
    /// LayerNorm gives up to 8 tensors [N,W] when it is decomposed, each product is followed by bias, reshape, transpose
    /// and perhaps a concatenation of column blocks.
    pub(super) fn of(spec: &EncoderSpec) -> Result<Self, TractError> {
        let (n, w, p) = (u64::from(spec.tokens()), u64::from(spec.width), u64::from(spec.patch_values()));
        let (hidden, depth, e) = (u64::from(spec.hidden()), u64::from(spec.depth), u64::from(spec.embedding()));
        let scores = u64::from(spec.heads) * n * n;
        let pixels = u64::from(spec.pixels());
        let widest = *[n * p, n * w, n * hidden, scores, pixels].iter().max().unwrap_or(&0);
        if widest > MAX_ACTIVATION {
            return Err(TractError::SpecSize { what: "attention or hidden layer of one picture exceeds 256 MB" });
        }
        // Scale and shift of LayerNorms, per-row scales of int8 weights, standardisation, shapes.
        let small = depth * (16 * w + 4 * hidden) + 8 * e + 4 * p + 4 * u64::from(spec.rank) + 4 * w + 4096;
        let stored = spec.parameters() + small;
        let block = 48 * n * w + 12 * n * hidden + 8 * scores;
        let front = 8 * pixels + 8 * n * p + 8 * n * w;
        // Column blocks: at least an eighth of the largest that may be.
        let columns = stored / (MAX_DEQUANTISED / 8);
        Ok(Budget {
            stored,
            largest: widest.max(MAX_DEQUANTISED),
            computed: 2 * stored + front + (depth + 1) * block + 64 * e,
            macs: 2 * spec.macs(),
            nodes: usize::try_from(64 + 96 * (depth + 1) + 4 * columns).unwrap_or(usize::MAX),
        })
    }

    /// Bytes of a file: every stored value as f32, `vectors` bytes of test vectors in base64, and names.
    pub(super) fn file_bytes(&self, vectors: usize) -> u64 {
        4 * self.stored + vectors as u64 + 512 * self.nodes as u64 + (64 << 10)
    }
}
