//! The validator against hostile and damaged files, and round trips of the writer. Inference over mutated files that
//! still parse is tested where the engine is (device/tests/mutations.rs).

use super::*;
use crate::fixed::NormRange;
use crate::spec::{EncoderSpec, Pooling};
use alloc::vec::Vec;
use proptest::prelude::*;

const TINY: EncoderSpec = EncoderSpec {
    image: 4,
    channels: 1,
    patch: 2,
    rank: 3,
    width: 6,
    depth: 1,
    heads: 2,
    mlp_ratio: 1,
    pooling: Pooling::MeanStd,
};

fn desc() -> ArtifactDesc {
    let mut d = ArtifactDesc::synthetic(TINY, Fill::Random, 1);
    d.standardisation = alloc::vec![0x3C00; 2 * TINY.embedding() as usize];
    d.pca_basis = alloc::vec![0x3C00; (TINY.rank as usize + 1) * TINY.patch_values() as usize + 1];
    d.vectors = alloc::vec![VectorDesc {
        pixels: alloc::vec![9; TINY.pixels() as usize],
        crcs: alloc::vec![7; TINY.taps()],
        codes: alloc::vec![-3; TINY.embedding() as usize],
        norm2: 108,
    }];
    d
}

fn bytes() -> Vec<u8> {
    desc().write(|_| [0xAB; 32]).unwrap()
}

/// Writes a little-endian value and repairs the CRC.
fn with(at: usize, value: &[u8]) -> Vec<u8> {
    let mut b = bytes();
    b[at..at + value.len()].copy_from_slice(value);
    reseal(&mut b);
    b
}

/// Offset of the section of a kind.
fn section(kind: u16) -> usize {
    let b = bytes();
    let a = Artifact::parse(&b).unwrap();
    a.sections().find(|s| s.0 == kind).unwrap().1 as usize
}

#[test]
fn round_trip() {
    let (d, b) = (desc(), bytes());
    let a = Artifact::parse(&b).unwrap();
    assert_eq!(*a.spec(), TINY);
    assert_eq!((a.time_step(), a.identity(), a.provenance()), (10, [0xAB; 32], "origin=synthetic\n"));
    let same = |l: &Linear<'_>, d: &LinearDesc| {
        assert_eq!(l.weights.iter().map(|&w| w as i8).collect::<Vec<_>>(), d.weights);
        assert_eq!(l.channels.iter().map(|c| c.bias).collect::<Vec<_>>(), d.bias);
        let factors = l.channels.iter().map(|c| crate::fixed::Factor::new(c.m, c.t).unwrap());
        assert_eq!(factors.collect::<Vec<_>>(), d.factor);
    };
    same(&a.front().project, &d.project);
    same(&a.front().embed, &d.embed);
    assert_eq!(a.front().positions().collect::<Vec<_>>(), d.positions);
    assert_eq!(a.blocks().len(), 1);
    for (block, d) in a.blocks().zip(&d.blocks) {
        same(&block.qkv, &d.qkv);
        same(&block.proj, &d.proj);
        same(&block.fc1, &d.fc1);
        same(&block.fc2, &d.fc2);
        assert_eq!((block.logits, block.values), (d.logits, d.values));
        assert_eq!((0..=255).map(|i| block.softmax(i)).collect::<Vec<_>>(), d.softmax);
        assert_eq!((0..=255u8).map(|i| block.gelu(i as i8)).collect::<Vec<_>>(), d.gelu);
    }
    let norms = a.blocks().flat_map(|b| b.norms).chain([a.head().norm]);
    assert_eq!(norms.collect::<Vec<_>>(), d.norms);
    let heads = a.head().channels.iter().map(|c| (c.bias, crate::fixed::Factor::new(c.m, c.t).unwrap()));
    assert_eq!(heads.collect::<Vec<_>>(), d.head);
    assert_eq!(a.standardisation(0), Some((0x3C00, 0x3C00)));
    assert_eq!(a.standardisation(TINY.embedding() as usize), None);
    let v = a.vectors().iter().next().unwrap();
    assert_eq!((a.vectors().len(), v.norm2, v.pixels.len(), v.codes[0] as i8), (1, 108, 16, -3));
    assert!(v.crcs().all(|c| c == 7));
    assert_eq!(b, d.write(|_| [0xAB; 32]).unwrap(), "writing is deterministic");
}

