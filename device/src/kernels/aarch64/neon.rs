//! Advanced SIMD: four channels to a register, sixteen in four.

use super::rows::{self, Acc, Factors};
use crate::kernels::dot::{Isa, dot_kernel};
use crate::kernels::portable::Portable;
use crate::kernels::{HeadRows, HeadShape, Input, Kernel as _};
use core::arch::aarch64::*;
use ldae_shared::fixed::{Factor, NormToken};
use ldae_shared::format::{Block, Linear};

/// The instructions, with SDOT or without.
pub(crate) struct Neon<const SDOT: bool>;

dot_kernel!(NeonDot, Neon<false>, 4, "neon", "Sixteen-bit products of bytes, summed in pairs.");
dot_kernel!(NeonDotprod, Neon<true>, 4, "neon,dotprod", "Dot products of four bytes.");

/// Adds the products of four bytes and four bytes for four channels.
#[inline(always)]
unsafe fn dot<const SDOT: bool>(mut sum: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    unsafe {
        if SDOT {
            // The intrinsic is not stable in Rust 1.95.
            core::arch::asm!(
                ".arch_extension dotprod",
                "sdot {sum:v}.4s, {x:v}.16b, {w:v}.16b",
                sum = inout(vreg) sum,
                x = in(vreg) x,
                w = in(vreg) w,
                options(pure, nomem, nostack, preserves_flags)
            );
            return sum;
        }
        // |x| ≤ 128 and |w| ≤ 127: two products stay below 2^15.
        let low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
        vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(x, w)))
    }
}

// SAFETY: see `Isa`.
impl<const SDOT: bool> Isa for Neon<SDOT> {
    type Acc = Acc;
    type Input = int8x16_t;
    type Weights = [int8x16_t; 4];
    type Factors = Factors;

    const OFFSET: i32 = 0;
    const PANELS: usize = 1;

    #[inline(always)]
    unsafe fn splat(value: i32) -> Acc {
        unsafe { [vdupq_n_s32(value); 4] }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Acc {
        unsafe { rows::load(from) }
    }

    #[inline(always)]
    unsafe fn input(from: *const u8) -> int8x16_t {
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> [int8x16_t; 4] {
        let from = from.cast();
        unsafe { [vld1q_s8(from), vld1q_s8(from.add(16)), vld1q_s8(from.add(32)), vld1q_s8(from.add(48))] }
    }

    #[inline(always)]
    unsafe fn dot(sum: Acc, x: int8x16_t, w: [int8x16_t; 4]) -> Acc {
        unsafe {
            [
                dot::<SDOT>(sum[0], x, w[0]),
                dot::<SDOT>(sum[1], x, w[1]),
                dot::<SDOT>(sum[2], x, w[2]),
                dot::<SDOT>(sum[3], x, w[3]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn dot_wide(sum: Acc, x: int8x16_t, w: [int8x16_t; 4]) -> Acc {
        unsafe {
            [
                rows::dot_wide(sum[0], x, w[0]),
                rows::dot_wide(sum[1], x, w[1]),
                rows::dot_wide(sum[2], x, w[2]),
                rows::dot_wide(sum[3], x, w[3]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn without_offset(a: Acc, _b: Acc) -> Acc {
        a // the instructions take signed bytes
    }

    #[inline(always)]
    unsafe fn factors(m: Acc, t: Acc) -> Factors {
        unsafe { rows::factors(m, t) }
    }

    #[inline(always)]
    unsafe fn scale(v: Acc, f: Factors) -> Acc {
        unsafe { rows::scale(v, f) }
    }

    #[inline(always)]
    unsafe fn store_i8(v: Acc, out: *mut i8, count: usize) {
        unsafe { rows::store_i8(v, out, count) }
    }

    #[inline(always)]
    unsafe fn store_i16(v: Acc, out: *mut i16, count: usize) {
        unsafe { rows::store_i16(v, out, count) }
    }

    #[inline(always)]
    unsafe fn centred(from: *const i16, count: usize, mean128: Acc) -> Acc {
        unsafe { rows::centred(from, count, mean128) }
    }

    #[inline(always)]
    unsafe fn gelu(block: &Block<'_>, codes: &mut [i8]) {
        unsafe { gelu(block, codes) }
    }
}

#[inline(always)]
unsafe fn gelu(block: &Block<'_>, codes: &mut [i8]) {
    let Some(table) = block.gelu_table().first_chunk::<256>() else { return };
    let (whole, rest) = codes.as_chunks_mut::<16>();
    unsafe {
        let table = rows::table(table);
        for codes in whole {
            let code = vreinterpretq_u8_s8(vld1q_s8(codes.as_ptr()));
            vst1q_s8(codes.as_mut_ptr(), vreinterpretq_s8_u8(rows::lookup(&table, code)));
        }
    }
    Portable::gelu(block, rest);
}
