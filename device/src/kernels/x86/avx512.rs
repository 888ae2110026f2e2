//! AVX-512 with VNNI: VPDPBUSD on bytes, VPDPWSSD on 16-bit pairs, eight rows times three panels in 24 registers.

use super::Factors;
use crate::kernels::dot::{CHANNELS, Isa, dot_kernel};
use crate::kernels::{HeadRows, HeadShape, Input};
use core::arch::x86_64::*;
use ldae_shared::fixed::{Factor, NormToken, row_reciprocal};
use ldae_shared::format::{Block, Linear};

/// AVX-512 F, BW, DQ, VL, VNNI.
pub(crate) struct Avx512Vnni;

dot_kernel!(
    Avx512Dot,
    Avx512Vnni,
    8,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
    "VPDPBUSD and VPDPWSSD on 512 bits."
);

/// The first `count` of 16, 32 or 64 lanes.
#[inline(always)]
fn first(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

// SAFETY: see `Isa`; every load and store covers the stated elements, or is masked to them.
impl Isa for Avx512Vnni {
    type Acc = __m512i;
    type Input = __m512i;
    type Weights = __m512i;
    type Factors = Factors<__m512i>;

    const OFFSET: i32 = 128;
    const PANELS: usize = 3;

    #[inline(always)]
    unsafe fn splat(value: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn input(from: *const u8) -> __m512i {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn dot(sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, x, w) }
    }

    #[inline(always)]
    unsafe fn dot_wide(sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
        unsafe { _mm512_dpwssd_epi32(sum, x, w) }
    }

    #[inline(always)]
    unsafe fn without_offset(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_sub_epi32(a, _mm512_slli_epi32::<7>(b)) }
    }

    #[inline(always)]
    unsafe fn factors(m: __m512i, t: __m512i) -> Factors<__m512i> {
        unsafe { Factors { m, t, half: _mm512_srli_epi32::<1>(_mm512_sllv_epi32(_mm512_set1_epi32(1), t)) } }
    }

    /// v = 2^15·high + low, so ⌊v·m/2^8⌋ = high·m·2^7 + ⌊low·m/2^8⌋; VPMADDWD is the 16-bit product of the low halves
    /// where the high half of m is zero.
    #[inline(always)]
    unsafe fn scale(v: __m512i, f: Factors<__m512i>) -> __m512i {
        unsafe {
            let low = _mm512_madd_epi16(_mm512_and_si512(v, _mm512_set1_epi32(0x7FFF)), f.m);
            let high = _mm512_madd_epi16(_mm512_srai_epi32::<15>(v), f.m);
            let q = _mm512_add_epi32(_mm512_slli_epi32::<7>(high), _mm512_srli_epi32::<8>(low));
            _mm512_srav_epi32(_mm512_add_epi32(q, f.half), f.t)
        }
    }

    #[inline(always)]
    unsafe fn store_i8(v: __m512i, out: *mut i8, count: usize) {
        unsafe {
            let bytes = _mm512_cvtsepi32_epi8(_mm512_max_epi32(v, _mm512_set1_epi32(-127)));
            if count == CHANNELS {
                _mm_storeu_si128(out.cast(), bytes);
            } else {
                _mm_mask_storeu_epi8(out, first(count) as __mmask16, bytes);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_i16(v: __m512i, out: *mut i16, count: usize) {
        unsafe {
            let words = _mm512_cvtsepi32_epi16(v);
            if count == CHANNELS {
                _mm256_storeu_si256(out.cast(), words);
            } else {
                _mm256_mask_storeu_epi16(out, first(count) as __mmask16, words);
            }
        }
    }

    #[inline(always)]
    unsafe fn centred(from: *const i16, count: usize, mean128: __m512i) -> __m512i {
        unsafe {
            let x = if count == CHANNELS {
                _mm256_loadu_si256(from.cast())
            } else {
                _mm256_maskz_loadu_epi16(first(count) as __mmask16, from)
            };
            _mm512_sub_epi32(_mm512_slli_epi32::<7>(_mm512_cvtepi16_epi32(x)), mean128)
        }
    }

    #[inline(always)]
    unsafe fn sums(row: &[i16]) -> (i32, u64) {
        unsafe {
            let ones = _mm512_set1_epi16(1);
            let low = _mm512_set1_epi64(0xFFFF_FFFF);
            let (mut sum, mut squares) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            for x in row.chunks(32) {
                let x = _mm512_maskz_loadu_epi16(first(x.len()) as __mmask32, x.as_ptr());
                sum = _mm512_add_epi32(sum, _mm512_madd_epi16(x, ones));
                // Two squares are at most 2^31: unsigned.
                let pairs = _mm512_madd_epi16(x, x);
                squares = _mm512_add_epi64(squares, _mm512_and_si512(pairs, low));
                squares = _mm512_add_epi64(squares, _mm512_srli_epi64::<32>(pairs));
            }
            (_mm512_reduce_add_epi32(sum), _mm512_reduce_add_epi64(squares) as u64)
        }
    }

    /// The table's 256 entries lie in eight registers: four VPERMI2W, each over 64 entries, then two selections.
    #[inline(always)]
    unsafe fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
        let Some(table) = block.softmax_table().first_chunk::<512>() else { return };
        unsafe {
            let largest = _mm512_set1_epi8(largest(logits));
            let table: [__m512i; 8] = load_all(table.as_ptr());
            let mut sum = _mm512_setzero_si512();
            for (x, p) in logits.chunks(32).zip(probabilities.chunks_mut(32)) {
                let mask = first(x.len().min(p.len())) as __mmask32;
                let x = _mm256_maskz_loadu_epi8(mask, x.as_ptr());
                let d = _mm512_cvtepu8_epi16(_mm256_sub_epi8(_mm512_castsi512_si256(largest), x));
                let bit6 = _mm512_test_epi16_mask(d, _mm512_set1_epi16(64));
                let bit7 = _mm512_test_epi16_mask(d, _mm512_set1_epi16(128));
                let (quarter0, quarter1) = (
                    _mm512_permutex2var_epi16(table[0], d, table[1]),
                    _mm512_permutex2var_epi16(table[2], d, table[3]),
                );
                let (quarter2, quarter3) = (
                    _mm512_permutex2var_epi16(table[4], d, table[5]),
                    _mm512_permutex2var_epi16(table[6], d, table[7]),
                );
                let near = _mm512_mask_mov_epi16(quarter0, bit6, quarter1);
                let far = _mm512_mask_mov_epi16(quarter2, bit6, quarter3);
                let entry = _mm512_maskz_mov_epi16(mask, _mm512_mask_mov_epi16(near, bit7, far));
                _mm512_mask_storeu_epi16(p.as_mut_ptr().cast(), mask, entry);
                sum = _mm512_add_epi32(sum, _mm512_and_si512(entry, _mm512_set1_epi32(0xFFFF)));
                sum = _mm512_add_epi32(sum, _mm512_srli_epi32::<16>(entry));
            }
            let reciprocal = row_reciprocal(_mm512_reduce_add_epi32(sum) as u32);
            let r = _mm512_set1_epi16(reciprocal.multiplier() as i16);
            // (high·2^16 + low) >> shift, of which sixteen bits are left.
            let shift = reciprocal.shift() as i32;
            let down = _mm_cvtsi32_si128(shift);
            let (up, further) = (_mm_cvtsi32_si128(16 - shift), _mm_cvtsi32_si128(shift - 16));
            for p in probabilities.chunks_mut(32) {
                let mask = first(p.len()) as __mmask32;
                let entry = _mm512_maskz_loadu_epi16(mask, p.as_ptr().cast());
                let high = _mm512_mulhi_epu16(entry, r);
                let value = if shift >= 16 {
                    _mm512_srl_epi16(high, further)
                } else {
                    _mm512_or_si512(_mm512_sll_epi16(high, up), _mm512_srl_epi16(_mm512_mullo_epi16(entry, r), down))
                };
                _mm512_mask_storeu_epi16(p.as_mut_ptr().cast(), mask, value);
            }
        }
    }

    /// The table as 128 words in four registers: two VPERMI2W and a selection give the word, a shift the byte.
    #[inline(always)]
    unsafe fn gelu(block: &Block<'_>, codes: &mut [i8]) {
        let Some(table) = block.gelu_table().first_chunk::<256>() else { return };
        unsafe {
            let table: [__m512i; 4] = load_all(table.as_ptr());
            for codes in codes.chunks_mut(32) {
                let mask = first(codes.len()) as __mmask32;
                let code = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, codes.as_ptr()));
                let word = _mm512_srli_epi16::<1>(code);
                let far = _mm512_test_epi16_mask(code, _mm512_set1_epi16(128));
                let near = _mm512_permutex2var_epi16(table[0], word, table[1]);
                let both = _mm512_mask_mov_epi16(near, far, _mm512_permutex2var_epi16(table[2], word, table[3]));
                let shift = _mm512_slli_epi16::<3>(_mm512_and_si512(code, _mm512_set1_epi16(1)));
                let value = _mm512_cvtepi16_epi8(_mm512_srlv_epi16(both, shift));
                _mm256_mask_storeu_epi8(codes.as_mut_ptr(), mask, value);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(stream: &mut [i16], branch: &[i16]) {
        for (s, b) in stream.chunks_mut(32).zip(branch.chunks(32)) {
            unsafe {
                let mask = first(s.len().min(b.len())) as __mmask32;
                let sum = _mm512_adds_epi16(
                    _mm512_maskz_loadu_epi16(mask, s.as_ptr()),
                    _mm512_maskz_loadu_epi16(mask, b.as_ptr()),
                );
                _mm512_mask_storeu_epi16(s.as_mut_ptr(), mask, sum);
            }
        }
    }
}

/// `64·N` bytes.
#[inline(always)]
unsafe fn load_all<const N: usize>(from: *const u8) -> [__m512i; N] {
    unsafe {
        let mut all = [_mm512_setzero_si512(); N];
        for (i, part) in all.iter_mut().enumerate() {
            *part = _mm512_loadu_si512(from.add(64 * i).cast());
        }
        all
    }
}

/// Largest of some logits; 0 of none.
#[inline(always)]
unsafe fn largest(logits: &[i8]) -> i8 {
    if logits.is_empty() {
        return 0;
    }
    unsafe {
        let smallest = _mm512_set1_epi8(i8::MIN);
        let mut max = smallest;
        for x in logits.chunks(64) {
            max = _mm512_max_epi8(max, _mm512_mask_loadu_epi8(smallest, first(x.len()), x.as_ptr()));
        }
        let max = _mm256_max_epi8(_mm512_castsi512_si256(max), _mm512_extracti64x4_epi64::<1>(max));
        let max = _mm_max_epi8(_mm256_castsi256_si128(max), _mm256_extracti128_si256::<1>(max));
        let max = _mm_max_epi8(max, _mm_srli_si128::<8>(max));
        let max = _mm_max_epi8(max, _mm_srli_si128::<4>(max));
        let max = _mm_max_epi8(max, _mm_srli_si128::<2>(max));
        _mm_cvtsi128_si32(_mm_max_epi8(max, _mm_srli_si128::<1>(max))) as i8
    }
}
