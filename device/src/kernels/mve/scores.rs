//! Logits of heads of 32 values, the head width of the board presets: two queries stay in registers while all keys pass.
//!
//! One factor serves all, so rule 3 is VQRDMULH by a general register, m·2^(23−t): (2·v·s + 2^31) >> 32 is the same rounding, half
//! up, and cannot saturate below s = 2^31.

use crate::kernels::{HeadRows, HeadShape};
use core::arch::global_asm;
use ldae_shared::fixed::Factor;

/// What the assembly reads.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Call {
    /// First query.
    x: *const i8,
    /// From one query to the next, bytes.
    x_row: usize,
    /// Pairs of queries.
    pairs: usize,
    /// Panels of four keys.
    keys: *const u8,
    /// Their number.
    panels: usize,
    /// Logits of the first query.
    out: *mut i8,
    /// Logits of one query, bytes.
    out_row: usize,
    /// m·2^(23−t).
    factor: i32,
}

unsafe extern "C" {
    fn ldae_mve_logits_32(call: *const Call);
}

/// Logits of all queries; false, and nothing done, where the shape or the factor is another.
pub(super) fn logits(q: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, out: &mut [i8]) -> bool {
    let count = q.rows.len() / q.stride.max(1);
    let (panels, t) = (head.tokens / 4, factor.t());
    let long_enough = count > 0
        && q.rows.len() >= (count - 1) * q.stride + q.column + 32
        && keys.len() >= 32 * head.tokens
        && out.len() >= count * head.tokens;
    if head.width != 32 || head.tokens % 4 != 0 || panels == 0 || !(8..=23).contains(&t) || !long_enough {
        return false;
    }
    let factor = i32::from(factor.m()) << (23 - t);
    let (x, out) = (q.rows.as_ptr().wrapping_add(q.column), out.as_mut_ptr());
    let keys = keys.as_ptr();
    let call = Call { x, x_row: q.stride, pairs: count / 2, keys, panels, out, out_row: head.tokens, factor };
    if call.pairs > 0 {
        // SAFETY: the lengths were checked above.
        unsafe { ldae_mve_logits_32(&call) };
    }
    if count % 2 == 1 {
        let (x, out) = (x.wrapping_add((count - 1) * q.stride), out.wrapping_add((count - 1) * head.tokens));
        // SAFETY: as above; the last query as both of a pair.
        unsafe { ldae_mve_logits_32(&Call { x, x_row: 0, pairs: 1, out, out_row: 0, ..call }) };
    }
    true
}

// Registers: r0 r2 r4 r6 first query, r8 r10 r12 lr second; r5 keys; r7 r3 logits; r9 factor; r11 panels.
// q0 q1 first query, q2 q3 second; q4 q5 keys; q6 q7 -127 and 127. Stack: the call.
global_asm!(
    r#"
    .syntax unified
    .cpu cortex-m55
    .thumb
    .section .text.ldae_mve_logits_32,"ax",%progbits
    .balign 4
    .global ldae_mve_logits_32
    .type ldae_mve_logits_32,%function
    .thumb_func
ldae_mve_logits_32:
    push {{r3-r11, lr}}
    vpush {{d8-d15}}
    sub sp, #32
    mov r12, sp
    ldm.w r0, {{r1-r8}}
    stm.w r12, {{r1-r8}}
    ldr r9, [sp, #28]
    vmvn.i32 q6, #126
    vmov.i32 q7, #127
1:  // a pair of queries
    ldrd r0, r2, [sp]
    vldrb.u8 q0, [r0]
    vldrb.u8 q1, [r0, #16]
    add r0, r2
    vldrb.u8 q2, [r0]
    vldrb.u8 q3, [r0, #16]
    add r0, r2
    str r0, [sp]
    ldrd r5, r11, [sp, #12]
    ldrd r7, r4, [sp, #20]
    adds r3, r7, r4
    add r4, r3
    str r4, [sp, #20]
2:  // four keys
    vldrb.u8 q4, [r5], #16
    vmladav.s8 r0, q0, q4
    vldrb.u8 q5, [r5], #16
    vmladav.s8 r8, q2, q4
    vmladav.s8 r2, q0, q5
    vldrb.u8 q4, [r5], #16
    vmladav.s8 r10, q2, q5
    vmladav.s8 r4, q0, q4
    vldrb.u8 q5, [r5], #16
    vmladav.s8 r12, q2, q4
    vmladav.s8 r6, q0, q5
    vldrb.u8 q4, [r5], #16
    vmladav.s8 lr, q2, q5
    vmladava.s8 r0, q1, q4
    vldrb.u8 q5, [r5], #16
    vmladava.s8 r8, q3, q4
    vmladava.s8 r2, q1, q5
    vldrb.u8 q4, [r5], #16
    vmladava.s8 r10, q3, q5
    vmladava.s8 r4, q1, q4
    vldrb.u8 q5, [r5], #16
    vmladava.s8 r12, q3, q4
    vmladava.s8 r6, q1, q5
    vmladava.s8 lr, q3, q5
    vmov q4[2], q4[0], r0, r4
    vmov q4[3], q4[1], r2, r6
    vmov q5[2], q5[0], r8, r12
    vmov q5[3], q5[1], r10, lr
    subs r11, r11, #1
    vqrdmulh.s32 q4, q4, r9
    vqrdmulh.s32 q5, q5, r9
    vmax.s32 q4, q4, q6
    vmax.s32 q5, q5, q6
    vmin.s32 q4, q4, q7
    vstrb.32 q4, [r7], #4
    vmin.s32 q5, q5, q7
    vstrb.32 q5, [r3], #4
    bne.w 2b
    ldr r0, [sp, #8]
    subs r0, #1
    str r0, [sp, #8]
    bne.w 1b
    add sp, #32
    vpop {{d8-d15}}
    pop {{r3-r11, pc}}
    .size ldae_mve_logits_32, . - ldae_mve_logits_32
    "#
);
