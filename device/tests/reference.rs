//! The engine against a second, naive implementation of NUMERICS.md: whole matrices, i128 arithmetic, no chunks, no
//! plan, written from the rules alone. Every kernel of this machine, odd shapes, extreme tensors.

use ldae_device::kernels::Choice;
use ldae_device::{BlockStage, Encoder, Tap, TapData, TapId, scratch_bytes};
use ldae_shared::fixed::NormRange;
use ldae_shared::format::{Artifact, ArtifactDesc, Fill, Layout, Linear, pack};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::collections::HashMap;

/// Everything observed, by tap, as i64.
#[derive(Default)]
struct Record(HashMap<String, Vec<i64>>);

impl Tap for Record {
    fn tap(&mut self, id: TapId, data: TapData<'_>) {
        let out = self.0.entry(id.to_string()).or_default();
        match data {
            TapData::U8(v) => out.extend(v.iter().map(|&x| x as i64)),
            TapData::I8(v) => out.extend(v.iter().map(|&x| x as i64)),
            TapData::I16(v) => out.extend(v.iter().map(|&x| x as i64)),
            TapData::U16(v) => out.extend(v.iter().map(|&x| x as i64)),
            TapData::I32(v) => out.extend(v.iter().map(|&x| x as i64)),
        }
    }
}

fn rule3(v: i64, m: u16, t: u8) -> i64 {
    let exact = (v as i128 * m as i128).div_euclid(256);
    ((exact + (1 << (t - 1))).div_euclid(1 << t)) as i64
}

fn linear(x: &[i64], layer: &Linear, clamp: (i64, i64)) -> Vec<i64> {
    let mut out = Vec::new();
    for row in x.chunks(layer.inputs) {
        for (channel, weights) in layer.rows() {
            let mut acc = channel.bias as i64;
            for (x, w) in row.iter().zip(weights) {
                acc += x * (*w as i8) as i64;
            }
            assert!(acc.abs() < 1 << 23, "rule 2 violated: {acc}");
            out.push(rule3(acc, channel.m, channel.t).clamp(clamp.0, clamp.1));
        }
    }
    out
}

const I8: (i64, i64) = (-127, 127);
const I16: (i64, i64) = (-32768, 32767);

/// Rule 5 in exact rationals would differ in the last place from the specified integer recipe, so the recipe's constants
/// are recomputed here from their definition in 128-bit arithmetic.
fn layer_norm(stream: &[i64], w: usize, range: NormRange) -> Vec<i64> {
    let mut out = Vec::new();
    for row in stream.chunks(w) {
        let sum: i64 = row.iter().sum();
        let squares: i64 = row.iter().map(|x| x * x).sum();
        let v = (w as i128) * squares as i128 - (sum as i128) * (sum as i128);
        if v == 0 {
            out.extend(std::iter::repeat_n(0, w));
            continue;
        }
        let mean128 = (256 * sum as i128 + w as i128).div_euclid(2 * w as i128) as i64;
        // v = v32·4^a with 2^30 <= v32 < 2^32
        let (mut v32, mut a) = (v, 0i32);
        while v32 >= 1 << 32 {
            v32 >>= 2;
            a += 1;
        }
        while v32 < 1 << 30 {
            v32 <<= 2;
            a -= 1;
        }
        let root = (v32 as u64).isqrt() as i128;
        // n·2^e nearest to 127·W/(128·range) with n of 16 bits; the range counts sixteenths
        let mut e = 0i32;
        let (mut num, mut den) = (127 * w as i128, 8 * i128::from(range.sixteenths()));
        while (2 * num + den) / (2 * den) >= 1 << 16 {
            den *= 2;
            e += 1;
        }
        while (2 * num + den) / (2 * den) < 1 << 15 {
            num *= 2;
            e -= 1;
        }
        let n = (2 * num + den) / (2 * den);
        let (m, shift) = if n >= root { ((n << 14) / root, 14) } else { ((n << 15) / root, 15) };
        let t = (shift + a - e - 8) as u8;
        out.extend(row.iter().map(|x| rule3(128 * x - mean128, m as u16, t).clamp(-127, 127)));
    }
    out
}

