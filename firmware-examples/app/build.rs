//! Brings the artifact into the program: the file named by LDAE_ARTIFACT, or else one with random weights of the preset named by
//! LDAE_PRESET (xs when neither is set).
//!
//! Writes `artifact.ldae` and `spec.rs` (its shape as a constant, so that buffers are sized at compile time) to OUT_DIR. An
//! artifact that the device would refuse fails the build here.

use ldae_device::kernels::Family;
use ldae_device::{CrcTaps, Encoder, Scratch, scratch_bytes};
use ldae_shared::crc::Crc32;
use ldae_shared::format::{Artifact, ArtifactDesc, Fill, PackError, VectorDesc, pack};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::spec::{EncoderSpec, PRESETS, Preset};
use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=LDAE_ARTIFACT");
    println!("cargo:rerun-if-env-changed=LDAE_PRESET");
    println!("cargo:rustc-check-cfg=cfg(armv6m, armv7m)");
    match env::var("TARGET") {
        Ok(target) if target.starts_with("thumbv6m") => println!("cargo:rustc-cfg=armv6m"),
        Ok(target) if target.starts_with("thumbv7") => println!("cargo:rustc-cfg=armv7m"),
        _ => {}
    }
    let artifact = match env::var_os("LDAE_ARTIFACT") {
        Some(path) => {
            println!("cargo:rerun-if-changed={}", path.display());
            fs::read(&path).map_err(|e| format!("LDAE_ARTIFACT={} (give an absolute path): {e}", path.display()))?
        }
        None => random_artifact(&env::var("LDAE_PRESET").unwrap_or_else(|_| "xs".to_owned()))?,
    };
    let spec = *Artifact::parse_anywhere(&artifact).map_err(|e| format!("LDAE_ARTIFACT is refused: {e}"))?.spec();
    // In the weight order that this core's kernel reads, as `ldae pack` writes it; a packed file stays as it is.
    let family = Family::of_target(&env::var("TARGET")?, &env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default());
    let artifact = match pack(&artifact, family.layout()) {
        Err(PackError::Packed(_)) => artifact,
        packed => packed?,
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("artifact.ldae"), artifact)?;
    let EncoderSpec { image, channels, patch, rank, width, depth, heads, mlp_ratio, pooling } = spec;
    let source = format!(
        "EncoderSpec {{ image: {image}, channels: {channels}, patch: {patch}, rank: {rank}, width: {width}, depth: {depth}, \
         heads: {heads}, mlp_ratio: {mlp_ratio}, pooling: ldae_shared::spec::Pooling::{pooling:?} }}"
    );
    fs::write(out.join("spec.rs"), source)?;
    Ok(())
}

/// A preset with random weights and two test vectors, computed here by the portable kernels.
fn random_artifact(name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    /// The largest preset for boards.
    const LARGEST: EncoderSpec = PRESETS[4].spec;
    let fits = |p: &&Preset| p.name == name && scratch_bytes(&p.spec) <= scratch_bytes(&LARGEST);
    let spec = PRESETS.iter().find(fits).ok_or_else(|| format!("LDAE_PRESET={name} is no preset for boards"))?.spec;
    let mut desc = ArtifactDesc::synthetic(spec, Fill::Random, 1);
    let bytes = desc.write(|_| [0; 32])?;
    let encoder = Encoder::portable(Artifact::parse(&bytes)?);
    for index in 0..2 {
        let mut noise = Stream::new(1, Purpose::Vector, 1, index);
        let pixels: Vec<u8> = (0..spec.pixels()).map(|_| noise.below(256) as u8).collect();
        let mut scratch = Scratch::<{ scratch_bytes(&LARGEST) }>::new();
        let (mut codes, mut crcs) = (vec![0; spec.embedding() as usize], vec![Crc32::new(); spec.taps()]);
        let mut taps = CrcTaps::new(&mut crcs, spec.depth);
        let norm2 = encoder.embed_tapped(&pixels, &mut scratch.0, &mut codes, &mut taps)?.norm2;
        desc.vectors.push(VectorDesc { pixels, crcs: crcs.into_iter().map(Crc32::finish).collect(), codes, norm2 });
    }
    Ok(desc.write(|_| [0; 32])?)
}