#[test]
fn layer_norm_ranges() {
    let mut d = desc();
    d.norms.clear();
    let b = d.write(|_| [0; 32]).unwrap();
    let a = Artifact::parse(&b).unwrap();
    assert!(a.blocks().flat_map(|b| b.norms).chain([a.head().norm]).all(|r| r == NormRange::FIVE), "the default");
    d.norms.push(NormRange::FIVE);
    assert_eq!(d.write(|_| [0; 32]), Err(WriteError::Shape { part: "the LayerNorm ranges" }));
    // Three ranges and a zero.
    let norms = section(kind::NORMS);
    let refused = |at: usize, value: u8| Artifact::parse(&with(at, &[value])).unwrap_err();
    assert_eq!(refused(norms + 1, 15), FormatError::Field { at: norms as u32 + 1 });
    assert_eq!(refused(norms + 3, 16), FormatError::Field { at: norms as u32 + 3 });
    assert!(Artifact::parse(&with(norms + 2, &[255])).is_ok());
}

#[test]
fn every_truncation_and_any_trailing_byte_is_refused() {
    let b = bytes();
    for n in 0..b.len() {
        assert!(Artifact::parse(&b[..n]).is_err(), "{n} bytes");
        let mut sealed = b[..n].to_vec();
        if n >= 12 {
            sealed[8..12].copy_from_slice(&(n as u32).to_le_bytes());
        }
        reseal(&mut sealed);
        assert!(Artifact::parse(&sealed).is_err(), "{n} bytes with length and CRC repaired");
    }
    let mut longer = b;
    longer.push(0);
    assert!(matches!(Artifact::parse(&longer), Err(FormatError::Length { .. })));
}

#[test]
fn every_bit_flip_is_found_by_the_crc() {
    let b = bytes();
    for i in 0..b.len() * 8 {
        let mut flipped = b.clone();
        flipped[i / 8] ^= 1 << (i % 8);
        assert!(Artifact::parse(&flipped).is_err(), "bit {i}");
    }
}

#[test]
fn header_faults_have_their_own_errors() {
    assert_eq!(Artifact::parse(&[]).unwrap_err(), FormatError::Truncated { needed: 64, found: 0 });
    assert_eq!(Artifact::parse(&[0x4C]).unwrap_err(), FormatError::Truncated { needed: 64, found: 1 });
    assert_eq!(Artifact::parse(&with(0, b"ELF?")).unwrap_err(), FormatError::BadMagic);
    assert_eq!(Artifact::parse(&with(0, b"EADL")).unwrap_err(), FormatError::WrongEndianness);
    assert_eq!(Artifact::parse(&with(4, &[2, 0])).unwrap_err(), FormatError::Version { major: 2, minor: 0 });
    assert_eq!(Artifact::parse(&with(6, &[1, 0])).unwrap_err(), FormatError::Version { major: 1, minor: 1 });
    assert_eq!(Artifact::parse(&with(16, &[2, 0])).unwrap_err(), FormatError::UnknownRules { rules: 2, layout: 0 });
    assert_eq!(Artifact::parse(&with(18, &[9, 0])).unwrap_err(), FormatError::UnknownRules { rules: 1, layout: 9 });
    for count in [0u16, 33, 0xFFFF] {
        assert!(Artifact::parse(&with(20, &count.to_le_bytes())).is_err());
    }
    for at in 22..32 {
        assert_eq!(Artifact::parse(&with(at, &[1])).unwrap_err(), FormatError::Field { at: 22 });
    }
}

#[test]
fn section_table_faults() {
    let entry = HEADER + ENTRY; // PREPROCESS
    let malformed = |b: Vec<u8>| assert!(matches!(Artifact::parse(&b), Err(FormatError::Sections { .. })));
    malformed(with(entry, &[1, 0])); // kind repeated
    malformed(with(entry + 2, &[2, 0])); // unknown flag
    malformed(with(entry + 2, &[0, 0])); // required section marked optional
    malformed(with(entry + 4, &[0, 0, 0, 0])); // offset into the header
    malformed(with(entry + 8, &[0xFF, 0xFF, 0xFF, 0xFF])); // length beyond the file
    malformed(with(entry + 8, &[17, 0, 0, 0])); // no multiple of four
    malformed(with(entry + 12, &[1, 0, 0, 0])); // reserved
    let last = HEADER + 9 * ENTRY; // VECTORS
    assert_eq!(with(last, &[10, 0]), bytes());
    assert!(Artifact::parse(&with(last, &[200, 0])).is_ok(), "an unknown optional section is skipped");
    let mut b = with(last, &[200, 0]);
    b[last + 2] = 1;
    reseal(&mut b);
    assert_eq!(Artifact::parse(&b).unwrap_err(), FormatError::UnknownRequired { kind: 200 });
}

