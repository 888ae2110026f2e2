//! Between i8 rows and the kernel's forms: pairs of halfwords, two weights a halfword.

use core::arch::asm;

/// Bytes 0 and 2 as two signed halfwords.
#[inline(always)]
pub(super) fn low_pairs(word: u32) -> u32 {
    let out;
    // SAFETY: SXTB16 reads and writes registers only.
    unsafe { asm!("sxtb16 {0}, {1}", lateout(reg) out, in(reg) word, options(pure, nomem, nostack, preserves_flags)) };
    out
}

/// Bytes 1 and 3 as two signed halfwords.
#[inline(always)]
pub(super) fn high_pairs(word: u32) -> u32 {
    let out;
    // SAFETY: SXTB16 reads and writes registers only.
    unsafe {
        asm!("sxtb16 {0}, {1}, ror #8", lateout(reg) out, in(reg) word, options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Halfwords 256·hi + lo: `high` holds the hi bytes in the upper bytes of the halfwords, `low` the lo values.
#[inline(always)]
pub(super) fn weight_pairs(high: u32, low: u32) -> u32 {
    let out;
    // SAFETY: SADD16 reads and writes registers (and the GE flags, which Rust does not use).
    unsafe { asm!("sadd16 {0}, {1}, {2}", lateout(reg) out, in(reg) high, in(reg) low, options(pure, nomem, nostack)) };
    out
}

/// Low halfwords of both: a in the lower half.
#[inline(always)]
const fn low_halves(a: u32, b: u32) -> u32 {
    (a & 0xFFFF) | (b << 16)
}

/// High halfwords of both: a in the lower half.
#[inline(always)]
const fn high_halves(a: u32, b: u32) -> u32 {
    (a >> 16) | (b & 0xFFFF_0000)
}

#[inline(always)]
fn word(bytes: &[i8; 4]) -> u32 {
    u32::from_le_bytes(bytes.map(|b| b as u8))
}

/// Up to four bytes, zeros behind them.
fn tail(bytes: &[i8]) -> [i8; 4] {
    let mut out = [0; 4];
    out.iter_mut().zip(bytes).for_each(|(o, &b)| *o = b);
    out
}

#[inline(always)]
fn put_pair(out: &mut [[u8; 4]; 4], p: u32, q: u32) {
    let words = [low_pairs(p), low_pairs(q), high_pairs(p), high_pairs(q)];
    *out = words.map(u32::to_le_bytes);
}

/// Two i8 rows to the interleaved form.
pub(super) fn pair(x0: &[i8], x1: &[i8], form: &mut [u8]) {
    let ((x0, rest0), (x1, rest1)) = (x0.as_chunks::<4>(), x1.as_chunks::<4>());
    let (words, _) = form.as_chunks_mut::<4>();
    let (groups, _) = words.as_chunks_mut::<4>();
    let mut groups = groups.iter_mut();
    for ((p, q), out) in x0.iter().zip(x1).zip(&mut groups) {
        put_pair(out, word(p), word(q));
    }
    if let (false, Some(out)) = (rest0.is_empty(), groups.next()) {
        put_pair(out, word(&tail(rest0)), word(&tail(rest1)));
    }
}

/// Two rows of probabilities (at most 32767) to the interleaved form.
pub(super) fn probability_pair(p0: &[u16], p1: &[u16], form: &mut [u8]) {
    let halves = |v: &[u16; 4]| {
        let [a, b, c, d] = v.map(u32::from);
        (a | b << 16, c | d << 16)
    };
    let put = |out: &mut [[u8; 4]; 4], p: &[u16; 4], q: &[u16; 4]| {
        let ((a, b), (c, d)) = (halves(p), halves(q));
        let words = [low_halves(a, b), low_halves(c, d), high_halves(a, b), high_halves(c, d)];
        *out = words.map(u32::to_le_bytes);
    };
    let ((p0, rest0), (p1, rest1)) = (p0.as_chunks::<4>(), p1.as_chunks::<4>());
    let (words, _) = form.as_chunks_mut::<4>();
    let (groups, _) = words.as_chunks_mut::<4>();
    let mut groups = groups.iter_mut();
    for ((p, q), out) in p0.iter().zip(p1).zip(&mut groups) {
        put(out, p, q);
    }
    if let (false, Some(out)) = (rest0.is_empty(), groups.next()) {
        let tail = |rest: &[u16]| {
            let mut out = [0u16; 4];
            out.iter_mut().zip(rest).for_each(|(o, &v)| *o = v);
            out
        };
        put(out, &tail(rest0), &tail(rest1));
    }
}

/// Up to four rows [count, width] as the four channels of a panel body.
pub(super) fn four_channels(rows: &[i8], width: usize, body: &mut [u8]) {
    let mut channels = rows.chunks(width.max(1));
    let mut next = || channels.next().unwrap_or(&[]);
    let [a, b, c, d] = [next(), next(), next(), next()];
    let (words, _) = body.as_chunks_mut::<4>();
    let (groups, _) = words.as_chunks_mut::<4>();
    let whole = [a, b, c, d].iter().all(|r| r.len() == width) && width.is_multiple_of(4);
    if whole {
        let rows = a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0);
        let more = c.as_chunks::<4>().0.iter().zip(d.as_chunks::<4>().0);
        for (((a, b), (c, d)), out) in rows.zip(more).zip(groups) {
            put_channels(out, [word(a), word(b), word(c), word(d)]);
        }
        return;
    }
    for (i, out) in groups.iter_mut().enumerate() {
        let at = |row: &[i8]| word(&tail(row.get(4 * i..).unwrap_or(&[])));
        put_channels(out, [at(a), at(b), at(c), at(d)]);
    }
}

#[inline(always)]
fn put_channels(out: &mut [[u8; 4]; 4], [a, b, c, d]: [u32; 4]) {
    let words = [
        weight_pairs((b & 0x00FF_00FF) << 8, low_pairs(a)),
        weight_pairs((d & 0x00FF_00FF) << 8, low_pairs(c)),
        weight_pairs(b & 0xFF00_FF00, high_pairs(a)),
        weight_pairs(d & 0xFF00_FF00, high_pairs(c)),
    ];
    *out = words.map(u32::to_le_bytes);
}

/// Columns `column..column + 4` of up to four rows [count, width] as four inputs of the four channels of a panel.
pub(super) fn four_inputs(rows: &[i8], width: usize, column: usize, out: &mut [u8]) {
    let mut rows = rows.chunks(width.max(1));
    let mut next = || {
        let row = rows.next().and_then(|r| r.get(column..)).unwrap_or(&[]);
        match row.first_chunk::<4>() {
            Some(four) => word(four),
            None => word(&tail(row)),
        }
    };
    let [a0, a1, a2, a3] = [next(), next(), next(), next()];
    let join = |h: u32| weight_pairs(h & 0xFF00_FF00, low_pairs(h));
    let words = [low_halves(a0, a2), high_halves(a0, a2), low_halves(a1, a3), high_halves(a1, a3)];
    let (out, _) = out.as_chunks_mut::<4>();
    for (o, h) in out.iter_mut().zip(words) {
        *o = join(h).to_le_bytes();
    }
}

/// Input `k` of row `row` in the interleaved form, for what does not go through the assembly.
pub(super) fn input(form: &[u8], padded: usize, row: usize, k: usize) -> i32 {
    let word = row / 2 * padded + (k & !3) + 2 * (k & 1) + row % 2;
    half(form, 2 * word + ((k >> 1) & 1))
}

/// Weight of channel `c`, input `k` of a panel body.
pub(super) fn body_weight(body: &[u8], c: usize, k: usize) -> i32 {
    let word = (k & !3) + 2 * (k & 1) + c / 2;
    let h = half(body, 2 * word + ((k >> 1) & 1));
    let low = i32::from(h as i8);
    if c.is_multiple_of(2) { low } else { (h - low) >> 8 }
}

fn half(bytes: &[u8], i: usize) -> i32 {
    match bytes.get(2 * i..2 * i + 2) {
        Some(&[a, b]) => i32::from(i16::from_le_bytes([a, b])),
        _ => 0,
    }
}
