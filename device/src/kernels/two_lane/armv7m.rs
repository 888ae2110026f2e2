//! The two-lane products for Armv7-M (Cortex-M3). Arguments and results: [`super::products::Job`].
//!
//! A pass holds four rows (two words an input) of one channel: MLA makes and adds two products. SMLAL with lanes in 64
//! bits would need fewer instructions (no split), but takes 4 to 7 cycles on a Cortex-M3 where MLA takes 2 (Cortex-M3
//! Technical Reference Manual, instruction timing).

use core::arch::global_asm;

// Registers: r0 inputs, r1 weights, r2 weight, r3 2^15, r4 r5 words of products, r6..r9 input words of two inputs; sums
// (words, high lanes) of rows 0, 1: r10 r11, rows 2, 3: r12 lr. Stack: end of the run, job, runs.
global_asm!(
    r#"
    .syntax unified
    .thumb

    .macro ldae_m3_split
    add   r10, r10, r4
    add   r12, r12, r5
    add   r11, r11, r4, asr #16
    add   lr, lr, r5, asr #16
    .endm

    // Two inputs, the first of a group; the second weight moves the pointer by \step.
    .macro ldae_m3_first step
    ldm   r0!, {{r6, r7, r8, r9}}
    ldrsb r2, [r1], #1
    mla   r4, r6, r2, r3
    mla   r5, r7, r2, r3
    ldrsb r2, [r1], #\step
    mla   r4, r8, r2, r4
    mla   r5, r9, r2, r5
    .endm

    .macro ldae_m3_more step
    ldm   r0!, {{r6, r7, r8, r9}}
    ldrsb r2, [r1], #1
    mla   r4, r6, r2, r4
    mla   r5, r7, r2, r5
    ldrsb r2, [r1], #\step
    mla   r4, r8, r2, r4
    mla   r5, r9, r2, r5
    .endm

    .macro ldae_m3_four
    ldae_m3_first 1
    ldae_m3_more 5
    ldae_m3_split
    .endm

    .macro ldae_m3_two
    ldae_m3_first 1
    ldae_m3_split
    ldae_m3_first 5
    ldae_m3_split
    .endm

    // Rule 3 by the doubled high factor in r5, to \bits bits; -127 is the least of 8.
    .macro ldae_m3_requantise v, bits
    smull r2, \v, \v, r5
    adds  \v, #1
    ssat  \v, #\bits, \v, asr #1
    .if \bits == 8
    cmn   \v, #128
    it    eq
    mvneq \v, #126
    .endif
    .endm

    // Four rows of channel \c of the job in r4.
    .macro ldae_m3_channel c, bits
    ldrd  r0, r1, [r4]
    ldr   r5, [r4, #60]
    ldrd  r10, r11, [r4, #(16 + 8 * \c)]
    .if \c
    adds  r1, #4
    .endif
    mov   r6, r0
    mov   r12, r10
    mov   lr, r11
1:
    ldr   r2, [r5], #4
    str   r5, [sp, #8]
    add   r2, r6
    str   r2, [sp]
    cmp   r0, r2
    beq   3f
2:
    ldae_m3_four
    ldae_m3_four
    ldr   r2, [sp]
    cmp   r0, r2
    bne   2b
    ldrd  r4, r5, [sp, #4]
    ldr   r6, [r4]
3:
    ldr   r2, [r4, #12]
    add   r2, r6
    cmp   r0, r2
    beq   5f
    ldr   r2, [r5], #4
    str   r5, [sp, #8]
    add   r2, r6
    str   r2, [sp]
4:
    ldae_m3_two
    ldae_m3_two
    ldr   r2, [sp]
    cmp   r0, r2
    bne   4b
    ldrd  r4, r5, [sp, #4]
    ldr   r6, [r4]
    ldr   r2, [r4, #12]
    add   r2, r6
    cmp   r0, r2
    bne   1b
5:
    sub   r10, r10, r11, lsl #16
    ldr   r5, [r4, #(36 + 8 * \c)]
    sub   r12, r12, lr, lsl #16
    cbz   r5, 6f
    ldae_m3_requantise r10, \bits
    ldae_m3_requantise r11, \bits
    ldae_m3_requantise r12, \bits
    ldae_m3_requantise lr, \bits
6:
    ldr   r2, [r4, #8]
    stm   r2!, {{r10, r11, r12, lr}}
    str   r2, [r4, #8]
    .endm

    .macro ldae_m3_products name, bits
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push  {{r4-r11, lr}}
    mov   r4, r0
    push  {{r3, r4, r5}}
    mov   r3, #0x8000
7:
    ldae_m3_channel 0, \bits
    ldae_m3_channel 1, \bits
    str   r0, [r4]
    ldr   r2, [r4, #32]
    subs  r2, #1
    str   r2, [r4, #32]
    bne   7b
    add   sp, #12
    pop   {{r4-r11, pc}}
    .size \name, . - \name
    .endm

    ldae_m3_products ldae_two_lane_products_i8, 8
    ldae_m3_products ldae_two_lane_products_i16, 16
    "#
);

// Probabilities times values, four queries by four columns in two passes of two queries. r0 probabilities, r1 values, r2
// bytes of a row of values, r3 value, r4 r5 probabilities, r6..r12 lr sums. Stack: r0, r1, end of the probabilities;
// behind the nine saved registers the sums' place.
global_asm!(
    r#"
    .syntax unified
    .thumb

    .macro ldae_m3_token
    ldrd  r4, r5, [r0], #16
    ldrsb r3, [r1]
    mla   r6, r4, r3, r6
    mla   r7, r5, r3, r7
    ldrsb r3, [r1, #1]
    mla   r8, r4, r3, r8
    mla   r9, r5, r3, r9
    ldrsb r3, [r1, #2]
    mla   r10, r4, r3, r10
    mla   r11, r5, r3, r11
    ldrsb r3, [r1, #3]
    add   r1, r2
    mla   r12, r4, r3, r12
    mla   lr, r5, r3, lr
    .endm

    .macro ldae_m3_queries pass
    movs  r6, #0
    movs  r7, #0
    mov   r8, #0
    mov   r9, #0
    mov   r10, #0
    mov   r11, #0
    mov   r12, #0
    mov   lr, #0
1:
    ldae_m3_token
    ldae_m3_token
    ldae_m3_token
    ldae_m3_token
    ldr   r3, [sp, #8]
    cmp   r0, r3
    bne   1b
    ldr   r3, [sp, #48]
    strd  r6, r7, [r3, #(8 * \pass)]
    strd  r8, r9, [r3, #(16 + 8 * \pass)]
    strd  r10, r11, [r3, #(32 + 8 * \pass)]
    strd  r12, lr, [r3, #(48 + 8 * \pass)]
    .endm

    .section .text.ldae_two_lane_weighted, "ax", %progbits
    .balign 4
    .global ldae_two_lane_weighted
    .type ldae_two_lane_weighted, %function
    .thumb_func
ldae_two_lane_weighted:
    push  {{r4-r11, lr}}
    push  {{r0, r1, r3}}
    ldae_m3_queries 0
    ldrd  r0, r1, [sp]
    ldr   r3, [sp, #8]
    adds  r0, #8
    adds  r3, #8
    str   r3, [sp, #8]
    ldae_m3_queries 1
    add   sp, #12
    pop   {{r4-r11, pc}}
    .size ldae_two_lane_weighted, . - ldae_two_lane_weighted
    "#
);