#[test]
fn shapes_that_the_tensors_do_not_have() {
    let spec = section(kind::SPEC);
    for (at, value) in [(0, 8u16), (4, 1), (6, 2), (8, 12), (10, 2), (10, 0), (12, 0), (12, 5), (8, 0xFFFF), (0, 0)] {
        assert!(Artifact::parse(&with(spec + at, &value.to_le_bytes())).is_err(), "field {at} = {value}");
    }
    assert!(Artifact::parse(&with(spec + 2, &[3])).is_err(), "channels");
    assert!(Artifact::parse(&with(spec + 3, &[9])).is_err(), "pooling");
    assert!(Artifact::parse(&with(spec + 14, &[2])).is_err(), "MLP ratio");
    assert!(Artifact::parse(&with(spec + 31, &[1])).is_err(), "reserved");
    let preprocess = section(kind::PREPROCESS);
    for at in 0..16 {
        assert!(Artifact::parse(&with(preprocess + at, &[7])).is_err(), "preprocessing byte {at}");
    }
}

#[test]
fn integers_that_could_overflow_or_leave_their_range() {
    let front = section(kind::FRONT);
    let rank = TINY.rank as usize;
    assert_eq!(
        Artifact::parse(&with(front + 8 * rank, &[0x80])).unwrap_err(),
        FormatError::Code { at: (front + 8 * rank) as u32 }
    );
    for bias in [i32::MAX, i32::MIN, 1 << 23, -(1 << 23)] {
        let e = Artifact::parse(&with(front, &bias.to_le_bytes())).unwrap_err();
        assert_eq!(e, FormatError::Accumulator { at: front as u32 });
    }
    for (m, t, pad) in
        [(0u16, 10, 0), (0x3FFF, 10, 0), (0x8000, 10, 0), (0x4000, 0, 0), (0x4000, 31, 0), (0x4000, 9, 1)]
    {
        let [lo, hi] = m.to_le_bytes();
        let e = Artifact::parse(&with(front + 4, &[lo, hi, t, pad])).unwrap_err();
        assert_eq!(e, FormatError::Factor { at: (front + 4) as u32 });
    }
    let head = section(kind::HEAD);
    let e = Artifact::parse(&with(head, &(1i32 << 23).to_le_bytes())).unwrap_err();
    assert_eq!(e, FormatError::Accumulator { at: head as u32 });
    // Tables: qkv, then the logits factor, then the softmax table.
    let table = section(kind::BLOCKS) + Layout::Canonical.linear_bytes(18, 6) as usize + 4;
    assert_eq!(Artifact::parse(&with(table, &[0, 0])).unwrap_err(), FormatError::Table { at: table as u32 });
    let gelu = table + 512 + 4 + 2 * Layout::Canonical.linear_bytes(6, 6) as usize;
    assert_eq!(Artifact::parse(&with(gelu + 3, &[0x80])).unwrap_err(), FormatError::Code { at: gelu as u32 + 3 });
    let text = section(kind::PROVENANCE);
    for byte in [0x1Bu8, 0, 0xFF, 0x7F] {
        assert!(Artifact::parse(&with(text, &[byte])).is_err(), "provenance byte {byte:02x}");
    }
}

#[test]
fn the_writer_refuses_what_the_reader_refuses() {
    let mut d = desc();
    d.project.bias[0] = i32::MAX;
    assert!(matches!(d.write(|_| [0; 32]), Err(WriteError::Refused(FormatError::Accumulator { .. }))));
    let mut d = desc();
    d.blocks[0].fc1.weights.pop();
    assert_eq!(d.write(|_| [0; 32]), Err(WriteError::Shape { part: "fc1" }));
    let mut d = desc();
    d.provenance = "\u{1b}[31m".into();
    assert!(d.write(|_| [0; 32]).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut b in prop::collection::vec(any::<u8>(), 0..600), seal: bool) {
        if seal && b.len() >= 24 {
            let length = b.len() as u32;
            b[..8].copy_from_slice(b"LDAE\x01\0\0\0");
            b[8..12].copy_from_slice(&length.to_le_bytes());
            b[16..20].copy_from_slice(&[1, 0, 0, 0]);
            b[22..32.min(length as usize)].fill(0);
            reseal(&mut b);
        }
        let _ = Artifact::parse(&b);
    }

    #[test]
    fn any_valid_shape_round_trips(
        grid in 1u16..5, patch in 1u16..5, grey: bool, head_width in 1u16..9, heads in 1u16..4, depth in 1u16..3,
        mlp_ratio in 1u8..4, rank in 1u16..20, pooling in 0u8..3, seed: u64,
    ) {
        let channels = if grey { 1 } else { 3 };
        let pooling = Pooling::from_code(pooling).unwrap();
        let rank = rank.min(patch * patch * u16::from(channels));
        let width = head_width * heads;
        let spec = EncoderSpec { image: grid * patch, channels, patch, rank, width, depth, heads, mlp_ratio, pooling };
        let b = ArtifactDesc::synthetic(spec, Fill::Random, seed).write(|_| [1; 32]).unwrap();
        prop_assert_eq!(*Artifact::parse(&b).unwrap().spec(), spec);
    }
}
