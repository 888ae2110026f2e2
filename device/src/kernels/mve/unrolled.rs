//! The panel products of [`super::panel`] with all steps of a row unrolled, for the row lengths of the presets.
//!
//! The second row is addressed from the pointer of the first, weights from that of their step, and both pointers are taken
//! back by the first loads of a row pair, so that 14 instructions a step are all there is beside requantisation. Needs dense
//! rows and everything at multiples of four bytes. Steps a row: W/16, rW/16 and K/16, and
//! for probabilities N/8.

use super::panel::{Call, Function};
use core::arch::global_asm;

/// The unrolled function for rows of `steps` vectors, where there is one.
pub(super) fn bytes_to_i8(steps: usize) -> Option<Function> {
    Some(match steps {
        4 => ldae_mve_bytes_to_i8_4,
        6 => ldae_mve_bytes_to_i8_6,
        8 => ldae_mve_bytes_to_i8_8,
        12 => ldae_mve_bytes_to_i8_12,
        _ => return None,
    })
}

/// As [`bytes_to_i8`].
pub(super) fn bytes_to_i16(steps: usize) -> Option<Function> {
    Some(match steps {
        2 => ldae_mve_bytes_to_i16_2,
        4 => ldae_mve_bytes_to_i16_4,
        6 => ldae_mve_bytes_to_i16_6,
        8 => ldae_mve_bytes_to_i16_8,
        12 => ldae_mve_bytes_to_i16_12,
        24 => ldae_mve_bytes_to_i16_24,
        _ => return None,
    })
}

/// As [`bytes_to_i8`].
pub(super) fn halves_to_i8(steps: usize) -> Option<Function> {
    Some(match steps {
        2 => ldae_mve_halves_to_i8_2,
        5 => ldae_mve_halves_to_i8_5,
        8 => ldae_mve_halves_to_i8_8,
        _ => return None,
    })
}

