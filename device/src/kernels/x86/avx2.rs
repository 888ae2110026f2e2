//! AVX2 without VNNI: VPMADDUBSW of |x| and w with the sign of x, then pairs to 32 bits. Exact: |x| ≤ 128 and |w| ≤ 127, so
//! two products stay below 2^15.

use super::Factors;
use super::ymm::{self, Pair};
use crate::kernels::dot::{Isa, dot_kernel};
use crate::kernels::{HeadRows, HeadShape, Input};
use core::arch::x86_64::*;
use ldae_shared::fixed::{Factor, NormToken};
use ldae_shared::format::{Block, Linear};

/// The instructions.
pub(crate) struct Avx2Bytes;

dot_kernel!(Avx2Dot, Avx2Bytes, 4, "avx2", "VPMADDUBSW on 256 bits.");

// SAFETY: see `Isa`.
impl Isa for Avx2Bytes {
    type Acc = Pair;
    /// x and |x|.
    type Input = [__m256i; 2];
    type Weights = Pair;
    type Factors = Factors<Pair>;

    const OFFSET: i32 = 0;
    const PANELS: usize = 1;

    ymm::shared_lanes!();

    #[inline(always)]
    unsafe fn input(from: *const u8) -> [__m256i; 2] {
        unsafe {
            let x = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
            [x, _mm256_abs_epi8(x)]
        }
    }

    #[inline(always)]
    unsafe fn dot(sum: Pair, x: [__m256i; 2], w: Pair) -> Pair {
        unsafe { [dot_half(sum[0], x, w[0]), dot_half(sum[1], x, w[1])] }
    }

    #[inline(always)]
    unsafe fn dot_wide(sum: Pair, x: [__m256i; 2], w: Pair) -> Pair {
        unsafe {
            [
                _mm256_add_epi32(sum[0], _mm256_madd_epi16(x[0], w[0])),
                _mm256_add_epi32(sum[1], _mm256_madd_epi16(x[0], w[1])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn without_offset(a: Pair, b: Pair) -> Pair {
        let _ = b; // inputs are signed as they are
        a
    }
}

#[inline(always)]
unsafe fn dot_half(sum: __m256i, x: [__m256i; 2], w: __m256i) -> __m256i {
    unsafe {
        let pairs = _mm256_maddubs_epi16(x[1], _mm256_sign_epi8(w, x[0]));
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}
