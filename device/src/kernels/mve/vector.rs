//! Row by row work in assembly: LayerNorm, softmax, GELU, residuals, and the transposition of values.
//!
//! Loops end by tail predication, so every length is exact.

use core::arch::global_asm;

/// Rows to normalise.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Normalise {
    /// First row.
    pub stream: *const i16,
    /// First row of the output.
    pub out: *mut i8,
    /// Of the first row.
    pub statistics: *const [i32; 2],
    /// Rows.
    pub rows: usize,
    /// Groups of sixteen values of a row, taken first; the rows must lie at multiples of four bytes.
    pub groups: usize,
    /// Values behind them.
    pub rest: usize,
}

unsafe extern "C" {
    /// Σx² (low word, high word) and Σx of `count` values.
    pub(super) fn ldae_mve_sums(row: *const i16, count: usize, sums: *mut [u32; 3]);
    /// Rule 5 for rows until one without a high factor; returns how many are left.
    pub(super) fn ldae_mve_normalise(call: *const Normalise) -> usize;
    /// Table entries (256 bytes, indexed by the code as u8) in place of codes.
    pub(super) fn ldae_mve_gelu(codes: *mut i8, count: usize, table: *const u8);
    /// Bytes with the top bit flipped.
    pub(super) fn ldae_mve_centre(pixels: *const u8, out: *mut i8, count: usize);
    /// Bytes.
    pub(super) fn ldae_mve_copy(from: *const u16, to: *mut u8, bytes: usize);
    /// Saturating addition of `branch` to `stream`.
    pub(super) fn ldae_mve_add(stream: *mut i16, branch: *const i16, count: usize);
    /// Rule 6 for one row of logits with a table of 256 u16; false, and nothing of use written, where the entries sum to
    /// less than 2^15.
    pub(super) fn ldae_mve_softmax(logits: *const i8, count: usize, table: *const u8, out: *mut u16) -> bool;
    /// `4·groups` dense rows of `steps` vectors to panels of four rows, a vector of each in turn.
    pub(super) fn ldae_mve_interleave(rows: *const i8, steps: usize, groups: usize, out: *mut u8);
    /// Eight rows of bytes, `stride` apart, `4·groups` columns, to groups of four columns of eight bytes, `group_step` apart.
    pub(super) fn ldae_mve_transpose(rows: *const i8, stride: usize, groups: usize, out: *mut u8, group_step: usize);
}

