//! Matrix products in assembly: row pairs times panels of four channels (layout `helium`).
//!
//! VMLADAVA adds the products of one vector of inputs with one of weights to a general register with an even number; there are
//! eight of those (lr among them, so the loops count in odd ones), hence two rows by four channels: sixteen inputs of each
//! are 6 loads and 8 VMLADAVA for 128 products, loads and multiplications alternating as the dual-beat pipeline wants
//! them. The loop over inputs is unrolled eight times and entered where the first pass has as many steps as are left over.
//!
//! Rule 3 in one instruction: one rounding, half up, of v·m/2^(8+t) is VRMULH of v with m·2^(24−t), the high factor of the
//! panel's header; it exists for 8 ≤ t ≤ 24. A panel without one has 0 there and stops the assembly; the caller then takes the raw
//! accumulators and applies the rule as it is written.

use core::arch::global_asm;

/// Bytes of one step of a row: a vector.
pub(super) const STEP: usize = 16;

/// What the assembly reads; all steps and strides in bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Call {
    /// From one row of the output to the next.
    pub out_row: usize,
    /// From the end of a row pair to the next pair, wrapping.
    pub x_back: usize,
    /// Bytes of a panel's body.
    pub body_bytes: usize,
    /// Passes through the unrolled loop; the last step of a row is outside.
    pub passes: usize,
    /// Steps that the first pass leaves out.
    pub skip: usize,
    /// First row.
    pub x: *const u8,
    /// From one row to the next.
    pub x_row: usize,
    /// Row pairs.
    pub pairs: usize,
    /// First header.
    pub header: *const u8,
    /// From one header to the next.
    pub header_step: usize,
    /// First body.
    pub body: *const u8,
    /// From one body to the next.
    pub body_step: usize,
    /// Output of the first row and channel.
    pub out: *mut u8,
    /// From one panel's outputs to the next.
    pub out_step: usize,
    /// Panels.
    pub panels: usize,
}

/// An assembly function; returns how many panels are left.
pub(super) type Function = unsafe extern "C" fn(*const Call) -> usize;

unsafe extern "C" {
    /// i8 rows to i8; returns how many panels are left, the first of them one without high factors.
    pub(super) fn ldae_mve_bytes_to_i8(call: *const Call) -> usize;
    /// i8 rows to i16.
    pub(super) fn ldae_mve_bytes_to_i16(call: *const Call) -> usize;
    /// i8 rows to i32 accumulators with their bias; takes every panel.
    pub(super) fn ldae_mve_bytes_to_sums(call: *const Call) -> usize;
    /// i16 rows (probabilities) to i8.
    pub(super) fn ldae_mve_halves_to_i8(call: *const Call) -> usize;
    /// i16 rows to i32 accumulators.
    pub(super) fn ldae_mve_halves_to_sums(call: *const Call) -> usize;
}

