//! LayerNorm, softmax, GELU and the residual addition, with the DSP extension's packed arithmetic.
//!
//! Tails that fill no word, and factors without a high form, go through the portable loops.

use super::super::portable::Portable;
use super::Kernel;
use core::arch::asm;
use ldae_shared::fixed::{Factor, NormToken, row_reciprocal};
use ldae_shared::format::Block;

/// One instruction of registers only.
macro_rules! instruction {
    ($name:ident, $text:literal, $($input:ident: $type:ty),* => $out:ty) => {
        #[inline(always)]
        fn $name($($input: $type),*) -> $out {
            let out;
            // SAFETY: the instruction reads and writes registers and flags only.
            unsafe { asm!($text, $($input = in(reg) $input,)* out = lateout(reg) out, options(pure, nomem, nostack)) };
            out
        }
    };
}

instruction!(add_pairs, "qadd16 {out}, {a}, {b}", a: u32, b: u32 => u32);
instruction!(subtract_bytes, "usub8 {out}, {a}, {b}", a: u32, b: u32 => u32);
instruction!(multiply_add_low, "smlabb {out}, {a}, {b}, {c}", a: u32, b: i32, c: i32 => i32);
instruction!(multiply_add_high, "smlatb {out}, {a}, {b}, {c}", a: u32, b: i32, c: i32 => i32);
instruction!(add_halves, "smlad {out}, {a}, {b}, {c}", a: u32, b: u32, c: i32 => i32);
instruction!(high_product, "smmulr {out}, {a}, {b}", a: i32, b: i32 => i32);
instruction!(saturate_byte, "ssat {out}, #8, {a}", a: i32 => i32);
instruction!(subtract_saturating, "qsub8 {out}, {a}, {b}", a: u32, b: u32 => u32);
instruction!(add_saturating, "qadd8 {out}, {a}, {b}", a: u32, b: u32 => u32);

instruction!(pack_halves, "pkhbt {out}, {a}, {b}, lsl #16", a: i32, b: i32 => u32);
instruction!(saturate_halves, "ssat16 {out}, #8, {a}", a: u32 => u32);
instruction!(subtract_pairs, "qsub16 {out}, {a}, {b}", a: u32, b: u32 => u32);

/// Two halfwords to −127..=127: the lower bound is the halfword's own, 32641 further down.
#[inline(always)]
fn symmetric_halves(halves: u32) -> u32 {
    const DOWN: u32 = 0x7F81_7F81;
    add_pairs(subtract_pairs(saturate_halves(halves), DOWN), DOWN)
}

/// Four bytes in which −128 becomes −127: −1 and +1 with saturation.
#[inline(always)]
fn symmetric(bytes: u32) -> u32 {
    add_saturating(subtract_saturating(bytes, 0x0101_0101), 0x0101_0101)
}

/// The larger of the signed bytes.
#[inline(always)]
fn larger_bytes(a: u32, b: u32) -> u32 {
    let out;
    // SAFETY: registers and flags only; SEL reads the GE flags that SSUB8 sets.
    unsafe {
        asm!("ssub8 {out}, {a}, {b}", "sel {out}, {a}, {b}", a = in(reg) a, b = in(reg) b, out = out(reg) out,
            options(pure, nomem, nostack));
    }
    out
}

