//! From a source's pictures to equal u8 tensors: decode and resize in parallel, store in the source's order.

use super::cache::{self, Growing, Meta, PictureDigest};
use super::dataset::{BadFile, Sizes};
use super::decode::{self, Decoded, Shape};
use super::drawn;
use super::origin::{Origin, Payload, Raw};
use super::split::Pixels;
use crate::{Error, Result};
use ldae_shared::resize::{Picture, resize_crop};
use rayon::prelude::*;
use std::collections::HashMap;

/// The shape every picture is brought to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shaping {
    pub side: usize,
    pub channels: usize,
    /// Enlarge pictures whose shorter side is below `side`, instead of refusing them.
    pub upscale: bool,
}

/// Why a picture was not used.
enum Refusal {
    Damaged(String),
    TooSmall { width: usize, height: usize },
}

/// Decodes all pictures of `origin`.
pub(crate) fn import(
    origin: &dyn Origin,
    shaping: Shaping,
    max_bad: usize,
    key: String,
    mut store: Growing,
    progress: &mut dyn FnMut(usize, Option<usize>),
) -> Result<(Meta, Pixels)> {
    let mut meta = Meta {
        key,
        kind: origin.kind(),
        classes: origin.classes().to_vec(),
        side: shaping.side,
        channels: shaping.channels,
        names: Vec::new(),
        parts: Vec::new(),
        labels: Vec::new(),
        bad: Vec::new(),
        sizes: Sizes::default(),
        fingerprint: String::new(),
    };
    let mut digests: Vec<PictureDigest> = Vec::new();
    let mut tally = Tally::default();
    let mut small = None;
    origin.each(&mut |chunk| {
        let decoded: Vec<_> = chunk.into_par_iter().map(|raw| prepare(raw, shaping)).collect();
        for (raw, result) in decoded {
            match result {
                Ok((bytes, shape, digest)) => {
                    store.append(&bytes)?;
                    digests.push(digest);
                    tally.add(shape);
                    meta.names.push(raw.name);
                    meta.parts.push(raw.part as u8);
                    meta.labels.push(raw.label.unwrap_or(u16::MAX));
                }
                Err(refusal) => {
                    let reason = match refusal {
                        Refusal::Damaged(why) => why,
                        Refusal::TooSmall { width, height } => {
                            let side = shaping.side;
                            small.get_or_insert_with(|| format!("{} is {width}x{height}", raw.name));
                            format!("{width}x{height} pixels, smaller than the {side}x{side} asked for")
                        }
                    };
                    meta.bad.push(BadFile { name: raw.name, reason });
                    if meta.bad.len() > max_bad {
                        return Err(too_many(&meta.bad, max_bad, small.as_deref(), shaping));
                    }
                }
            }
        }
        progress(meta.names.len() + meta.bad.len(), origin.count());
        Ok(())
    })?;
    if meta.names.is_empty() {
        return Err(if meta.bad.is_empty() {
            Error::new("the data set is empty").hint("give a source with at least one picture")
        } else {
            too_many(&meta.bad, max_bad, small.as_deref(), shaping)
        });
    }
    meta.sizes = tally.finish();
    meta.fingerprint = cache::fingerprint(&meta, &digests);
    let pixels = store.finish(&meta, &digests)?;
    Ok((meta, pixels))
}

type Prepared = Result<(Vec<u8>, Shape, PictureDigest), Refusal>;

/// Decodes and shapes one picture; gives the raw entry back without its payload.
fn prepare(mut raw: Raw, shaping: Shaping) -> (Raw, Prepared) {
    let payload = std::mem::replace(&mut raw.payload, Payload::Bad(String::new()));
    let result = decoded(payload).map_err(Refusal::Damaged).and_then(|picture| {
        let Decoded { width, height, channels, ref bytes } = picture;
        if width.min(height) < shaping.side && !shaping.upscale {
            return Err(Refusal::TooSmall { width, height });
        }
        let picture = Picture::new(width, height, channels, bytes)
            .ok_or_else(|| Refusal::Damaged(format!("{width}x{height} pixels in {} bytes", bytes.len())))?;
        let bytes = resize_crop(&picture, shaping.side, shaping.channels);
        let digest = cache::digest(&bytes);
        Ok((bytes, (width as u32, height as u32, channels), digest))
    });
    (raw, result)
}

