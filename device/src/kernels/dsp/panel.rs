//! The product of two rows with panels of four channels, in Armv7E-M instructions (layout `pairs`).
//!
//! Sixteen multiply-accumulates take twelve instructions: two LDRD, eight SMLAD, two SXTB16 (the arithmetic is in
//! `ldae_shared::format`'s layout `pairs`). Eight accumulators, two words of inputs, two of weights and two pointers fill
//! the registers; counters live on the stack. The requantisation is one SMMULR an output by the panel's high factor.
//!
//! Row 1 of a pair is stored before row 0, so that a single row runs as a pair with stride 0.

use core::arch::global_asm;

/// Arguments of the assembly; advanced by it.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Call {
    /// Rows in the kernel's form, pair after pair.
    pub x: *const u8,
    /// Body of the first panel.
    pub body: *const u8,
    /// Header of the first panel.
    pub header: *const u8,
    /// First output of row 0.
    pub out: *mut u8,
    /// Bytes from one row of outputs to the next.
    pub stride: usize,
    /// Pairs of rows, at least 1.
    pub pairs: usize,
    /// Panels, at least 1.
    pub panels: usize,
    /// Inputs / 16, at least 1.
    pub k16: usize,
    /// Bytes from one header to the next.
    pub header_step: usize,
    /// Bytes between the end of a body and the next body.
    pub body_gap: usize,
}

unsafe extern "C" {
    /// Outputs of one byte, −127..=127.
    pub(super) fn ldae_dsp_panel_i8(call: *mut Call);
    /// Outputs of two bytes, saturated.
    pub(super) fn ldae_dsp_panel_i16(call: *mut Call);
}

/// Sixteen inputs of two rows times four channels.
macro_rules! sixteen_inputs {
    () => {
        r#"
 .rept 8
 ldrd r12,lr,[r1],#8
 ldrd r10,r11,[r0],#8
 smlad r2,r10,r12,r2
 smlad r6,r11,r12,r6
 sxtb16 r12,r12
 smlad r4,r10,lr,r4
 smlad r8,r11,lr,r8
 sxtb16 lr,lr
 smlad r3,r10,r12,r3
 smlad r7,r11,r12,r7
 smlad r5,r10,lr,r5
 smlad r9,r11,lr,r9
 .endr
"#
    };
}

