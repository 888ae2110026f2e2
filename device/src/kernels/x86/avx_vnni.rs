//! AVX-VNNI: VPDPBUSD and VPDPWSSD on 256 bits (processors without AVX-512).

use super::Factors;
use super::ymm::{self, Pair};
use crate::kernels::dot::{Isa, dot_kernel};
use crate::kernels::{HeadRows, HeadShape, Input};
use core::arch::x86_64::*;
use ldae_shared::fixed::{Factor, NormToken};
use ldae_shared::format::{Block, Linear};

/// The instructions.
pub(crate) struct AvxVnni;

dot_kernel!(AvxVnniDot, AvxVnni, 4, "avx2,avxvnni", "VPDPBUSD and VPDPWSSD on 256 bits.");

// SAFETY: see `Isa`.
impl Isa for AvxVnni {
    type Acc = Pair;
    type Input = __m256i;
    type Weights = Pair;
    type Factors = Factors<Pair>;

    const OFFSET: i32 = 128;
    const PANELS: usize = 1;

    ymm::shared_lanes!();

    #[inline(always)]
    unsafe fn input(from: *const u8) -> __m256i {
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(sum: Pair, x: __m256i, w: Pair) -> Pair {
        unsafe { [_mm256_dpbusd_avx_epi32(sum[0], x, w[0]), _mm256_dpbusd_avx_epi32(sum[1], x, w[1])] }
    }

    #[inline(always)]
    unsafe fn dot_wide(sum: Pair, x: __m256i, w: Pair) -> Pair {
        unsafe { [_mm256_dpwssd_avx_epi32(sum[0], x, w[0]), _mm256_dpwssd_avx_epi32(sum[1], x, w[1])] }
    }

    #[inline(always)]
    unsafe fn without_offset(a: Pair, b: Pair) -> Pair {
        unsafe {
            [_mm256_sub_epi32(a[0], _mm256_slli_epi32::<7>(b[0])), _mm256_sub_epi32(a[1], _mm256_slli_epi32::<7>(b[1]))]
        }
    }
}
