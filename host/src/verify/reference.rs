//! The host's own results: the device crate in this process, over all pictures, on all cores.

use super::answer::{PictureResult, Plan};
use crate::{Error, Result};
#[path = "../../../firmware-examples/app/src/standin.rs"]
mod standin;
use standin::{Encoder, Tap, TapId};
use ldae_shared::crc::{Crc32, crc32};
use rayon::prelude::*;

/// What every device must reproduce.
pub struct Reference {
    /// One result for each picture.
    pub pictures: Vec<PictureResult>,
    /// Names of the taps, by index.
    pub tap_names: Vec<String>,
    /// Sizes of one inference.
    pub plan: Plan,
}

/// Length of a picture that `artifact` accepts, in bytes.
///
/// # Errors
/// The loader refuses the artifact.
pub fn picture_bytes(artifact: &[u8]) -> Result<usize> {
    Ok(open(artifact)?.spec().pixels() as usize)
}

fn open(artifact: &[u8]) -> Result<Encoder<'_>> {
    Encoder::new(artifact).map_err(|e| {
        Error::new(format!("the artifact is not valid: {e}")).hint("export it again; `ldae inspect` says what is in it")
    })
}

/// Runs `artifact` over all pictures of `pixels`.
///
/// # Errors
/// The loader refuses the artifact, or the engine a picture.
pub fn run(artifact: &[u8], pixels: &[u8]) -> Result<Reference> {
    let encoder = open(artifact)?;
    let components = encoder.spec().embedding() as usize;
    let taps = encoder.taps();
    let plan = Plan {
        taps: taps as u32,
        components: components as u32,
        scratch_bytes: encoder.scratch_bytes() as u32,
        kernel: "portable".to_owned(),
    };
    let size = encoder.spec().pixels() as usize;
    let mut scratch = vec![0; encoder.scratch_bytes()];
    let one = |scratch: &mut Vec<u8>, picture: &[u8]| {
        let (mut codes, mut crcs) = (vec![0; components], Checksums(vec![Crc32::new(); taps]));
        let norm2 = encoder.embed_tapped(picture, scratch, &mut codes, &mut crcs).map_err(refused)?.norm2;
        let taps = crcs.0.iter().map(Crc32::finish).collect();
        Ok(PictureResult { input_crc: crc32(picture), norm2, codes, taps })
    };
    let pictures =
        pixels.par_chunks_exact(size).map_init(|| scratch.clone(), one).collect::<Result<Vec<PictureResult>>>()?;

    let mut names = Names(vec![String::new(); taps]);
    if let Some(picture) = pixels.get(..size) {
        encoder.embed_tapped(picture, &mut scratch, &mut vec![0; components], &mut names).map_err(refused)?;
    }
    Ok(Reference { pictures, tap_names: names.0, plan })
}

/// All bytes of one tap of one picture.
///
/// # Errors
/// As [`run`].
pub fn tap_bytes(artifact: &[u8], picture: &[u8], tap: usize) -> Result<Vec<u8>> {
    let encoder = open(artifact)?;
    let mut one = OneTap { tap, bytes: Vec::new() };
    let (mut scratch, mut codes) = (vec![0; encoder.scratch_bytes()], vec![0; encoder.spec().embedding() as usize]);
    encoder.embed_tapped(picture, &mut scratch, &mut codes, &mut one).map_err(refused)?;
    Ok(one.bytes)
}

fn refused(e: standin::EmbedError) -> Error {
    Error::new(format!("the engine refused a picture: {e}"))
}

struct Checksums(Vec<Crc32>);

impl Tap for Checksums {
    fn tap(&mut self, id: TapId, bytes: &[u8]) {
        self.0[id.index()].update(bytes);
    }
}

struct Names(Vec<String>);

impl Tap for Names {
    fn tap(&mut self, id: TapId, _: &[u8]) {
        let name = &mut self.0[id.index()];
        if name.is_empty() {
            *name = id.to_string();
        }
    }
}

struct OneTap {
    tap: usize,
    bytes: Vec<u8>,
}

impl Tap for OneTap {
    fn tap(&mut self, id: TapId, bytes: &[u8]) {
        if id.index() == self.tap {
            self.bytes.extend_from_slice(bytes);
        }
    }
}