// Registers: r0 r2 r4 r6 first row, r8 r10 r12 lr second row; r1 r3 rows; r5 weights; r7 output; r9 passes; r11 pairs.
// q0 q1 inputs; q2 q3 q4 weights; q5 high factors; q6 q7 -127 and 127. Stack: four biases, then the call.
global_asm!(
    r#"
    .syntax unified
    .cpu cortex-m55
    .thumb
    .macro ldae_mve_step mla, ldx, ldw, wb
    \mla r0, q0, q2
    \ldx q1, [r3], #16
    \mla r8, q1, q2
    \ldw q3, [r5], #\wb
    \mla r2, q0, q3
    \ldw q4, [r5], #\wb
    \mla r10, q1, q3
    \ldw q3, [r5], #\wb
    \mla r4, q0, q4
    \ldw q2, [r5], #\wb
    \mla r12, q1, q4
    \mla r6, q0, q3
    \ldx q0, [r1], #16
    \mla lr, q1, q3
    .endm

    .macro ldae_mve_last_step mla, ldx, ldw, wb
    \mla r0, q0, q2
    \ldx q1, [r3], #16
    \mla r8, q1, q2
    \ldw q3, [r5], #\wb
    \mla r2, q0, q3
    \ldw q4, [r5], #\wb
    \mla r10, q1, q3
    \ldw q3, [r5], #\wb
    \mla r4, q0, q4
    \mla r12, q1, q4
    \mla r6, q0, q3
    \mla lr, q1, q3
    .endm

    .macro ldae_mve_panels name, mla, ldx, ldw, wb, to
    .section .text.\name,"ax",%progbits
    .balign 4
    .global \name
    .type \name,%function
    .thumb_func
\name:
    push {{r3-r11, lr}}
    vpush {{d8-d15}}
    sub sp, #80
    add r12, sp, #16
    ldm r0!, {{r1-r8}}
    stm r12!, {{r1-r8}}
    ldm r0, {{r1-r7}}
    stm r12, {{r1-r7}}
    ldrd r7, r1, [sp, #28]
    adr.w r2, 3f
    movs r3, #56
    mla r2, r1, r3, r2
    cbnz r7, 0f
    adr.w r2, 4f
0:
    orr r2, #1
    str r2, [sp, #32]
    .ifc \to,i8
    vmvn.i32 q6, #126
    vmov.i32 q7, #127
    .endif
1:  // a panel
    ldrd r0, r2, [sp, #48]
    .ifnc \to,sums
    ldr r4, [r0, #16]
    cmp r4, #0
    beq.w 5f
    vldrw.u32 q5, [r0, #16]
    .endif
    vldrw.u32 q0, [r0]
    add r0, r2
    str r0, [sp, #48]
    ldr r5, [sp, #56]
    ldrd r1, r3, [sp, #36]
    add r3, r1
    ldr r7, [sp, #64]
    ldr r9, [sp, #28]
    ldr r11, [sp, #44]
    vstrw.32 q0, [sp]
2:  // a row pair
    ldm.w sp, {{r0, r2, r4, r6}}
    \ldx q0, [r1], #16
    ldm.w sp, {{r8, r10, r12, lr}}
    \ldw q2, [r5], #\wb
    ldr pc, [sp, #32]
    .balign 4
3:
    .rept 8
    ldae_mve_step \mla, \ldx, \ldw, \wb
    .endr
    subs r9, r9, #1
    bne.w 3b
    .balign 4
4:
    ldae_mve_last_step \mla, \ldx, \ldw, \wb
    vmov q0[2], q0[0], r0, r4
    vmov q0[3], q0[1], r2, r6
    ldrd r0, r2, [sp, #16]
    vmov q1[2], q1[0], r8, r12
    vmov q1[3], q1[1], r10, lr
    ldrd r4, r9, [sp, #24]
    add r1, r2
    add r3, r2
    sub r5, r4
    .ifc \to,sums
    vstrw.32 q0, [r7]
    add r7, r0
    vstrw.32 q1, [r7]
    .endif
    .ifc \to,i16
    vrmulh.s32 q0, q0, q5
    vrmulh.s32 q1, q1, q5
    vqmovnb.s32 q0, q0
    vqmovnb.s32 q1, q1
    vstrh.32 q0, [r7]
    add r7, r0
    vstrh.32 q1, [r7]
    .endif
    .ifc \to,i8
    vrmulh.s32 q0, q0, q5
    vrmulh.s32 q1, q1, q5
    vmax.s32 q0, q0, q6
    vmax.s32 q1, q1, q6
    vmin.s32 q0, q0, q7
    vmin.s32 q1, q1, q7
    vstrb.32 q0, [r7]
    add r7, r0
    vstrb.32 q1, [r7]
    .endif
    add r7, r0
    subs r11, r11, #1
    bne.w 2b
    ldrd r0, r2, [sp, #56]
    add r0, r2
    ldrd r2, r4, [sp, #64]
    str r0, [sp, #56]
    add r2, r4
    ldr r0, [sp, #72]
    str r2, [sp, #64]
    subs r0, #1
    str r0, [sp, #72]
    bne.w 1b
5:
    ldr r0, [sp, #72]
    add sp, #80
    vpop {{d8-d15}}
    pop {{r3-r11, pc}}
    .size \name, . - \name
    .endm

    ldae_mve_panels ldae_mve_bytes_to_i8, vmladava.s8, vldrb.u8, vldrb.u8, 16, i8
    ldae_mve_panels ldae_mve_bytes_to_i16, vmladava.s8, vldrb.u8, vldrb.u8, 16, i16
    ldae_mve_panels ldae_mve_bytes_to_sums, vmladava.s8, vldrb.u8, vldrb.u8, 16, sums
    ldae_mve_panels ldae_mve_halves_to_i8, vmladava.s16, vldrh.u16, vldrb.s16, 8, i8
    ldae_mve_panels ldae_mve_halves_to_sums, vmladava.s16, vldrh.u16, vldrb.s16, 8, sums
    "#
);
