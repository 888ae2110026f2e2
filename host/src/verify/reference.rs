//! The host's own results: the portable kernels (the definition of the bits) in this process, over all pictures, on all
//! cores.

use super::answer::{PictureResult, Plan};
use crate::pack::InMemory;
use crate::{Error, Result};
use ldae_device::kernels::Choice;
use ldae_device::{CrcTaps, EmbedError, Encoder, Tap, TapData, TapId};
use ldae_shared::crc::{Crc32, crc32};
use ldae_shared::spec::EncoderSpec;
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

/// Type of a tap's values; all are little-endian in the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// u8.
    U8,
    /// i8.
    I8,
    /// i16.
    I16,
    /// u16.
    U16,
    /// i32.
    I32,
}

/// Which kernel a run of this process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// The definition.
    Portable,
    /// The fastest of this machine for the artifact's layout.
    Best,
    /// A certain one.
    On(Choice),
}

/// Scratch aligned as the engine wants it: 16 bytes.
fn scratch(encoder: &Encoder<'_>) -> Vec<u128> {
    vec![0; encoder.scratch_bytes().div_ceil(size_of::<u128>())]
}

/// The shape of `artifact`.
///
/// # Errors
/// The loader refuses the artifact.
pub fn spec(artifact: &[u8]) -> Result<EncoderSpec> {
    Ok(*open(artifact, Kernels::Portable)?.spec())
}

fn open(artifact: &[u8], kernels: Kernels) -> Result<Encoder<'_>> {
    let encoder = Encoder::new(artifact).map_err(|e| {
        Error::new(format!("the artifact is not valid: {e}")).hint("export it again, or give an intact copy")
    })?;
    Ok(match kernels {
        Kernels::Portable => Encoder::portable(*encoder.artifact()),
        Kernels::Best => encoder,
        Kernels::On(kernel) => Encoder::on(*encoder.artifact(), kernel)
            .map_err(|e| Error::new(format!("{} cannot run the artifact: {e}", kernel.name())))?,
    })
}

/// Runs `artifact` over all pictures of `pixels`.
///
/// # Errors
/// The loader refuses the artifact, or the engine a picture.
pub fn run(artifact: &[u8], pixels: &[u8], kernels: Kernels) -> Result<Reference> {
    let artifact = InMemory::copy(artifact);
    let encoder = open(artifact.bytes(), kernels)?;
    let spec = encoder.spec();
    let (taps, components) = (spec.taps(), spec.embedding() as usize);
    let one = |scratch: &mut Vec<u128>, picture: &[u8]| {
        let (mut codes, mut crcs) = (vec![0; components], vec![Crc32::new(); taps]);
        let scratch = &mut bytemuck::cast_slice_mut(scratch)[..encoder.scratch_bytes()];
        let mut observer = CrcTaps::new(&mut crcs, spec.depth);
        let norm2 = encoder.embed_tapped(picture, scratch, &mut codes, &mut observer).map_err(refused)?.norm2;
        let taps = crcs.into_iter().map(Crc32::finish).collect();
        Ok(PictureResult { input_crc: crc32(picture), norm2, codes, taps })
    };
    let pictures = pixels
        .par_chunks_exact(spec.pixels() as usize)
        .map_init(|| scratch(&encoder), one)
        .collect::<Result<Vec<PictureResult>>>()?;
    let name = |i| TapId::from_index(i, spec.depth).map_or_else(|| format!("tap {i}"), |id| id.to_string());
    let plan = Plan {
        taps: taps as u32,
        components: components as u32,
        scratch_bytes: encoder.scratch_bytes() as u32,
        kernel: encoder.kernel().to_owned(),
    };
    Ok(Reference { pictures, tap_names: (0..taps).map(name).collect(), plan })
}

/// All bytes of one tap of one picture, and the type of its values.
///
/// # Errors
/// As [`run`].
pub fn tap_bytes(artifact: &[u8], picture: &[u8], tap: usize, kernels: Kernels) -> Result<(Element, Vec<u8>)> {
    let artifact = InMemory::copy(artifact);
    let encoder = open(artifact.bytes(), kernels)?;
    let spec = encoder.spec();
    let mut one = OneTap { tap, depth: spec.depth, element: Element::U8, bytes: Vec::new() };
    let (mut scratch, mut codes) = (scratch(&encoder), vec![0; spec.embedding() as usize]);
    let scratch = &mut bytemuck::cast_slice_mut(&mut scratch)[..encoder.scratch_bytes()];
    encoder.embed_tapped(picture, scratch, &mut codes, &mut one).map_err(refused)?;
    Ok((one.element, one.bytes))
}

fn refused(e: EmbedError) -> Error {
    Error::new(format!("the engine refused a picture: {e}"))
}

struct OneTap {
    tap: usize,
    depth: u16,
    element: Element,
    bytes: Vec<u8>,
}

impl Tap for OneTap {
    fn tap(&mut self, id: TapId, data: TapData<'_>) {
        if id.index(self.depth) != self.tap {
            return;
        }
        self.element = match data {
            TapData::U8(_) => Element::U8,
            TapData::I8(_) => Element::I8,
            TapData::I16(_) => Element::I16,
            TapData::U16(_) => Element::U16,
            TapData::I32(_) => Element::I32,
        };
        let Ok(()) = data.le_bytes(|piece| {
            self.bytes.extend_from_slice(piece);
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

impl Element {
    /// Values from little-endian bytes; a last incomplete value is left out.
    pub fn values(self, bytes: &[u8]) -> Vec<i64> {
        match self {
            Element::U8 => bytes.iter().map(|b| i64::from(*b)).collect(),
            Element::I8 => bytes.iter().map(|b| i64::from(b.cast_signed())).collect(),
            Element::I16 => bytes.as_chunks().0.iter().map(|b| i64::from(i16::from_le_bytes(*b))).collect(),
            Element::U16 => bytes.as_chunks().0.iter().map(|b| i64::from(u16::from_le_bytes(*b))).collect(),
            Element::I32 => bytes.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect(),
        }
    }
}
