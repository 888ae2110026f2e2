//! Every single-byte change of small valid artifacts, with the CRC repaired: an error, or an inference that neither
//! panics nor overflows nor reads outside. Meant for a build with overflow checks: `cargo test --profile checked`.

use ldae_device::{Artifact, Encoder, scratch_bytes};
use ldae_shared::format::{ArtifactDesc, Fill, Layout, pack, reseal};
use ldae_shared::spec::{EncoderSpec, Pooling};

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

/// Runs what parses, on the fastest kernel of this machine for its layout; returns whether it did.
fn survives(bytes: &[u8]) -> bool {
    // Packed artifacts lie at multiples of 16.
    let mut memory = vec![0u128; bytes.len().div_ceil(16)];
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    memory[..bytes.len()].copy_from_slice(bytes);
    let Ok(artifact) = Artifact::parse(&memory[..bytes.len()]) else { return false };
    let encoder = Encoder::from_artifact(artifact).unwrap_or(Encoder::portable(artifact));
    let spec = *encoder.spec();
    let mut scratch = vec![0u128; scratch_bytes(&spec).div_ceil(16)];
    let mut codes = vec![0i8; spec.embedding() as usize];
    for fill in [0u8, 127, 255] {
        let pixels = vec![fill; spec.pixels() as usize];
        let result = encoder.embed(&pixels, bytemuck::cast_slice_mut(&mut scratch), &mut codes);
        assert!(result.is_ok(), "{result:?}");
    }
    true
}

#[test]
fn every_single_byte_change() {
    for (fill, pooling) in
        [(Fill::Random, Pooling::MeanStd), (Fill::Extreme, Pooling::Grid2x2), (Fill::ExtremeNegative, Pooling::Mean)]
    {
        let original = ArtifactDesc::synthetic(EncoderSpec { pooling, ..TINY }, fill, 1).write(|_| [0; 32]).unwrap();
        let mut bytes = original.clone();
        let (mut ran, mut refused) = (0u32, 0u32);
        for at in 0..bytes.len() {
            // All 255 other values of the random artifact, the telling ones of the others.
            let old = bytes[at];
            let values: Vec<u8> = if fill == Fill::Random {
                (0..=255).collect()
            } else {
                vec![0, 0xFF, 0x80, 0x7F, old ^ 1, old ^ 0x80, old.wrapping_add(1)]
            };
            for value in values {
                bytes[at] = value;
                reseal(&mut bytes);
                if survives(&bytes) { ran += 1 } else { refused += 1 }
            }
            bytes[at] = old;
        }
        reseal(&mut bytes);
        assert_eq!(bytes, original);
        println!("{fill:?}: {ran} mutants ran, {refused} were refused");
        assert!(ran > 0 && refused > 0);
    }
}

/// The telling values of every byte of packed artifacts: headers, padding and weights are checked as in canonical ones.
#[test]
fn single_byte_changes_of_packed_artifacts() {
    let canonical = ArtifactDesc::synthetic(TINY, Fill::Random, 1).write(|_| [0; 32]).unwrap();
    for layout in Layout::ALL.into_iter().filter(|l| !l.is_canonical()) {
        let mut bytes = pack(&canonical, layout).unwrap();
        let (mut ran, mut refused) = (0u32, 0u32);
        for at in 0..bytes.len() {
            let old = bytes[at];
            for value in [0, 0xFF, 0x80, 0x7F, old ^ 1] {
                bytes[at] = value;
                reseal(&mut bytes);
                if survives(&bytes) { ran += 1 } else { refused += 1 }
            }
            bytes[at] = old;
        }
        println!("{}: {ran} mutants ran, {refused} were refused", layout.name());
        assert!(ran > 0 && refused > 0);
    }
}

/// A sample of the above that Miri can interpret in minutes: `cargo miri test -p ldae-device miri_`.
#[test]
fn miri_sample() {
    let mut bytes = ArtifactDesc::synthetic(TINY, Fill::Random, 1).write(|_| [0; 32]).unwrap();
    assert!(survives(&bytes));
    for at in (0..bytes.len()).step_by(301) {
        bytes[at] ^= 0x81;
        reseal(&mut bytes);
        survives(&bytes);
        bytes[at] ^= 0x81;
    }
}

#[test]
fn every_truncation() {
    let bytes = ArtifactDesc::synthetic(TINY, Fill::Random, 1).write(|_| [0; 32]).unwrap();
    for n in 0..bytes.len() {
        assert!(!survives(&bytes[..n]), "{n} bytes");
    }
    assert!(survives(&bytes));
}

#[test]
fn buffers_of_the_wrong_size_are_errors() {
    use ldae_device::EmbedError;
    let bytes = ArtifactDesc::synthetic(TINY, Fill::Random, 1).write(|_| [0; 32]).unwrap();
    let encoder = Encoder::new(&bytes).unwrap();
    let needed = encoder.scratch_bytes();
    let mut scratch = vec![0u128; needed / 16 + 1];
    let scratch: &mut [u8] = bytemuck::cast_slice_mut(&mut scratch);
    let mut codes = [9i8; 12];
    let pixels = [0u8; 16];
    for n in 0..needed {
        let e = encoder.embed(&pixels, &mut scratch[..n], &mut codes).unwrap_err();
        assert_eq!(e, EmbedError::Scratch { needed, found: n });
    }
    let e = encoder.embed(&pixels, &mut scratch[1..needed + 1], &mut codes).unwrap_err();
    assert_eq!(e, EmbedError::ScratchAlignment);
    let e = encoder.embed(&pixels[1..], scratch, &mut codes).unwrap_err();
    assert_eq!(e, EmbedError::Pixels { expected: 16, found: 15 });
    let e = encoder.embed(&pixels, scratch, &mut codes[1..]).unwrap_err();
    assert_eq!(e, EmbedError::Output { needed: 12, found: 11 });
    assert_eq!(codes, [9; 12], "errors write nothing");
    assert!(encoder.embed(&pixels, scratch, &mut codes).is_ok());
}