fn reference(artifact: &Artifact, pixels: &[u8]) -> Record {
    let s = *artifact.spec();
    let (n, w, h, dh, g) =
        (s.tokens() as usize, s.width as usize, s.heads as usize, s.head_width() as usize, s.grid() as usize);
    let (p, c) = (s.patch as usize, s.channels as usize);
    let mut r = Record::default();
    let mut put = |name: String, data: &[i64]| {
        r.0.insert(name, data.to_vec());
    };
    put("pixels".into(), &pixels.iter().map(|&b| b as i64).collect::<Vec<_>>());
    let mut patches = Vec::new();
    for (gy, gx) in (0..g).flat_map(|y| (0..g).map(move |x| (y, x))) {
        for (y, x, k) in (0..p).flat_map(|y| (0..p).flat_map(move |x| (0..c).map(move |k| (y, x, k)))) {
            patches.push(pixels[((gy * p + y) * s.image as usize + gx * p + x) * c + k] as i64 - 128);
        }
    }
    put("patches".into(), &patches);
    let front = artifact.front();
    let latents = linear(&patches, &front.project, I8);
    put("latents".into(), &latents);
    let embed = linear(&latents, &front.embed, I16);
    put("embed".into(), &embed);
    let mut stream: Vec<i64> =
        embed.iter().zip(front.positions()).map(|(e, p)| (e + p as i64).clamp(I16.0, I16.1)).collect();
    put("stream".into(), &stream);
    for (b, block) in artifact.blocks().enumerate() {
        let name = |stage: BlockStage| TapId::Block(b as u16, stage).to_string();
        let norm = layer_norm(&stream, w, block.norms[0]);
        put(name(BlockStage::Norm1), &norm);
        let qkv = linear(&norm, &block.qkv, I8); // [N, 3W]
        let part = |i: usize, token: usize, head: usize, d: usize| qkv[token * 3 * w + i * w + head * dh + d];
        put(
            name(BlockStage::Q),
            &(0..n).flat_map(|t| (0..w).map(move |d| (t, d))).map(|(t, d)| part(0, t, 0, d)).collect::<Vec<_>>(),
        );
        let by_head = |i: usize| {
            let mut v = Vec::new();
            for (head, t, d) in (0..h).flat_map(|a| (0..n).flat_map(move |t| (0..dh).map(move |d| (a, t, d)))) {
                v.push(part(i, t, head, d));
            }
            v
        };
        put(name(BlockStage::K), &by_head(1));
        put(name(BlockStage::V), &by_head(2));
        let (mut all_logits, mut all_probabilities, mut attention) = (vec![], vec![], vec![]);
        let mut outputs = vec![0; n * w];
        for head in 0..h {
            for q in 0..n {
                let logits: Vec<i64> = (0..n)
                    .map(|k| {
                        let acc: i64 = (0..dh).map(|d| part(0, q, head, d) * part(1, k, head, d)).sum();
                        rule3(acc, block.logits.m(), block.logits.t()).clamp(-127, 127)
                    })
                    .collect();
                let max = *logits.iter().max().unwrap();
                let entries: Vec<u64> = logits.iter().map(|x| block.softmax((max - x) as u8) as u64).collect();
                let sum: u64 = entries.iter().sum();
                // Reciprocal: sum scaled to 16 bits (rounded up), 2^31 over it, at most 16 bits; p = e·r >> shift.
                let bits = 64 - sum.leading_zeros() as i32;
                let scaled = if bits <= 16 { sum << (16 - bits) } else { sum.div_ceil(1 << (bits - 16)) };
                let reciprocal = ((1u64 << 31) / scaled).min(65535);
                let probabilities: Vec<i64> = entries.iter().map(|e| ((e * reciprocal) >> bits) as i64).collect();
                assert!(probabilities.iter().sum::<i64>() <= 1 << 15);
                for d in 0..dh {
                    let acc: i64 = (0..n).map(|k| probabilities[k] * part(2, k, head, d)).sum();
                    let y = rule3(acc, block.values.m(), block.values.t()).clamp(-127, 127);
                    outputs[q * w + head * dh + d] = y;
                    attention.push(y);
                }
                all_logits.extend(logits);
                all_probabilities.extend(probabilities);
            }
        }
        put(name(BlockStage::Logits), &all_logits);
        put(name(BlockStage::Probabilities), &all_probabilities);
        put(name(BlockStage::Attention), &attention);
        let mut add = |product: &[i64]| {
            for (x, y) in stream.iter_mut().zip(product) {
                *x = (*x + y).clamp(I16.0, I16.1);
            }
            stream.clone()
        };
        let proj = linear(&outputs, &block.proj, I16);
        put(name(BlockStage::Proj), &proj);
        let after = add(&proj);
        put(name(BlockStage::Residual1), &after);
        let norm = layer_norm(&after, w, block.norms[1]);
        put(name(BlockStage::Norm2), &norm);
        let fc1 = linear(&norm, &block.fc1, I8);
        put(name(BlockStage::Fc1), &fc1);
        let gelu: Vec<i64> = fc1.iter().map(|&c| block.gelu(c as i8) as i64).collect();
        put(name(BlockStage::Gelu), &gelu);
        let fc2 = linear(&gelu, &block.fc2, I16);
        put(name(BlockStage::Fc2), &fc2);
        put(name(BlockStage::Residual2), &add(&fc2));
    }
    let norm = layer_norm(&stream, w, artifact.head().norm);
    put("final-norm".into(), &norm);
    let half = g.div_ceil(2);
    let cell = |t: usize| 2 * usize::from(t / g >= half) + usize::from(t % g >= half);
    let tokens = if s.pooling == Pooling::Grid2x2 { half * half } else { n };
    let mut shift = 0;
    while shift < 20 && (127 * tokens as u64) << (shift + 1) < 1 << 22 {
        shift += 1;
    }
    let sum = |pick: &dyn Fn(usize) -> bool, d: usize, square: bool| -> i64 {
        (0..n).filter(|&t| pick(t)).map(|t| norm[t * w + d]).map(|y| if square { y * y } else { y }).sum()
    };
    let mut pooled: Vec<i64> = Vec::new();
    match s.pooling {
        Pooling::Mean => pooled.extend((0..w).map(|d| sum(&|_| true, d, false) << shift)),
        Pooling::MeanStd => {
            pooled.extend((0..w).map(|d| sum(&|_| true, d, false) << shift));
            pooled.extend((0..w).map(|d| {
                let v = n as i64 * sum(&|_| true, d, true) - sum(&|_| true, d, false).pow(2);
                ((v as u64) << (2 * shift)).isqrt() as i64
            }));
        }
        Pooling::Grid2x2 => {
            for q in 0..4 {
                pooled.extend((0..w).map(|d| sum(&|t| cell(t) == q, d, false) << shift));
            }
        }
    }
    put("pooled".into(), &pooled);
    let codes: Vec<i64> = pooled
        .iter()
        .zip(artifact.head().channels.iter())
        .map(|(v, c)| rule3(v + c.bias as i64, c.m, c.t).clamp(-127, 127))
        .collect();
    put("codes".into(), &codes);
    r
}

