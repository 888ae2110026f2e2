//! Test vectors inside the artifact: pictures with the CRC of every tap and the embedding, as the portable kernel (the
//! definition of the bits) computes them. The pictures are drawn by the program, so that an artifact never carries a
//! picture of its training set.

use super::write;
use crate::data::Part;
use crate::data::drawn::{Scene, draw};
use crate::quantise::aligned;
use crate::{Error, Result};
use ldae_device::{Artifact, CrcTaps, Encoder};
use ldae_shared::crc::Crc32;
use ldae_shared::format::{ArtifactDesc, VectorDesc};

/// Seed of the drawn pictures: fixed, so that all artifacts of one shape carry the same ones.
const SEED: u64 = 0x1DAE;

/// Makes `count` vectors for an otherwise complete description.
///
/// # Errors
/// The description cannot be written.
pub fn make(desc: &ArtifactDesc, count: usize) -> Result<Vec<VectorDesc>> {
    let bytes = write(desc)?;
    let encoder = Artifact::parse(&bytes)
        .map(Encoder::portable)
        .map_err(|e| Error::new("the quantised encoder is not valid").caused_by(e))?;
    let spec = *encoder.spec();
    let mut scratch = aligned(encoder.scratch_bytes());
    (0..count)
        .map(|i| {
            let pixels =
                draw(Scene { seed: SEED, part: Part::Test, index: i as u32 }, spec.image.into(), spec.channels.into());
            let mut crcs = vec![Crc32::new(); spec.taps()];
            let mut codes = vec![0i8; spec.embedding() as usize];
            let mut taps = CrcTaps::new(&mut crcs, spec.depth);
            let embedding = encoder
                .embed_tapped(&pixels, bytemuck::cast_slice_mut(&mut scratch), &mut codes, &mut taps)
                .map_err(|e| Error::new("the device engine refused a drawn picture").caused_by(e))?;
            let norm2 = embedding.norm2;
            Ok(VectorDesc { pixels, crcs: crcs.iter().map(|c| c.finish()).collect(), codes, norm2 })
        })
        .collect()
}
