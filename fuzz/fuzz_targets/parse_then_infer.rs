//! Mutated valid artifacts: whatever the validator accepts must run, within its planned scratch, on every kernel.
//!
//! Input: shape, filling and weight layout (8 bytes), then changes of three bytes each (offset, value), then pixels.
#![no_main]

use ldae_device::kernels::Choice;
use ldae_device::{Encoder, scratch_bytes};
use ldae_shared::format::{Artifact, ArtifactDesc, Fill, Layout, pack, reseal};
use ldae_shared::spec::{EncoderSpec, Pooling};
use libfuzzer_sys::fuzz_target;

fn original(shape: &[u8; 8]) -> Option<Vec<u8>> {
    let [a, b, c, d, e, f, g, h] = *shape;
    let patch = 1 + u16::from(a % 4);
    let channels = if b & 1 == 0 { 1 } else { 3 };
    let heads = 1 + u16::from(b >> 1) % 3;
    let spec = EncoderSpec {
        image: patch * (1 + u16::from(c % 4)),
        channels,
        patch,
        rank: 1 + u16::from(d) % (patch * patch * u16::from(channels)),
        width: heads * (1 + u16::from(e % 9)),
        depth: 1 + u16::from(f % 2),
        heads,
        mlp_ratio: 1 + g % 3,
        pooling: Pooling::from_code(g / 3 % 3)?,
    };
    let fill = Fill::ALL[usize::from(h % 5)];
    let bytes = ArtifactDesc::synthetic(spec, fill, h.into()).write(|_| [0; 32]).ok()?;
    pack(&bytes, Layout::ALL[usize::from(h >> 2) % Layout::ALL.len()]).ok()
}

fuzz_target!(|data: &[u8]| {
    let Some((shape, rest)) = data.split_first_chunk::<8>() else { return };
    let Some(mut bytes) = original(shape) else { return };
    let half = rest.len() / 2;
    for change in rest[..half].chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] = change[2];
    }
    reseal(&mut bytes);
    // Packed artifacts lie at multiples of 16.
    let mut memory = vec![0u128; bytes.len().div_ceil(16)];
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    memory[..bytes.len()].copy_from_slice(&bytes);
    let Ok(artifact) = Artifact::parse(&memory[..bytes.len()]) else { return };
    let encoder = Encoder::from_artifact(artifact).unwrap_or(Encoder::portable(artifact));
    let spec = *encoder.spec();
    if spec.pixels() > 1 << 16 || spec.macs() > 1 << 24 {
        return; // a legal but slow shape: time, not safety
    }
    let mut pixels: Vec<u8> = rest[half..].to_vec();
    pixels.resize(spec.pixels() as usize, 0x5A);
    let mut scratch = vec![0u128; scratch_bytes(&spec) / 16];
    let mut first: Option<Vec<i8>> = None;
    for kernel in Choice::all(encoder.artifact().layout()) {
        let mut codes = vec![0i8; spec.embedding() as usize];
        let result = Encoder::on(*encoder.artifact(), kernel).unwrap().embed(
            &pixels,
            bytemuck::cast_slice_mut(&mut scratch),
            &mut codes,
        );
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(*first.get_or_insert_with(|| codes.clone()), codes, "{}", kernel.name());
    }
});