fn decoded(payload: Payload) -> Result<Decoded, String> {
    match payload {
        Payload::File(path) => decode::decode(&decode::read_file(&path)?),
        Payload::Encoded(bytes) => decode::decode(&bytes),
        Payload::Pixels { width, height, channels, bytes } => Ok(Decoded { width, height, channels, bytes }),
        Payload::Drawn { scene, side, channels } => {
            Ok(Decoded { width: side, height: side, channels, bytes: drawn::draw(scene, side, channels) })
        }
        Payload::Bad(why) => Err(why),
    }
}

fn too_many(bad: &[BadFile], max_bad: usize, small: Option<&str>, shaping: Shaping) -> Error {
    if let Some(example) = small {
        let side = shaping.side;
        return Error::new(format!("pictures smaller than the model's {side}x{side}: {example}")).hint(
            "choose a smaller model side with --image S and a patch that divides it with --patch p, or pass --upscale to enlarge small pictures",
        );
    }
    let examples: Vec<String> = bad.iter().take(3).map(|b| format!("{}: {}", b.name, b.reason)).collect();
    let more = if bad.len() > 3 { "; ..." } else { "" };
    let examples = examples.join("; ");
    if bad.len() > max_bad {
        Error::new(format!("more than {max_bad} damaged pictures ({examples}{more})"))
            .hint("repair or remove them (`ldae data SRC` names them), or accept more with --max-bad N")
    } else {
        Error::new(format!("all {} pictures are damaged ({examples}{more})", bad.len()))
            .hint("check that the files are pictures and were copied whole")
    }
}

/// What the headers say, for sources whose format does not fix the shape: sizes without decoding.
pub(crate) fn survey(origin: &dyn Origin) -> Result<Sizes> {
    let mut tally = Tally::default();
    origin.each(&mut |chunk| {
        let shapes: Vec<Option<Shape>> = chunk
            .into_par_iter()
            .map(|raw| match raw.payload {
                Payload::File(path) => decode::shape_of_file(&path).ok(),
                Payload::Encoded(bytes) => decode::shape(&bytes).ok(),
                Payload::Pixels { width, height, channels, .. } => Some((width as u32, height as u32, channels)),
                Payload::Drawn { side, channels, .. } => Some((side as u32, side as u32, channels)),
                Payload::Bad(_) => None,
            })
            .collect();
        shapes.into_iter().flatten().for_each(|shape| tally.add(shape));
        Ok(())
    })?;
    Ok(tally.finish())
}

/// Counts picture sizes.
#[derive(Default)]
struct Tally {
    sizes: HashMap<(u32, u32), u64>,
    colour: u64,
}

impl Tally {
    fn add(&mut self, (width, height, channels): Shape) {
        *self.sizes.entry((width, height)).or_default() += 1;
        self.colour += u64::from(channels == 3);
    }

    fn finish(self) -> Sizes {
        // Ties are broken by the size itself: the map's order is arbitrary.
        let area = |&(w, h): &(u32, u32)| (u64::from(w) * u64::from(h), w);
        let common = self.sizes.iter().max_by_key(|&(size, &n)| (n, std::cmp::Reverse(area(size))));
        Sizes {
            min: self.sizes.keys().copied().min_by_key(area).unwrap_or_default(),
            max: self.sizes.keys().copied().max_by_key(area).unwrap_or_default(),
            common: common.map(|(&size, _)| size).unwrap_or_default(),
            common_count: common.map(|(_, &n)| n).unwrap_or_default(),
            distinct: self.sizes.len() as u64,
            colour: self.colour,
        }
    }
}
