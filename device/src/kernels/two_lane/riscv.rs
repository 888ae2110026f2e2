//! The two-lane products for RV32IM. Arguments and results: [`super::products::Job`].
//!
//! A pass holds four rows (two words an input) and two channels: eight accumulators, the eight weights of four inputs, and
//! streams the input words. gp and tp are left alone: interrupt handlers rely on them.

use core::arch::global_asm;

// Registers: a0 job, a1 inputs, a2 weights, a3 end of the inputs; a4 input word, t0 t1 words of products, t2 t3 products,
// t6 2^15; a5 a6 a7 s0 weights of channel 0, s1 s2 s3 s4 of channel 1; lanes' sums (words, high lanes):
// channel 0 rows 0, 1: s5 s6, rows 2, 3: s7 s8; channel 1: s9 s10, s11 t4. t5 runs.
global_asm!(
    r#"
    .option push
    .option arch, +m
    .macro ldae_rv_first w0, w1, next
    mul  t0, a4, \w0
    mul  t1, a4, \w1
    lw   a4, \next(a1)
    add  t0, t0, t6
    add  t1, t1, t6
    .endm

    .macro ldae_rv_more w0, w1, next
    mul  t2, a4, \w0
    mul  t3, a4, \w1
    lw   a4, \next(a1)
    add  t0, t0, t2
    add  t1, t1, t3
    .endm

    .macro ldae_rv_last w0, w1, l0, h0, l1, h1
    mul  t2, a4, \w0
    mul  t3, a4, \w1
    add  t0, t0, t2
    add  t1, t1, t3
    add  \l0, \l0, t0
    add  \l1, \l1, t1
    srai t0, t0, 16
    srai t1, t1, 16
    add  \h0, \h0, t0
    add  \h1, \h1, t1
    .endm

    // Two rows, four inputs from byte \at, as one group of four.
    .macro ldae_rv_four at, l0, h0, l1, h1
    lw   a4, \at(a1)
    ldae_rv_first a5, s1, \at+8
    ldae_rv_more  a6, s2, \at+16
    ldae_rv_more  a7, s3, \at+24
    ldae_rv_last  s0, s4, \l0, \h0, \l1, \h1
    .endm

    // The same as two groups of two.
    .macro ldae_rv_two at, l0, h0, l1, h1
    lw   a4, \at(a1)
    ldae_rv_first a5, s1, \at+8
    ldae_rv_last  a6, s2, \l0, \h0, \l1, \h1
    lw   a4, \at+16(a1)
    ldae_rv_first a7, s3, \at+24
    ldae_rv_last  s0, s4, \l0, \h0, \l1, \h1
    .endm

    // Rule 3 by the doubled high factor, to t2..=t3.
    .macro ldae_rv_requantise v, factor
    mulh \v, \v, \factor
    addi \v, \v, 1
    srai \v, \v, 1
    bge  \v, t2, 8f
    mv   \v, t2
8:
    ble  \v, t3, 9f
    mv   \v, t3
9:
    .endm

    .macro ldae_rv_weights at
    lb   a5, \at+0(a2)
    lb   a6, \at+1(a2)
    lb   a7, \at+2(a2)
    lb   s0, \at+3(a2)
    lb   s1, \at+4(a2)
    lb   s2, \at+5(a2)
    lb   s3, \at+6(a2)
    lb   s4, \at+7(a2)
    .endm

    // Eight inputs in groups as \group makes them.
    .macro ldae_rv_octet group
    ldae_rv_weights 0
    \group 0, s5, s6, s9, s10
    \group 4, s7, s8, s11, t4
    ldae_rv_weights 8
    \group 32, s5, s6, s9, s10
    \group 36, s7, s8, s11, t4
    addi a1, a1, 64
    addi a2, a2, 16
    .endm

    .section .text.ldae_two_lane_products, "ax", @progbits
    .balign 4
    .globl ldae_two_lane_products
    .type ldae_two_lane_products, @function
ldae_two_lane_products:
    addi sp, sp, -48
    sw   s0, 0(sp)
    sw   s1, 4(sp)
    sw   s2, 8(sp)
    sw   s3, 12(sp)
    sw   s4, 16(sp)
    sw   s5, 20(sp)
    sw   s6, 24(sp)
    sw   s7, 28(sp)
    sw   s8, 32(sp)
    sw   s9, 36(sp)
    sw   s10, 40(sp)
    sw   s11, 44(sp)
    lui  t6, 8
1:
    lw   a1, 0(a0)
    lw   a2, 4(a0)
    lw   s5, 16(a0)
    lw   s6, 20(a0)
    lw   s9, 24(a0)
    lw   s10, 28(a0)
    lw   t5, 60(a0)
    mv   s7, s5
    mv   s8, s6
    mv   s11, s9
    mv   t4, s10
2:
    lw   a4, 0(a0)
    lw   a3, 0(t5)
    add  a3, a3, a4
    beq  a1, a3, 4f
3:
    ldae_rv_octet ldae_rv_four
    bne  a1, a3, 3b
4:
    lw   a4, 0(a0)
    lw   a3, 12(a0)
    add  a3, a3, a4
    beq  a1, a3, 6f
    lw   a3, 4(t5)
    addi t5, t5, 8
    add  a3, a3, a4
5:
    ldae_rv_octet ldae_rv_two
    bne  a1, a3, 5b
    lw   a4, 0(a0)
    lw   a3, 12(a0)
    add  a3, a3, a4
    bne  a1, a3, 2b
6:
    sw   a1, 0(a0)
    slli t0, s6, 16
    slli t1, s8, 16
    slli t2, s10, 16
    slli t3, t4, 16
    sub  s5, s5, t0
    sub  s7, s7, t1
    sub  s9, s9, t2
    sub  s11, s11, t3
    lw   t0, 36(a0)
    lw   t1, 44(a0)
    lw   t2, 52(a0)
    lw   t3, 56(a0)
    beqz t0, 7f
    ldae_rv_requantise s5, t0
    ldae_rv_requantise s6, t0
    ldae_rv_requantise s7, t0
    ldae_rv_requantise s8, t0
    ldae_rv_requantise s9, t1
    ldae_rv_requantise s10, t1
    ldae_rv_requantise s11, t1
    ldae_rv_requantise t4, t1
7:
    lw   a2, 8(a0)
    lw   a4, 32(a0)
    sw   s5, 0(a2)
    sw   s6, 4(a2)
    sw   s7, 8(a2)
    sw   s8, 12(a2)
    sw   s9, 16(a2)
    sw   s10, 20(a2)
    sw   s11, 24(a2)
    sw   t4, 28(a2)
    addi a2, a2, 32
    addi a4, a4, -1
    sw   a2, 8(a0)
    sw   a4, 32(a0)
    bnez a4, 1b

    lw   s0, 0(sp)
    lw   s1, 4(sp)
    lw   s2, 8(sp)
    lw   s3, 12(sp)
    lw   s4, 16(sp)
    lw   s5, 20(sp)
    lw   s6, 24(sp)
    lw   s7, 28(sp)
    lw   s8, 32(sp)
    lw   s9, 36(sp)
    lw   s10, 40(sp)
    lw   s11, 44(sp)
    addi sp, sp, 48
    ret
    .size ldae_two_lane_products, . - ldae_two_lane_products
    .option pop
    "#
);