fn check(spec: EncoderSpec, fill: Fill, seed: u64) {
    assert_eq!(spec.check(), Ok(()));
    let bytes = ArtifactDesc::synthetic(spec, fill, seed).write(|_| [0; 32]).expect("synthetic artifacts are valid");
    let source = Artifact::parse(&bytes).unwrap();
    let mut noise = Stream::new(seed, Purpose::Vector, 1, 0);
    let pictures: [Vec<u8>; 3] = [
        (0..spec.pixels()).map(|_| noise.next_u32() as u8).collect(),
        vec![0; spec.pixels() as usize],
        vec![255; spec.pixels() as usize],
    ];
    for pixels in &pictures {
        let want = reference(&source, pixels);
        for layout in Layout::ALL {
            let packed = pack(&bytes, layout).unwrap();
            // A canonical artifact may lie anywhere in flash, a packed one at multiples of 16 bytes.
            let mut memory = vec![0u128; packed.len().div_ceil(16) + 1];
            let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
            let at = if layout == Layout::Canonical { 3 } else { 0 };
            memory[at..at + packed.len()].copy_from_slice(&packed);
            let artifact = Artifact::parse(&memory[at..at + packed.len()]).unwrap();
            for kernel in Choice::all(layout) {
                run(artifact, kernel, pixels, &want);
            }
        }
    }
}

