//! What AVX2 and AVX-VNNI share: sixteen lanes in two 256-bit registers. No closures: they would not inherit the features
//! of the function around them unless the compiler happens to inline them.

use super::Factors;
use crate::kernels::dot::CHANNELS;
use core::arch::x86_64::*;

/// Sixteen i32, or 64 bytes.
pub(super) type Pair = [__m256i; 2];

/// 64 bytes.
#[inline(always)]
pub(super) unsafe fn load(from: *const u8) -> Pair {
    unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] }
}

/// 2^(t−1), with m and t.
#[inline(always)]
pub(super) unsafe fn factors(m: Pair, t: Pair) -> Factors<Pair> {
    unsafe { Factors { m, t, half: [half(t[0]), half(t[1])] } }
}

#[inline(always)]
unsafe fn half(t: __m256i) -> __m256i {
    unsafe { _mm256_srli_epi32::<1>(_mm256_sllv_epi32(_mm256_set1_epi32(1), t)) }
}

/// As in [`super::avx512`]: v = 2^15·high + low.
#[inline(always)]
pub(super) unsafe fn scale(v: Pair, f: Factors<Pair>) -> Pair {
    unsafe { [scale_one(v[0], f.m[0], f.t[0], f.half[0]), scale_one(v[1], f.m[1], f.t[1], f.half[1])] }
}

#[inline(always)]
unsafe fn scale_one(v: __m256i, m: __m256i, t: __m256i, half: __m256i) -> __m256i {
    unsafe {
        let low = _mm256_madd_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x7FFF)), m);
        let high = _mm256_madd_epi16(_mm256_srai_epi32::<15>(v), m);
        let q = _mm256_add_epi32(_mm256_slli_epi32::<7>(high), _mm256_srli_epi32::<8>(low));
        _mm256_srav_epi32(_mm256_add_epi32(q, half), t)
    }
}

/// Sixteen i32 saturated to i16, in order.
#[inline(always)]
unsafe fn narrow(v: Pair) -> __m256i {
    unsafe { _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(v[0], v[1])) }
}

/// See [`crate::kernels::dot::Isa::store_i8`].
#[inline(always)]
pub(super) unsafe fn store_i8(v: Pair, out: *mut i8, count: usize) {
    unsafe {
        let words = narrow(v);
        let bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
        let bytes = _mm_max_epi8(bytes, _mm_set1_epi8(-127));
        if count == CHANNELS {
            _mm_storeu_si128(out.cast(), bytes);
        } else {
            let mut all = [0i8; CHANNELS];
            _mm_storeu_si128(all.as_mut_ptr().cast(), bytes);
            core::ptr::copy_nonoverlapping(all.as_ptr(), out, count.min(CHANNELS));
        }
    }
}

/// See [`crate::kernels::dot::Isa::store_i16`].
#[inline(always)]
pub(super) unsafe fn store_i16(v: Pair, out: *mut i16, count: usize) {
    unsafe {
        if count == CHANNELS {
            _mm256_storeu_si256(out.cast(), narrow(v));
        } else {
            let mut all = [0i16; CHANNELS];
            _mm256_storeu_si256(all.as_mut_ptr().cast(), narrow(v));
            core::ptr::copy_nonoverlapping(all.as_ptr(), out, count.min(CHANNELS));
        }
    }
}

/// See [`crate::kernels::dot::Isa::centred`].
#[inline(always)]
pub(super) unsafe fn centred(from: *const i16, count: usize, mean128: Pair) -> Pair {
    unsafe {
        let mut all = [0i16; CHANNELS];
        let from = if count == CHANNELS {
            from
        } else {
            core::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count.min(CHANNELS));
            all.as_ptr()
        };
        [centred_half(from, mean128[0]), centred_half(from.add(8), mean128[1])]
    }
}

#[inline(always)]
unsafe fn centred_half(from: *const i16, mean128: __m256i) -> __m256i {
    unsafe {
        let x = _mm256_cvtepi16_epi32(_mm_loadu_si128(from.cast()));
        _mm256_sub_epi32(_mm256_slli_epi32::<7>(x), mean128)
    }
}

/// The functions of [`crate::kernels::dot::Isa`] that do not depend on the product.
macro_rules! shared_lanes {
    () => {
        #[inline(always)]
        unsafe fn splat(value: i32) -> Pair {
            unsafe { [_mm256_set1_epi32(value); 2] }
        }

        #[inline(always)]
        unsafe fn load(from: *const u8) -> Pair {
            unsafe { ymm::load(from) }
        }

        #[inline(always)]
        unsafe fn weights(from: *const u8) -> Pair {
            unsafe { ymm::load(from) }
        }

        #[inline(always)]
        unsafe fn factors(m: Pair, t: Pair) -> Factors<Pair> {
            unsafe { ymm::factors(m, t) }
        }

        #[inline(always)]
        unsafe fn scale(v: Pair, f: Factors<Pair>) -> Pair {
            unsafe { ymm::scale(v, f) }
        }

        #[inline(always)]
        unsafe fn store_i8(v: Pair, out: *mut i8, count: usize) {
            unsafe { ymm::store_i8(v, out, count) }
        }

        #[inline(always)]
        unsafe fn store_i16(v: Pair, out: *mut i16, count: usize) {
            unsafe { ymm::store_i16(v, out, count) }
        }

        #[inline(always)]
        unsafe fn centred(from: *const i16, count: usize, mean128: Pair) -> Pair {
            unsafe { ymm::centred(from, count, mean128) }
        }
    };
}
pub(super) use shared_lanes;