/// acc + lo² + hi² of two signed halfwords.
#[inline(always)]
fn add_squares(w: u32, acc: u64) -> u64 {
    let (mut low, mut high) = (acc as u32, (acc >> 32) as u32);
    // SAFETY: registers only.
    unsafe {
        asm!("smlald {low}, {high}, {w}, {w}", w = in(reg) w, low = inout(reg) low, high = inout(reg) high,
            options(pure, nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

#[inline(always)]
fn halves(v: [i16; 2]) -> u32 {
    u32::from(v[0] as u16) | u32::from(v[1] as u16) << 16
}

#[inline(always)]
fn bytes(v: [i8; 4]) -> u32 {
    u32::from_le_bytes(v.map(|b| b as u8))
}

pub(super) fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
    let (words, rest) = logits.as_chunks::<4>();
    let Some((table, _)) = block.softmax_table().split_first_chunk::<512>() else { return };
    let (table, _) = table.as_chunks::<2>();
    let Ok(table) = <&[[u8; 2]; 256]>::try_from(table) else { return };
    if words.is_empty() || probabilities.len() != logits.len() {
        return Portable::softmax(block, logits, probabilities);
    }
    let largest = words.iter().fold(0x8080_8080, |m, w| larger_bytes(m, bytes(*w)));
    let largest = largest.to_le_bytes().map(|b| b as i8);
    let largest = largest.iter().chain(rest).copied().max().unwrap_or(0);
    let entry = |d: u32| u32::from(u16::from_le_bytes(table[(d & 0xFF) as usize]));
    let (pairs, last) = probabilities.as_chunks_mut::<4>();
    let mut sum = 0u32; // at most 4096 entries of 16 bits: below 2^28
    let all = u32::from(largest as u8) * 0x0101_0101;
    for (w, out) in words.iter().zip(pairs.iter_mut()) {
        let d = subtract_bytes(all, bytes(*w));
        let e = [entry(d), entry(d >> 8), entry(d >> 16), entry(d >> 24)];
        sum += e[0] + e[1] + e[2] + e[3];
        *out = e.map(|e| e as u16);
    }
    for (&x, out) in rest.iter().zip(last.iter_mut()) {
        let e = entry(u32::from(largest.abs_diff(x)));
        sum += e;
        *out = e as u16;
    }
    let reciprocal = row_reciprocal(sum);
    let Some(high) = reciprocal.high() else {
        return probabilities.iter_mut().for_each(|p| *p = reciprocal.apply(*p));
    };
    let scale = |e: u16| ((u64::from(e) * u64::from(high)) >> 32) as u16;
    for p in pairs {
        *p = p.map(scale);
    }
    for p in last {
        *p = scale(*p);
    }
}

pub(super) fn sums(row: &[i16]) -> (i32, u64) {
    let (words, rest) = row.as_chunks::<2>();
    let (mut sum, mut squares) = (0i32, 0u64); // |sum| < 2^27 for W ≤ 2048
    for w in words {
        let w = halves(*w);
        sum = add_halves(w, 0x0001_0001, sum);
        squares = add_squares(w, squares);
    }
    for &x in rest {
        sum += i32::from(x);
        squares += u64::from((i32::from(x) * i32::from(x)) as u32);
    }
    (sum, squares)
}

pub(super) fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
    let Some(high) = token.factor.and_then(Factor::high) else {
        return Portable::normalise(row, token, out);
    };
    let (groups, rest) = row.as_chunks::<4>();
    let (outs, last) = out.as_chunks_mut::<4>();
    let negative = -token.mean128;
    for (x, out) in groups.iter().zip(outs) {
        let (a, b) = (halves([x[0], x[1]]), halves([x[2], x[3]]));
        // 128·x − mean128, then rule 3 as one rounded high product.
        let v = [
            multiply_add_low(a, 128, negative),
            multiply_add_high(a, 128, negative),
            multiply_add_low(b, 128, negative),
            multiply_add_high(b, 128, negative),
        ];
        let y = v.map(|v| saturate_byte(high_product(v, high)) as u8);
        *out = symmetric(u32::from_le_bytes(y)).to_le_bytes().map(|b| b as i8);
    }
    Portable::normalise(rest, token, last);
}

/// One row of [`normalise_pair`]: words 0 and 2 (row 0) or 1 and 3 (row 1) of every group of four inputs.
#[inline(always)]
fn normalise_row<const SECOND: usize>(row: &[i16], token: NormToken, groups: &mut [[[u8; 4]; 4]]) {
    let (whole, rest) = row.as_chunks::<4>();
    let put = |group: &mut [[u8; 4]; 4], words: [u32; 2]| {
        (group[SECOND], group[2 + SECOND]) = (words[0].to_le_bytes(), words[1].to_le_bytes());
    };
    let by_the_rule = |x: &[i16]| {
        let y = |k: usize| u32::from(x.get(k).map_or(0, |&x| i16::from(token.apply(x))) as u16);
        [y(0) | y(2) << 16, y(1) | y(3) << 16]
    };
    match token.factor.and_then(Factor::high) {
        Some(high) => {
            let negative = -token.mean128;
            for (x, group) in whole.iter().zip(groups.iter_mut()) {
                let (a, b) = (halves([x[0], x[1]]), halves([x[2], x[3]]));
                let y = |v: i32| high_product(v, high);
                // No |y| exceeds 127·sqrt(W) ≤ 5750 (ranges are at least one deviation), so both fit in a halfword before they saturate.
                let even = [multiply_add_low(a, 128, negative), multiply_add_low(b, 128, negative)].map(y);
                let odd = [multiply_add_high(a, 128, negative), multiply_add_high(b, 128, negative)].map(y);
                put(group, [even, odd].map(|[p, q]| symmetric_halves(pack_halves(p, q))));
            }
        }
        None => whole.iter().zip(groups.iter_mut()).for_each(|(x, group)| put(group, by_the_rule(x))),
    }
    if let (false, Some(group)) = (rest.is_empty(), groups.get_mut(whole.len())) {
        put(group, by_the_rule(rest));
    }
}

/// Two normalised rows in the interleaved form.
pub(super) fn normalise_pair(rows: [&[i16]; 2], tokens: [NormToken; 2], form: &mut [u8]) {
    let (words, _) = form.as_chunks_mut::<4>();
    let (groups, _) = words.as_chunks_mut::<4>();
    normalise_row::<0>(rows[0], tokens[0], groups);
    normalise_row::<1>(rows[1], tokens[1], groups);
}

pub(super) fn gelu(block: &Block<'_>, codes: &mut [i8]) {
    let Some(table) = block.gelu_table().first_chunk::<256>() else { return };
    let (groups, rest) = codes.as_chunks_mut::<8>();
    for group in groups {
        *group = group.map(|c| table[usize::from(c as u8)] as i8);
    }
    for c in rest {
        *c = table[usize::from(*c as u8)] as i8;
    }
}

pub(super) fn add(stream: &mut [i16], branch: &[i16]) {
    let ((s, rest), (b, more)) = (stream.as_chunks_mut::<8>(), branch.as_chunks::<8>());
    for (s, b) in s.iter_mut().zip(b) {
        for i in [0, 2, 4, 6] {
            let sum = add_pairs(halves([s[i], s[i + 1]]), halves([b[i], b[i + 1]]));
            (s[i], s[i + 1]) = (sum as i16, (sum >> 16) as i16);
        }
    }
    Portable::add(rest, more);
}