/// One kernel against the reference's taps.
fn run(artifact: Artifact, kernel: Choice, pixels: &[u8], want: &Record) {
    let encoder = Encoder::on(artifact, kernel).unwrap();
    let spec = *encoder.spec();
    // Exactly the planned scratch, dirty.
    let mut words = vec![0xA5A5_A5A5_A5A5_A5A5_A5A5_A5A5_A5A5_A5A5u128; encoder.scratch_bytes() / 16];
    assert!(encoder.scratch_bytes() <= scratch_bytes(&spec));
    let scratch: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    let mut codes = vec![0i8; spec.embedding() as usize];
    let mut got = Record::default();
    let norm2 = encoder.embed_tapped(pixels, scratch, &mut codes, &mut got).unwrap().norm2;
    assert_eq!(norm2, codes.iter().map(|&c| (c as i32 * c as i32) as u32).sum::<u32>());
    assert_eq!(got.0.len(), spec.taps());
    let layout = artifact.layout().name();
    for i in 0..spec.taps() {
        let id = TapId::from_index(i, spec.depth).unwrap();
        assert_eq!(id.index(spec.depth), i);
        let name = id.to_string();
        assert_eq!(got.0[&name], want.0[&name], "{name} on {}, {layout}, of {spec:?}", encoder.kernel());
    }
    let untapped = encoder.embed(pixels, scratch, &mut vec![0; codes.len()]).map(|e| e.norm2);
    assert_eq!(untapped, Ok(norm2));
}

const SMALL: EncoderSpec = EncoderSpec {
    image: 16,
    channels: 3,
    patch: 4,
    rank: 7,
    width: 24,
    depth: 2,
    heads: 3,
    mlp_ratio: 2,
    pooling: Pooling::MeanStd,
};

#[test]
fn every_fill_and_pooling() {
    for fill in Fill::ALL {
        for pooling in [Pooling::Mean, Pooling::MeanStd, Pooling::Grid2x2] {
            check(EncoderSpec { pooling, ..SMALL }, fill, 1);
        }
    }
}

#[test]
fn odd_shapes() {
    let odd = [
        // (image, channels, patch, rank, width, depth, heads, ratio)
        (15, 1, 5, 25, 21, 1, 3, 3),
        (28, 1, 4, 9, 30, 2, 5, 1),
        (9, 3, 3, 5, 13, 1, 1, 4),
        (7, 3, 7, 147, 10, 1, 2, 2), // a single token
        (35, 3, 5, 1, 34, 1, 17, 3), // heads of width 2, rank 1
        (33, 1, 3, 3, 1, 1, 1, 1),   // width 1: every token is constant
        (20, 3, 1, 2, 12, 1, 4, 2),  // 400 tokens of one pixel
        (64, 3, 32, 48, 100, 1, 1, 1),
    ];
    for (i, (image, channels, patch, rank, width, depth, heads, mlp_ratio)) in odd.into_iter().enumerate() {
        for pooling in [Pooling::Mean, Pooling::MeanStd, Pooling::Grid2x2] {
            let spec = EncoderSpec { image, channels, patch, rank, width, depth, heads, mlp_ratio, pooling };
            check(spec, Fill::Random, i as u64);
        }
    }
}

#[test]
fn longest_rows() {
    // Rule 2 at K = 2048 inputs and a head of 512.
    let spec = EncoderSpec { image: 8, patch: 4, width: 512, depth: 1, heads: 1, mlp_ratio: 4, ..SMALL };
    for fill in [Fill::Random, Fill::Extreme, Fill::ExtremeNegative] {
        check(spec, fill, 3);
    }
}

#[test]
fn preset_xs() {
    check(ldae_shared::spec::preset("xs").unwrap().spec, Fill::Random, 4);
}
