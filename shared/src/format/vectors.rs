//! Views of the test vectors of a checked artifact.

use super::layout;
use super::view::Cursor;

/// Embedded test vectors: pictures with what every stage must give.
#[derive(Clone, Copy, Debug)]
pub struct TestVectors<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) pixels: usize,
    pub(super) taps: usize,
    pub(super) embedding: usize,
}

/// One test vector.
#[derive(Clone, Copy, Debug)]
pub struct TestVector<'a> {
    /// image·image·C bytes.
    pub pixels: &'a [u8],
    crcs: &'a [u8],
    /// Expected codes (i8 as bytes).
    pub codes: &'a [u8],
    /// Expected Σ code².
    pub norm2: u32,
}

impl<'a> TestVectors<'a> {
    /// Bytes of one record: pixels, CRC per tap, codes, norm; padded to four.
    pub(super) const fn record(pixels: usize, taps: usize, embedding: usize) -> u64 {
        layout::pad4(pixels as u64) + 4 * taps as u64 + layout::pad4(embedding as u64) + 4
    }

    /// Number of vectors.
    pub const fn len(&self) -> usize {
        self.bytes.len() / (Self::record(self.pixels, self.taps, self.embedding) as usize)
    }

    /// True when the artifact carries none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Vectors in order.
    pub fn iter(&self) -> impl Iterator<Item = TestVector<'a>> + use<'a> {
        let (pixels, taps, embedding) = (self.pixels, self.taps, self.embedding);
        let record = (Self::record(pixels, taps, embedding) as usize).max(1);
        self.bytes.chunks_exact(record).map(move |b| {
            let mut c = Cursor(b);
            let pixels = c.take(pixels as u64);
            let crcs = c.take(4 * taps as u64);
            let codes = c.take(embedding as u64);
            TestVector { pixels, crcs, codes, norm2: c.u32() }
        })
    }
}

impl<'a> TestVector<'a> {
    /// Expected CRC-32 of each tap, by tap index.
    pub fn crcs(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let (words, _) = self.crcs.as_chunks::<4>();
        words.iter().map(|w| u32::from_le_bytes(*w))
    }
}
