//! Learning on the board: five classes from five pictures each, then a hundred other pictures are classified. Every machine
//! prints the same lines.
//!
//! The pictures are drawn by the program (textures that differ in direction and shape, with random colours, scale, phase and
//! noise; integers only), because a board has no data set. A sixth texture that was never learnt shows the anomaly score.

use crate::embed::{self, ARTIFACT, CODES, SCRATCH, SPEC};
use core::fmt::{self, Write};
use ldae_device::gallery::{EncoderId, Gallery, GalleryError, ImageError, Match, Prototypes};
use ldae_device::{Embedding, Encoder, Scratch, scratch_bytes};
use ldae_shared::crc::Crc32;
use ldae_shared::noise::{Purpose, Stream};
use static_cell::ConstStaticCell;

/// Names of the classes that are learnt, then of the one that is not.
const TEXTURES: [&str; 6] = ["rows", "columns", "slopes", "checks", "spots", "noise"];
const CLASSES: usize = 5;
/// Pictures learnt of each class, and classified.
const SHOTS: u32 = 5;
const QUERIES: u32 = 20;
/// Neighbours that vote.
const K: usize = 5;

const E: usize = SPEC.embedding() as usize;
const PIXELS: usize = SPEC.pixels() as usize;
type Examples = Gallery<E, { CLASSES * SHOTS as usize }>;

static PICTURE: ConstStaticCell<[u8; PIXELS]> = ConstStaticCell::new([0; PIXELS]);
static EXAMPLES: ConstStaticCell<Examples> = ConstStaticCell::new(Gallery::new());
static IMAGE: ConstStaticCell<[u8; Examples::MAX_IMAGE_BYTES]> = ConstStaticCell::new([0; Examples::MAX_IMAGE_BYTES]);

/// Draws picture `index` of a class (a place in [`TEXTURES`]).
fn draw(class: usize, index: u32, pixels: &mut [u8]) {
    let stream = &mut Stream::new(1, Purpose::Drawn, class as u32, index);
    let side = u32::from(SPEC.image);
    let (period, phase, across) = (6 + stream.below(6), stream.below(64), stream.below(64));
    // Two materials, one dark and one light in every channel; which of them comes first is random.
    let swap = stream.below(2) as usize;
    let mut colours = [[0u32; 3]; 2];
    for channel in 0..3 {
        colours[swap][channel] = 40 + stream.below(60);
        colours[1 - swap][channel] = 160 + stream.below(60);
    }
    for (pixel, place) in pixels.chunks_exact_mut(usize::from(SPEC.channels)).zip(0..) {
        let (x, y) = (place % side + across, place / side + phase);
        let half = |t: u32| t / (period / 2) % 2;
        let (u, v) = (x % period, y % period);
        let (du, dv) = (u.abs_diff(period / 2), v.abs_diff(period / 2));
        let second = match class {
            0 => half(y),
            1 => half(x),
            2 => half(x + y),
            3 => half(x) ^ half(y),
            4 => u32::from(9 * (du * du + dv * dv) < period * period),
            _ => stream.below(2),
        };
        let grain = stream.below(17);
        for (byte, value) in pixel.iter_mut().zip(colours[second as usize & 1]) {
            *byte = (value + grain).saturating_sub(8).min(255) as u8;
        }
    }
}

/// The engine with its buffers.
struct Eye {
    encoder: Encoder<'static>,
    scratch: &'static mut Scratch<{ scratch_bytes(&SPEC) }>,
    pixels: &'static mut [u8; PIXELS],
    codes: &'static mut [i8; E],
}

impl Eye {
    fn look(&mut self, class: usize, index: u32) -> Result<Embedding<'_>, Error> {
        draw(class, index, self.pixels);
        self.encoder.embed(self.pixels, &mut self.scratch.0, self.codes).map_err(|e| Error::Embed(e.into()))
    }
}

