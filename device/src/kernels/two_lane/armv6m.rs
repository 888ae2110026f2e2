//! The two-lane products for Armv6-M (Cortex-M0, M0+). Arguments and results: [`super::products::Job`].
//!
//! A pass holds four rows (two words an input) of one channel. Only r0 to r7 take part in most instructions, but ADD and
//! MOV reach r8 to r14: those keep the sums. MULS overwrites an operand; input words are it, so that a weight serves both.

use core::arch::global_asm;

// Registers: r0 inputs, r1 r2 words of products, r3 r4 input words, r5 weights, r6 r7 four weights of this and of the other
// channel (then one weight); sums (words, high lanes) of rows 0, 1: r8 r9, rows 2, 3: r10 r11; r12 2^15, lr end of the
// run. Stack: job, runs.
global_asm!(
    r#"
    .syntax unified
    .thumb

    .macro ldae_m0_split
    add   r8, r1
    asrs  r1, r1, #16
    add   r9, r1
    add   r10, r2
    asrs  r2, r2, #16
    add   r11, r2
    .endm

    // One input, the first of a group; the weight is in \w.
    .macro ldae_m0_first w
    ldm   r0!, {{r1, r2}}
    muls  r1, \w, r1
    muls  r2, \w, r2
    add   r1, r12
    add   r2, r12
    .endm

    .macro ldae_m0_more w
    ldm   r0!, {{r3, r4}}
    muls  r3, \w, r3
    muls  r4, \w, r4
    adds  r1, r1, r3
    adds  r2, r2, r4
    .endm

    // Four inputs; their weights are the bytes of \word, \w is free.
    .macro ldae_m0_four word, w
    ldm   r5!, {{r6, r7}}
    sxtb  \w, \word
    ldae_m0_first \w
    asrs  \word, \word, #8
    sxtb  \w, \word
    ldae_m0_more \w
    asrs  \word, \word, #8
    sxtb  \w, \word
    ldae_m0_more \w
    asrs  \word, \word, #8
    ldae_m0_more \word
    ldae_m0_split
    .endm

    .macro ldae_m0_two word, w
    ldm   r5!, {{r6, r7}}
    sxtb  \w, \word
    ldae_m0_first \w
    asrs  \word, \word, #8
    sxtb  \w, \word
    ldae_m0_more \w
    ldae_m0_split
    asrs  \word, \word, #8
    sxtb  \w, \word
    ldae_m0_first \w
    asrs  \word, \word, #8
    ldae_m0_more \word
    ldae_m0_split
    .endm

    // Rule 3 by parts (r0 is free): r5 m, r6 half of 2^t, r7 t; to r8..=r9.
    .macro ldae_m0_requantise v
    uxtb  r0, \v
    asrs  \v, \v, #8
    muls  r0, r5, r0
    muls  \v, r5, \v
    lsrs  r0, r0, #8
    adds  \v, \v, r0
    adds  \v, \v, r6
    asrs  \v, \v, r7
    cmp   \v, r8
    bge   8f
    mov   \v, r8
8:
    cmp   \v, r9
    ble   9f
    mov   \v, r9
9:
    .endm

    // Four rows of channel \c.
    .macro ldae_m0_channel c, word, w
    ldr   r4, [sp]
    ldr   r0, [r4]
    ldr   r5, [r4, #4]
    ldr   r1, [r4, #(16 + 8 * \c)]
    mov   r8, r1
    mov   r10, r1
    ldr   r1, [r4, #(20 + 8 * \c)]
    mov   r9, r1
    mov   r11, r1
    ldr   r6, [r4, #68]
    mov   r2, r0
1:
    ldm   r6!, {{r1}}
    str   r6, [sp, #4]
    adds  r1, r1, r2
    mov   lr, r1
    cmp   r0, r1
    beq   3f
2:
    ldae_m0_four \word, \w
    ldae_m0_four \word, \w
    cmp   r0, lr
    bne   2b
    ldr   r4, [sp]
    ldr   r6, [sp, #4]
    ldr   r2, [r4]
3:
    ldr   r1, [r4, #12]
    adds  r1, r1, r2
    cmp   r0, r1
    beq   5f
    ldm   r6!, {{r1}}
    str   r6, [sp, #4]
    adds  r1, r1, r2
    mov   lr, r1
4:
    ldae_m0_two \word, \w
    ldae_m0_two \word, \w
    cmp   r0, lr
    bne   4b
    ldr   r4, [sp]
    ldr   r6, [sp, #4]
    ldr   r2, [r4]
    ldr   r1, [r4, #12]
    adds  r1, r1, r2
    cmp   r0, r1
    beq   5f
    b     1b
5:
    mov   r1, r8
    mov   r2, r9
    lsls  r3, r2, #16
    subs  r1, r1, r3
    mov   r3, r10
    mov   r4, r11
    lsls  r5, r4, #16
    subs  r3, r3, r5
    ldr   r0, [sp]
    ldr   r5, [r0, #60]
    mov   r8, r5
    adds  r0, #(36 + 12 * \c)
    ldm   r0!, {{r5, r6, r7}}
    .if \c
    ldr   r0, [r0, #4]
    .else
    ldr   r0, [r0, #16]
    .endif
    mov   r9, r0
    ldae_m0_requantise r1
    ldae_m0_requantise r2
    ldae_m0_requantise r3
    ldae_m0_requantise r4
    ldr   r5, [sp]
    ldr   r6, [r5, #8]
    stm   r6!, {{r1, r2, r3, r4}}
    str   r6, [r5, #8]
    .endm

    .section .text.ldae_two_lane_products, "ax", %progbits
    .balign 4
    .global ldae_two_lane_products
    .type ldae_two_lane_products, %function
    .thumb_func
ldae_two_lane_products:
    push  {{r4-r7, lr}}
    mov   r4, r8
    mov   r5, r9
    mov   r6, r10
    mov   r7, r11
    push  {{r0, r1, r4-r7}}
    movs  r1, #0x80
    lsls  r1, r1, #8
    mov   r12, r1
6:
    ldae_m0_channel 0, r6, r7
    ldae_m0_channel 1, r7, r6
    ldr   r4, [sp]
    mov   r0, lr
    str   r0, [r4]
    ldr   r1, [r4, #32]
    subs  r1, r1, #1
    str   r1, [r4, #32]
    beq   7f
    b     6b
7:
    add   sp, #8
    pop   {{r4-r7}}
    mov   r8, r4
    mov   r9, r5
    mov   r10, r6
    mov   r11, r7
    pop   {{r4-r7, pc}}
    .size ldae_two_lane_products, . - ldae_two_lane_products
    "#
);

// Probabilities times values, four queries by four columns, column by column. r0 probabilities, r1 values, r2 zero, r3
// value, r4..r7 probabilities, r8..r11 sums, r12 bytes of a row of values, lr end of the probabilities. Stack: r0, r1;
// behind the nine saved registers the sums' place.
global_asm!(
    r#"
    .syntax unified
    .thumb

    .macro ldae_m0_token
    ldm   r0!, {{r4-r7}}
    ldrsb r3, [r1, r2]
    add   r1, r12
    muls  r4, r3, r4
    muls  r5, r3, r5
    muls  r6, r3, r6
    muls  r7, r3, r7
    add   r8, r4
    add   r9, r5
    add   r10, r6
    add   r11, r7
    .endm

    .macro ldae_m0_column at
    ldr   r0, [sp]
    ldr   r1, [sp, #4]
    .if \at
    adds  r1, #\at
    .endif
    movs  r2, #0
    mov   r8, r2
    mov   r9, r2
    mov   r10, r2
    mov   r11, r2
1:
    ldae_m0_token
    ldae_m0_token
    ldae_m0_token
    ldae_m0_token
    cmp   r0, lr
    bne   1b
    mov   r4, r8
    mov   r5, r9
    mov   r6, r10
    mov   r7, r11
    ldr   r3, [sp, #44]
    .if \at
    adds  r3, #(16 * \at)
    .endif
    stm   r3!, {{r4-r7}}
    .endm

    .section .text.ldae_two_lane_weighted, "ax", %progbits
    .balign 4
    .global ldae_two_lane_weighted
    .type ldae_two_lane_weighted, %function
    .thumb_func
ldae_two_lane_weighted:
    push  {{r4-r7, lr}}
    mov   r4, r8
    mov   r5, r9
    mov   r6, r10
    mov   r7, r11
    push  {{r4-r7}}
    push  {{r0, r1}}
    mov   r12, r2
    mov   lr, r3
    ldae_m0_column 0
    ldae_m0_column 1
    ldae_m0_column 2
    ldae_m0_column 3
    add   sp, #8
    pop   {{r4-r7}}
    mov   r8, r4
    mov   r9, r5
    mov   r10, r6
    mov   r11, r7
    pop   {{r4-r7, pc}}
    .size ldae_two_lane_weighted, . - ldae_two_lane_weighted
    "#
);