global_asm!(
    r#"
    .syntax unified
    .cpu cortex-m55
    .thumb
    .macro ldae_mve_function name
    .section .text.\name,"ax",%progbits
    .balign 4
    .global \name
    .type \name,%function
    .thumb_func
\name:
    .endm

    ldae_mve_function ldae_mve_sums
    push {{r4, lr}}
    mov r12, r2
    movs r2, #0
    movs r3, #0
    movs r4, #0
    wlstp.16 lr, r1, 2f
1:  vldrh.u16 q0, [r0], #16
    vaddva.s16 r4, q0
    vmlaldava.s16 r2, r3, q0, q0
    letp lr, 1b
2:  stm.w r12, {{r2, r3, r4}}
    pop {{r4, pc}}

    ldae_mve_function ldae_mve_normalise
    push {{r4-r8, lr}}
    vpush {{d8-d15}}
    ldm.w r0, {{r0, r1, r5, r6, r7, r8}}
    vmov.i32 q6, #128
    vmov.i8 q5, #0x81
1:  ldrd r2, r3, [r5], #8
    lsr r4, r3, #16
    rsb r4, r4, #24
    cmp r4, #16
    bhi 6f
    uxth r3, r3
    lsl r3, r3, r4
    rsb r2, r2, #0
    vdup.32 q7, r3
    wls lr, r7, 3f
2:  vld20.16 {{q0, q1}}, [r0]
    vld21.16 {{q0, q1}}, [r0]!
    vmovlb.s16 q2, q0
    vmlas.s32 q2, q6, r2
    vmovlt.s16 q3, q0
    vmlas.s32 q3, q6, r2
    vmovlb.s16 q4, q1
    vmlas.s32 q4, q6, r2
    vmovlt.s16 q1, q1
    vmlas.s32 q1, q6, r2
    vrmulh.s32 q2, q2, q7
    vqmovnb.s32 q0, q2
    vrmulh.s32 q3, q3, q7
    vqmovnt.s32 q0, q3
    vrmulh.s32 q4, q4, q7
    vqmovnb.s32 q3, q4
    vrmulh.s32 q1, q1, q7
    vqmovnt.s32 q3, q1
    vqmovnb.s16 q2, q0
    vqmovnt.s16 q2, q3
    vmax.s8 q2, q2, q5
    vstrb.8 q2, [r1], #16
    le lr, 2b
3:  wlstp.32 lr, r8, 5f
4:  vldrh.s32 q0, [r0], #8
    vmlas.s32 q0, q6, r2
    vrmulh.s32 q0, q0, q7
    vqmovnb.s32 q0, q0
    vqmovnb.s16 q0, q0
    vmax.s8 q0, q0, q5
    vstrb.32 q0, [r1], #4
    letp lr, 4b
    // The last vector may have been a part of one.
    and r2, r8, #3
    cbz r2, 5f
    rsb r2, r2, #4
    sub r1, r1, r2
    sub r0, r0, r2, lsl #1
5:  subs r6, #1
    bne 1b
6:  mov r0, r6
    vpop {{d8-d15}}
    pop {{r4-r8, pc}}

    ldae_mve_function ldae_mve_gelu
    push {{r4, lr}}
    wlstp.8 lr, r1, 2f
1:  vldrb.u8 q0, [r0]
    vldrb.u8 q1, [r2, q0]
    vstrb.8 q1, [r0], #16
    letp lr, 1b
2:  pop {{r4, pc}}

    ldae_mve_function ldae_mve_centre
    push {{r4, lr}}
    vmov.i8 q1, #0x80
    wlstp.8 lr, r2, 2f
1:  vldrb.u8 q0, [r0], #16
    veor q0, q0, q1
    vstrb.8 q0, [r1], #16
    letp lr, 1b
2:  pop {{r4, pc}}

    ldae_mve_function ldae_mve_copy
    push {{r4, lr}}
    wlstp.8 lr, r2, 2f
1:  vldrb.u8 q0, [r0], #16
    vstrb.8 q0, [r1], #16
    letp lr, 1b
2:  pop {{r4, pc}}

    ldae_mve_function ldae_mve_add
    push {{r4, lr}}
    wlstp.16 lr, r2, 2f
1:  vldrh.u16 q1, [r1], #16
    vldrh.u16 q0, [r0]
    vqadd.s16 q0, q0, q1
    vstrh.16 q0, [r0], #16
    letp lr, 1b
2:  pop {{r4, pc}}

    ldae_mve_function ldae_mve_softmax
    push {{r4-r6, lr}}
    mov r12, r0
    mov r6, r3
    mvn r4, #127
    wlstp.8 lr, r1, 2f
1:  vldrb.u8 q0, [r12], #16
    vmaxv.s8 r4, q0
    letp lr, 1b
2:  sxtb r4, r4
    vdup.16 q2, r4
    movs r4, #0
    wlstp.16 lr, r1, 4f
3:  vldrb.s16 q0, [r0], #8
    vsub.i16 q0, q2, q0
    vldrh.u16 q1, [r2, q0, uxtw #1]
    vaddva.u16 r4, q1
    vstrh.16 q1, [r3], #16
    letp lr, 3b
4:  // r = 2^31 / ceil(sum / 2^down), at most 16 bits; down = 16 - leading zeros
    clz r5, r4
    rsbs r5, r5, #16
    itt lt
    movlt r0, #0
    poplt {{r4-r6, pc}}
    movs r0, #1
    lsl r2, r0, r5
    subs r2, #1
    add r4, r2
    lsrs r4, r5
    mov r2, #0x80000000
    udiv r2, r2, r4
    usat r2, #16, r2
    vdup.16 q1, r2
    rsbs r5, r5, #0
    wlstp.16 lr, r1, 6f
5:  vldrh.u16 q0, [r6]
    vmulh.u16 q0, q0, q1
    vshl.u16 q0, r5
    vstrh.16 q0, [r6], #16
    letp lr, 5b
6:  pop {{r4-r6, pc}}

    ldae_mve_function ldae_mve_interleave
    push {{r4-r6, lr}}
    lsl r6, r1, #6
    rsb r12, r6, #16
    subs r6, #64
1:  movs r4, #4
2:  mov r5, r1
3:  vldrb.u8 q0, [r0], #16
    vstrb.8 q0, [r3], #64
    subs r5, #1
    bne 3b
    add r3, r12
    subs r4, #1
    bne 2b
    add r3, r6
    subs r2, #1
    bne 1b
    pop {{r4-r6, pc}}

    ldae_mve_function ldae_mve_transpose
    push {{r4, lr}}
    ldr r12, [sp, #8]
    movs r4, #0
    vidup.u16 q0, r4, #1
    vmul.i16 q0, q0, r1
    movs r4, #1
    vadd.i16 q1, q0, r4
    vadd.i16 q2, q1, r4
    vadd.i16 q3, q2, r4
    wls lr, r2, 2f
    vpush {{d8-d9}}
1:  vldrb.u16 q4, [r0, q0]
    vstrb.16 q4, [r3]
    vldrb.u16 q4, [r0, q1]
    vstrb.16 q4, [r3, #8]
    vldrb.u16 q4, [r0, q2]
    vstrb.16 q4, [r3, #16]
    vldrb.u16 q4, [r0, q3]
    vstrb.16 q4, [r3, #24]
    adds r0, #4
    add r3, r12
    le lr, 1b
    vpop {{d8-d9}}
2:  pop {{r4, pc}}
    "#
);