/// Learns, saves, restores, classifies. True when the restored gallery is the one that was saved; how many are right depends on the
/// encoder (guessing: 20 of 100).
///
/// # Errors
/// The artifact, a buffer or the gallery refuses, or the console broke. Call it once: the buffers are taken for good.
pub fn run(console: &mut impl Write) -> Result<bool, Error> {
    let encoder = Encoder::new(ARTIFACT).map_err(|e| Error::Embed(e.into()))?;
    let id = EncoderId::of(encoder.artifact());
    let mut eye = Eye { encoder, scratch: SCRATCH.take(), pixels: PICTURE.take(), codes: CODES.take() };
    let gallery = EXAMPLES.take();
    for class in 0..CLASSES {
        for index in 0..SHOTS {
            gallery.add(eye.look(class, index)?, class as u16)?;
        }
    }
    let prototypes: Prototypes<E, CLASSES> = Prototypes::of(gallery)?;
    let image = IMAGE.take();
    let saved = gallery.to_bytes(&id, image)?;
    let before: u32 = checksum(gallery);
    gallery.restore_bytes(&id, image)?;
    let kept = checksum(gallery) == before;
    let word = if kept { "the same" } else { "NOT the same" };
    writeln!(
        console,
        "learnt {} pictures of {CLASSES} classes; saved in {saved} bytes, restored {word}",
        gallery.len()
    )?;

    let (mut by_prototype, mut by_vote, mut largest) = (0, 0, 0);
    let mut answers = Crc32::new();
    for (class, name) in TEXTURES.iter().enumerate().take(CLASSES) {
        let (mut prototype_right, mut vote_right) = (0, 0);
        for index in SHOTS..SHOTS + QUERIES {
            let query = eye.look(class, index)?;
            let nearest = prototypes.classify(query)?.ok_or(Error::Empty)?;
            let vote = gallery.classify(query, &mut [Match::NONE; K])?.ok_or(Error::Empty)?;
            let anomaly = gallery.anomaly(query)?.ok_or(Error::Empty)?;
            prototype_right += u32::from(usize::from(nearest.label) == class);
            vote_right += u32::from(usize::from(vote.label) == class);
            largest = anomaly.max(largest);
            answers.update(&nearest.cosine.to_le_bytes());
            answers.update(&anomaly.to_le_bytes());
            answers.update(&[nearest.label as u8, vote.label as u8, vote.votes as u8]);
        }
        writeln!(console, "{name:8} {prototype_right:2} of {QUERIES} by prototype, {vote_right:2} by {K} neighbours")?;
        by_prototype += prototype_right;
        by_vote += vote_right;
    }
    let all = CLASSES as u32 * QUERIES;
    writeln!(console, "right: {by_prototype} of {all} by prototype, {by_vote} of {all} by {K} neighbours")?;
    let mut strange = 0;
    for index in 0..QUERIES {
        let anomaly = gallery.anomaly(eye.look(CLASSES, index)?)?.ok_or(Error::Empty)?;
        strange += u32::from(anomaly > largest);
        answers.update(&anomaly.to_le_bytes());
    }
    let name = TEXTURES[CLASSES];
    writeln!(console, "never learnt ({name}): {strange} of {QUERIES} further away than every picture above")?;
    writeln!(console, "CRC-32 of all answers {:08x}", answers.finish())?;
    Ok(kept)
}

fn checksum(gallery: &Examples) -> u32 {
    let mut crc = Crc32::new();
    for entry in gallery.entries() {
        crc.update(&entry.id.to_le_bytes());
        crc.update(&entry.label.to_le_bytes());
        entry.embedding().codes.iter().for_each(|c| crc.update(&c.to_le_bytes()));
    }
    crc.finish()
}

/// Why nothing was learnt.
#[derive(Debug)]
pub enum Error {
    /// The encoder refused, or the console broke.
    Embed(embed::Error),
    /// The gallery refused.
    Gallery(GalleryError),
    /// The saved bytes were refused.
    Image(ImageError),
    /// An answer without any example.
    Empty,
}

impl From<GalleryError> for Error {
    fn from(e: GalleryError) -> Self {
        Error::Gallery(e)
    }
}

impl From<ImageError> for Error {
    fn from(e: ImageError) -> Self {
        Error::Image(e)
    }
}

impl From<fmt::Error> for Error {
    fn from(e: fmt::Error) -> Self {
        Error::Embed(e.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Embed(e) => write!(f, "{e}"),
            Error::Gallery(e) => write!(f, "gallery: {e}"),
            Error::Image(e) => write!(f, "gallery not restored: {e}"),
            Error::Empty => f.write_str("the gallery is empty"),
        }
    }
}
