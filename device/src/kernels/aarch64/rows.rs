//! What both kernels share: rule 3 and stores on sixteen lanes in four registers.

use crate::kernels::dot::CHANNELS;
use core::arch::aarch64::*;

/// Sixteen i32.
pub(super) type Acc = [int32x4_t; 4];

/// 64 bytes.
#[inline(always)]
pub(super) unsafe fn load(from: *const u8) -> Acc {
    unsafe { [word(from), word(from.add(16)), word(from.add(32)), word(from.add(48))] }
}

#[inline(always)]
unsafe fn word(from: *const u8) -> int32x4_t {
    unsafe { vreinterpretq_s32_u8(vld1q_u8(from)) }
}

/// Rule 3 of sixteen channels: m·2^15 and −t, as [`scale`] wants them.
#[derive(Clone, Copy)]
pub(crate) struct Factors {
    m: Acc,
    t: Acc,
}

/// From m and t.
#[inline(always)]
pub(super) unsafe fn factors(m: Acc, t: Acc) -> Factors {
    unsafe {
        let t = [vnegq_s32(t[0]), vnegq_s32(t[1]), vnegq_s32(t[2]), vnegq_s32(t[3])];
        let m = [vshlq_n_s32::<15>(m[0]), vshlq_n_s32::<15>(m[1]), vshlq_n_s32::<15>(m[2]), vshlq_n_s32::<15>(m[3])];
        Factors { m, t }
    }
}

/// Rule 3: SQDMULH gives ⌊2·(v·2^8)·(m·2^15) / 2^32⌋ = ⌊v·m/2^8⌋, a rounding shift the rest.
#[inline(always)]
pub(super) unsafe fn scale(v: Acc, f: Factors) -> Acc {
    unsafe {
        [
            scale_four(v[0], f.m[0], f.t[0]),
            scale_four(v[1], f.m[1], f.t[1]),
            scale_four(v[2], f.m[2], f.t[2]),
            scale_four(v[3], f.m[3], f.t[3]),
        ]
    }
}

#[inline(always)]
unsafe fn scale_four(v: int32x4_t, m: int32x4_t, t: int32x4_t) -> int32x4_t {
    unsafe { vrshlq_s32(vqdmulhq_s32(vshlq_n_s32::<8>(v), m), t) }
}

#[inline(always)]
unsafe fn narrow(a: int32x4_t, b: int32x4_t) -> int16x8_t {
    unsafe { vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)) }
}

/// See [`crate::kernels::dot::Isa::store_i8`].
#[inline(always)]
pub(super) unsafe fn store_i8(v: Acc, out: *mut i8, count: usize) {
    unsafe {
        let bytes = vcombine_s8(vqmovn_s16(narrow(v[0], v[1])), vqmovn_s16(narrow(v[2], v[3])));
        let bytes = vmaxq_s8(bytes, vdupq_n_s8(-127));
        if count == CHANNELS {
            vst1q_s8(out, bytes);
        } else {
            let mut all = [0i8; CHANNELS];
            vst1q_s8(all.as_mut_ptr(), bytes);
            core::ptr::copy_nonoverlapping(all.as_ptr(), out, count.min(CHANNELS));
        }
    }
}

/// See [`crate::kernels::dot::Isa::store_i16`].
#[inline(always)]
pub(super) unsafe fn store_i16(v: Acc, out: *mut i16, count: usize) {
    unsafe {
        let mut all = [0i16; CHANNELS];
        let to = if count == CHANNELS { out } else { all.as_mut_ptr() };
        vst1q_s16(to, narrow(v[0], v[1]));
        vst1q_s16(to.add(8), narrow(v[2], v[3]));
        if count != CHANNELS {
            core::ptr::copy_nonoverlapping(all.as_ptr(), out, count.min(CHANNELS));
        }
    }
}

/// See [`crate::kernels::dot::Isa::centred`].
#[inline(always)]
pub(super) unsafe fn centred(from: *const i16, count: usize, mean128: Acc) -> Acc {
    unsafe {
        let mut all = [0i16; CHANNELS];
        let from = if count == CHANNELS {
            from
        } else {
            core::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count.min(CHANNELS));
            all.as_ptr()
        };
        let (a, b) = (vld1q_s16(from), vld1q_s16(from.add(8)));
        [
            vsubq_s32(vshll_n_s16::<7>(vget_low_s16(a)), mean128[0]),
            vsubq_s32(vshll_n_s16::<7>(vget_high_s16(a)), mean128[1]),
            vsubq_s32(vshll_n_s16::<7>(vget_low_s16(b)), mean128[2]),
            vsubq_s32(vshll_n_s16::<7>(vget_high_s16(b)), mean128[3]),
        ]
    }
}

/// Adds the products of two i16 and two i16 for four channels.
#[inline(always)]
pub(super) unsafe fn dot_wide(sum: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    unsafe {
        let (x, w) = (vreinterpretq_s16_s8(x), vreinterpretq_s16_s8(w));
        let pairs = vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(w)), vmull_high_s16(x, w));
        vaddq_s32(sum, pairs)
    }
}

/// Sixteen codes through a table of 256 bytes: four lookups among 64, each leaving what it does not reach.
#[inline(always)]
pub(super) unsafe fn lookup(table: &[uint8x16x4_t; 4], code: uint8x16_t) -> uint8x16_t {
    unsafe {
        let by = vdupq_n_u8(64);
        let (second, third) = (vsubq_u8(code, by), vsubq_u8(code, vdupq_n_u8(128)));
        let value = vqtbl4q_u8(table[0], code);
        let value = vqtbx4q_u8(value, table[1], second);
        let value = vqtbx4q_u8(value, table[2], third);
        vqtbx4q_u8(value, table[3], vsubq_u8(third, by))
    }
}

/// 256 bytes.
#[inline(always)]
pub(super) unsafe fn table(from: &[u8; 256]) -> [uint8x16x4_t; 4] {
    let from = from.as_ptr();
    unsafe { [vld1q_u8_x4(from), vld1q_u8_x4(from.add(64)), vld1q_u8_x4(from.add(128)), vld1q_u8_x4(from.add(192))] }
}