// The architecture is named because Armv8-M triples have no DSP instructions and link-time optimisation forgets the processor.
// Stack: 0 body, 4 end of body, 8 header, 12 out, 16 pairs left, 20 call, 24 panels left, 28 odd k16, 32 stride.
// r2 r4 (row 0) and r6 r8 (row 1): 256·S1 + S0 of channels (0, 1) and (2, 3); r3 r5, r7 r9: S0 of the same.
macro_rules! panel {
    ($name:literal, $epilogue:literal, $out_step:literal) => {
        global_asm!(
            concat!(
                " .syntax unified\n .arch armv7e-m\n .thumb\n .section .text.",
                $name,
                ",\"ax\",%progbits\n .balign 16\n .global ",
                $name,
                "\n .type ",
                $name,
                ",%function\n .thumb_func\n",
                $name,
                ":\n",
                r#"
 push {r4-r11,lr}
 sub sp,#36
 str r0,[sp,#20]
 ldr r1,[r0,#24]
 str r1,[sp,#24]
 ldr r1,[r0,#16]
 str r1,[sp,#32]
 ldr r1,[r0,#8]
 str r1,[sp,#8]
 ldr r1,[r0,#28]
 lsls r2,r1,#31
 str r2,[sp,#28]
 ldr r1,[r0,#4]
1:
 ldr r12,[sp,#20]
 str r1,[sp,#0]
 ldr r2,[r12,#28]
 add r2,r1,r2,lsl #6
 str r2,[sp,#4]
 ldr r2,[r12,#20]
 str r2,[sp,#16]
 ldr r2,[r12,#12]
 str r2,[sp,#12]
 adds r2,#"#,
                $out_step,
                r#"
 str r2,[r12,#12]
 ldr r0,[r12,#0]
2:
 ldr r12,[sp,#8]
 ldr r1,[sp,#0]
 ldm r12,{r2-r5}
 ldr lr,[sp,#28]
 mov r6,r2
 mov r7,r3
 mov r8,r4
 mov r9,r5
 cmp lr,#0
 bne 4f
3:
"#,
                sixteen_inputs!(),
                "4:\n",
                sixteen_inputs!(),
                r#"
 ldr r12,[sp,#4]
 cmp r1,r12
 bne 3b
 ldr r12,[sp,#8]
 adds r12,#16
 ldm r12,{r10,r11,r12,lr}
 subs r2,r2,r3
 subs r4,r4,r5
 subs r6,r6,r7
 sub r8,r8,r9
 asrs r2,r2,#8
 asrs r4,r4,#8
 asrs r6,r6,#8
 asr r8,r8,#8
 smmulr r3,r3,r10
 smmulr r7,r7,r10
 smmulr r2,r2,r11
 smmulr r6,r6,r11
 smmulr r5,r5,r12
 smmulr r9,r9,r12
 smmulr r4,r4,lr
 smmulr r8,r8,lr
"#,
                $epilogue,
                r#"
 add r11,r11,r12,lsl #1
 ldr r12,[sp,#16]
 str r11,[sp,#12]
 subs r12,r12,#1
 str r12,[sp,#16]
 bne 2b
 ldr r12,[sp,#20]
 ldr r2,[sp,#8]
 ldr r3,[r12,#32]
 add r2,r2,r3
 str r2,[sp,#8]
 ldr r3,[r12,#36]
 add r1,r1,r3
 ldr r3,[sp,#24]
 subs r3,#1
 str r3,[sp,#24]
 bne 1b
 add sp,#36
 pop {r4-r11,pc}
 .size "#,
                $name,
                ",.-",
                $name,
                "\n"
            ),
            options(raw)
        );
    };
}

// Saturate to −128..=127, join four bytes, then −128 becomes −127: x −1 (saturating) +1.
panel!(
    "ldae_dsp_panel_i8",
    r#"
 ssat r2,#8,r2
 ssat r3,#8,r3
 ssat r4,#8,r4
 ssat r5,#8,r5
 ssat r6,#8,r6
 ssat r7,#8,r7
 ssat r8,#8,r8
 ssat r9,#8,r9
 mov r10,#0x01010101
 bfi r3,r2,#8,#8
 bfi r7,r6,#8,#8
 bfi r3,r5,#16,#8
 bfi r7,r9,#16,#8
 bfi r3,r4,#24,#8
 bfi r7,r8,#24,#8
 ldr r11,[sp,#12]
 ldr r12,[sp,#32]
 qsub8 r3,r3,r10
 qsub8 r7,r7,r10
 qadd8 r3,r3,r10
 qadd8 r7,r7,r10
 str r7,[r11,r12]
 str r3,[r11]
"#,
    "4"
);

panel!(
    "ldae_dsp_panel_i16",
    r#"
 ssat r2,#16,r2
 ssat r3,#16,r3
 ssat r4,#16,r4
 ssat r5,#16,r5
 ssat r6,#16,r6
 ssat r7,#16,r7
 ssat r8,#16,r8
 ssat r9,#16,r9
 ldr r11,[sp,#12]
 ldr r12,[sp,#32]
 pkhbt r3,r3,r2,lsl #16
 pkhbt r7,r7,r6,lsl #16
 pkhbt r5,r5,r4,lsl #16
 pkhbt r9,r9,r8,lsl #16
 add r10,r11,r12
 str r7,[r10]
 str r9,[r10,#4]
 str r3,[r11]
 str r5,[r11,#4]
"#,
    "8"
);