// Probabilities times values, four queries by four columns. a0 probabilities, a1 values, a2 bytes of a row of values,
// a3 end of the probabilities, a4 sums; a5 a6 a7 t0 probabilities, t1 value, t2 t3 products, s0..s11 t3..t6 sums.
global_asm!(
    r#"
    .option push
    .option arch, +m
    .macro ldae_rv_column at, q0, q1, q2, q3
    lb   t1, \at(a1)
    mul  t2, a5, t1
    mul  ra, a6, t1
    add  \q0, \q0, t2
    mul  t2, a7, t1
    add  \q1, \q1, ra
    mul  ra, t0, t1
    add  \q2, \q2, t2
    add  \q3, \q3, ra
    .endm

    .macro ldae_rv_token at
    lw   a5, \at+0(a0)
    lw   a6, \at+4(a0)
    lw   a7, \at+8(a0)
    lw   t0, \at+12(a0)
    ldae_rv_column 0, s0, s1, s2, s3
    ldae_rv_column 1, s4, s5, s6, s7
    ldae_rv_column 2, s8, s9, s10, s11
    ldae_rv_column 3, t3, t4, t5, t6
    add  a1, a1, a2
    .endm

    .section .text.ldae_two_lane_weighted, "ax", @progbits
    .balign 4
    .globl ldae_two_lane_weighted
    .type ldae_two_lane_weighted, @function
ldae_two_lane_weighted:
    addi sp, sp, -64
    sw   ra, 0(sp)
    sw   s0, 4(sp)
    sw   s1, 8(sp)
    sw   s2, 12(sp)
    sw   s3, 16(sp)
    sw   s4, 20(sp)
    sw   s5, 24(sp)
    sw   s6, 28(sp)
    sw   s7, 32(sp)
    sw   s8, 36(sp)
    sw   s9, 40(sp)
    sw   s10, 44(sp)
    sw   s11, 48(sp)
    li   s0, 0
    li   s1, 0
    li   s2, 0
    li   s3, 0
    li   s4, 0
    li   s5, 0
    li   s6, 0
    li   s7, 0
    li   s8, 0
    li   s9, 0
    li   s10, 0
    li   s11, 0
    li   t3, 0
    li   t4, 0
    li   t5, 0
    li   t6, 0
1:
    ldae_rv_token 0
    ldae_rv_token 16
    ldae_rv_token 32
    ldae_rv_token 48
    addi a0, a0, 64
    bne  a0, a3, 1b

    sw   s0, 0(a4)
    sw   s1, 4(a4)
    sw   s2, 8(a4)
    sw   s3, 12(a4)
    sw   s4, 16(a4)
    sw   s5, 20(a4)
    sw   s6, 24(a4)
    sw   s7, 28(a4)
    sw   s8, 32(a4)
    sw   s9, 36(a4)
    sw   s10, 40(a4)
    sw   s11, 44(a4)
    sw   t3, 48(a4)
    sw   t4, 52(a4)
    sw   t5, 56(a4)
    sw   t6, 60(a4)
    lw   ra, 0(sp)
    lw   s0, 4(sp)
    lw   s1, 8(sp)
    lw   s2, 12(sp)
    lw   s3, 16(sp)
    lw   s4, 20(sp)
    lw   s5, 24(sp)
    lw   s6, 28(sp)
    lw   s7, 32(sp)
    lw   s8, 36(sp)
    lw   s9, 40(sp)
    lw   s10, 44(sp)
    lw   s11, 48(sp)
    addi sp, sp, 64
    ret
    .size ldae_two_lane_weighted, . - ldae_two_lane_weighted
    .option pop
    "#
);