unsafe extern "C" {
    fn ldae_mve_bytes_to_i8_4(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i8_6(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i8_8(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i8_12(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i16_2(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i16_4(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i16_6(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i16_8(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i16_12(call: *const Call) -> usize;
    fn ldae_mve_bytes_to_i16_24(call: *const Call) -> usize;
    fn ldae_mve_halves_to_i8_2(call: *const Call) -> usize;
    fn ldae_mve_halves_to_i8_5(call: *const Call) -> usize;
    fn ldae_mve_halves_to_i8_8(call: *const Call) -> usize;
}

// Registers: r0 r2 r4 r6 first row, r8 r10 r12 lr second row; r1 rows; r3 header; r5 weights; r7 output; r9 its stride; r11
// pairs. q0 q1 inputs; q2 q3 weights; q4 biases; q5 high factors; q6 q7 -127 and 127. Stack: the call.
global_asm!(
    r#"
    .syntax unified
    .cpu cortex-m55
    .thumb
    // Products of one step; at its end q0 and q2 hold the next step's first operands.
    .macro ldae_mve_unrolled_step add, type, ldw, wb, steps, last
    vldrw.u32 q1, [r1, #16*\steps]
    vmladav\add\type r0, q0, q2
    \ldw q3, [r5, #\wb]
    vmladav\add\type r8, q1, q2
    \ldw q2, [r5, #2*\wb]
    vmladav\add\type r2, q0, q3
    vmladav\add\type r10, q1, q3
    \ldw q3, [r5, #3*\wb]
    vmladav\add\type r4, q0, q2
    vmladav\add\type r12, q1, q2
    .if \last == 0
    \ldw q2, [r5, #4*\wb]!
    .endif
    vmladav\add\type r6, q0, q3
    .if \last == 0
    vldrw.u32 q0, [r1, #16]!
    .endif
    vmladav\add\type lr, q1, q3
    .endm

    .macro ldae_mve_unrolled name, type, ldw, wb, reach, to, steps
    .section .text.\name,"ax",%progbits
    .balign 4
    .global \name
    .type \name,%function
    .thumb_func
\name:
    push {{r3-r11, lr}}
    vpush {{d8-d15}}
    sub sp, #64
    mov r12, sp
    ldm r0!, {{r1-r8}}
    stm r12!, {{r1-r8}}
    ldm r0, {{r1-r7}}
    stm r12, {{r1-r7}}
    ldr r9, [sp]
    ldr r0, [sp, #20]
    sub.w r0, r0, #16*\steps+16
    str r0, [sp, #24]
    ldr r3, [sp, #32]
    ldr r5, [sp, #40]
    add.w r5, r5, #4*\wb*(\steps-1)
    .ifc \to,i8
    vmvn.i32 q6, #126
    vmov.i32 q7, #127
    .endif
1:  // a panel; r5 is at its last step
    ldr r4, [r3, #16]
    ldrd r1, r11, [sp, #24]
    cmp r4, #0
    beq.w 5f
    vldrw.u32 q4, [r3]
    vldrw.u32 q5, [r3, #16]
    ldr r0, [sp, #36]
    ldrd r7, r2, [sp, #48]
    add r3, r0
    add r2, r7
    str r2, [sp, #48]
2:  // a row pair
    vldrw.u32 q0, [r1, #16*\steps+16]!
    .if 4*\wb*(\steps-1) <= \reach
    \ldw q2, [r5, #-4*\wb*(\steps-1)]!
    .else
    sub.w r5, r5, #4*\wb*(\steps-1)
    \ldw q2, [r5]
    .endif
    ldae_mve_unrolled_step , \type, \ldw, \wb, \steps, 0
    .rept \steps-2
    ldae_mve_unrolled_step a, \type, \ldw, \wb, \steps, 0
    .endr
    ldae_mve_unrolled_step a, \type, \ldw, \wb, \steps, 1
    vmov q0[2], q0[0], r0, r4
    vmov q0[3], q0[1], r2, r6
    subs r11, r11, #1
    vmov q1[2], q1[0], r8, r12
    vmov q1[3], q1[1], r10, lr
    vadd.i32 q0, q0, q4
    vrmulh.s32 q0, q0, q5
    vadd.i32 q1, q1, q4
    vrmulh.s32 q1, q1, q5
    .ifc \to,i16
    vqmovnb.s32 q0, q0
    vstrh.32 q0, [r7]
    vqmovnb.s32 q1, q1
    add r7, r9
    vstrh.32 q1, [r7]
    .else
    vmax.s32 q0, q0, q6
    vmin.s32 q0, q0, q7
    vstrb.32 q0, [r7]
    vmax.s32 q1, q1, q6
    add r7, r9
    vmin.s32 q1, q1, q7
    vstrb.32 q1, [r7]
    .endif
    add r7, r9
    bne.w 2b
    ldr r0, [sp, #44]
    ldr r2, [sp, #56]
    add r5, r0
    subs r2, #1
    str r2, [sp, #56]
    bne.w 1b
5:
    ldr r0, [sp, #56]
    add sp, #64
    vpop {{d8-d15}}
    pop {{r3-r11, pc}}
    .size \name, . - \name
    .endm

    ldae_mve_unrolled ldae_mve_bytes_to_i8_4, .s8, vldrw.u32, 16, 508, i8, 4
    ldae_mve_unrolled ldae_mve_bytes_to_i8_6, .s8, vldrw.u32, 16, 508, i8, 6
    ldae_mve_unrolled ldae_mve_bytes_to_i8_8, .s8, vldrw.u32, 16, 508, i8, 8
    ldae_mve_unrolled ldae_mve_bytes_to_i8_12, .s8, vldrw.u32, 16, 508, i8, 12
    ldae_mve_unrolled ldae_mve_bytes_to_i16_2, .s8, vldrw.u32, 16, 508, i16, 2
    ldae_mve_unrolled ldae_mve_bytes_to_i16_4, .s8, vldrw.u32, 16, 508, i16, 4
    ldae_mve_unrolled ldae_mve_bytes_to_i16_6, .s8, vldrw.u32, 16, 508, i16, 6
    ldae_mve_unrolled ldae_mve_bytes_to_i16_8, .s8, vldrw.u32, 16, 508, i16, 8
    ldae_mve_unrolled ldae_mve_bytes_to_i16_12, .s8, vldrw.u32, 16, 508, i16, 12
    ldae_mve_unrolled ldae_mve_bytes_to_i16_24, .s8, vldrw.u32, 16, 508, i16, 24
    ldae_mve_unrolled ldae_mve_halves_to_i8_2, .s16, vldrb.s16, 8, 127, i8, 2
    ldae_mve_unrolled ldae_mve_halves_to_i8_5, .s16, vldrb.s16, 8, 127, i8, 5
    ldae_mve_unrolled ldae_mve_halves_to_i8_8, .s16, vldrb.s16, 8, 127, i8, 8
    "#
);
