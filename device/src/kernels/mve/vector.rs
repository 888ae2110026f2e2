//! Row by row work in assembly: LayerNorm, softmax, GELU, residuals, and the transposition of values.
//!
//! Loops end by tail predication, so every length is exact.

use core::arch::global_asm;

/// What [`ldae_mve_normalise`] reads beside its row.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Normalise {
    /// −mean·128.
    pub offset: i32,
    /// High factor.
    pub factor: i32,
    /// Groups of sixteen values, taken first; their row must lie at a multiple of four bytes.
    pub groups: usize,
    /// Values behind them.
    pub rest: usize,
}

unsafe extern "C" {
    /// Σx² (low word, high word) and Σx of `count` values.
    pub(super) fn ldae_mve_sums(row: *const i16, count: usize, sums: *mut [u32; 3]);
    /// Rule 5: 128·x − mean·128, rule 3, i8.
    pub(super) fn ldae_mve_normalise(row: *const i16, out: *mut i8, call: *const Normalise);
    /// Table entries (256 bytes, indexed by the code as u8) in place of codes.
    pub(super) fn ldae_mve_gelu(codes: *mut i8, count: usize, table: *const u8);
    /// Saturating addition of `branch` to `stream`.
    pub(super) fn ldae_mve_add(stream: *mut i16, branch: *const i16, count: usize);
    /// Table entries (256 u16, indexed by maximum − logit) of one row of logits; returns their sum.
    pub(super) fn ldae_mve_exponentials(logits: *const i8, count: usize, table: *const u8, out: *mut u16) -> u32;
    /// out = out·factor >> 16 << left, `left` ≤ 0.
    pub(super) fn ldae_mve_scale(out: *mut u16, count: usize, factor: u32, left: i32);
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
    push {{r4, lr}}
    vpush {{d8-d15}}
    ldm.w r2, {{r2, r3, r4, r12}}
    vdup.32 q7, r3
    vmov.i32 q6, #128
    vmov.i8 q5, #0x81
    wls lr, r4, 2f
1:  vld20.16 {{q0, q1}}, [r0]
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
    le lr, 1b
2:  wlstp.32 lr, r12, 4f
3:  vldrh.s32 q0, [r0], #8
    vmlas.s32 q0, q6, r2
    vrmulh.s32 q0, q0, q7
    vqmovnb.s32 q0, q0
    vqmovnb.s16 q0, q0
    vmax.s8 q0, q0, q5
    vstrb.32 q0, [r1], #4
    letp lr, 3b
4:  vpop {{d8-d15}}
    pop {{r4, pc}}

    ldae_mve_function ldae_mve_gelu
    push {{r4, lr}}
    wlstp.8 lr, r1, 2f
1:  vldrb.u8 q0, [r0]
    vldrb.u8 q1, [r2, q0]
    vstrb.8 q1, [r0], #16
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

    ldae_mve_function ldae_mve_exponentials
    push {{r4, lr}}
    mov r12, r0
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
4:  mov r0, r4
    pop {{r4, pc}}

    ldae_mve_function ldae_mve_scale
    push {{r4, lr}}
    vdup.16 q1, r2
    wlstp.16 lr, r1, 2f
1:  vldrh.u16 q0, [r0]
    vmulh.u16 q0, q0, q1
    vshl.u16 q0, r3
    vstrh.16 q0, [r0], #16
    letp lr, 1b
2:  pop {{r4, pc}}

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
