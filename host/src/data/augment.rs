//! Training augmentation on u8 pictures: a pure function of (seed, epoch, sample, view), never of thread or batch.
//!
//! A view is an independent draw for the same sample: methods that compare two pictures of one sample use views 0 and 1, all
//! others view 0.

use super::crop;
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::resize::{Picture, resize_region};
use serde::{Deserialize, Serialize};

/// What is done to a training picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// Nothing: the centre crop made at load (paper A's default).
    None,
    /// Mirrored left to right with probability 1/2.
    #[default]
    Flip,
    /// Mirrored with probability 1/2, then shifted by up to side/8 in each direction, borders reflected (the usual
    /// "pad 4, crop 32" of CIFAR at side 32; paper A gains 0.5 points from random crops).
    CropFlip,
    /// A random rectangle of 0.2 to 1 of the area and 3/4 to 4/3 wide to high, enlarged to the whole side, mirrored with
    /// probability 1/2.
    Crop,
    /// As crop, then brightness, contrast, saturation and hue changed with probability 0.8, and grey with probability 0.2.
    CropColour,
}

/// Blocks of the stream between two views: more than any augmentation draws.
const VIEW_BLOCKS: u32 = 1 << 24;

/// Writes the augmented picture to `out`. Both are `side * side * channels` bytes, HWC.
///
/// # Panics
/// When a slice has another length, or `view` is above 255.
#[expect(clippy::too_many_arguments, reason = "a pure function names everything it depends on")]
pub fn augment(
    image: &[u8],
    side: usize,
    channels: usize,
    kind: Augment,
    seed: u64,
    epoch: u32,
    sample: u32,
    view: u32,
    out: &mut [u8],
) {
    assert_eq!(image.len(), side * side * channels, "picture of the stated shape");
    assert_eq!(out.len(), image.len(), "output of the picture's size");
    if kind == Augment::None {
        out.copy_from_slice(image);
        return;
    }
    assert!(view < 256, "at most 256 views");
    let mut stream = Stream::new(seed, Purpose::Augment, epoch, sample).at_block(view * VIEW_BLOCKS);
    let mirror = stream.below(2) == 1;
    if matches!(kind, Augment::Crop | Augment::CropColour) {
        let region = crop::region(&mut stream, side);
        let cut = Picture::new(side, side, channels, image).and_then(|p| resize_region(&p, region, side));
        out.copy_from_slice(&cut.expect("a rectangle inside a picture of 1 or 3 channels"));
        if kind == Augment::CropColour {
            crop::recolour(&mut stream, channels, out);
        }
        if mirror {
            flip(side, channels, out);
        }
        return;
    }
    let reach = if kind == Augment::CropFlip { (side / 8) as u32 } else { 0 };
    let mut shift = || i64::from(stream.below(2 * reach + 1)) - i64::from(reach);
    let (down, right) = (shift(), shift());
    for (row, line) in out.chunks_exact_mut(side * channels).enumerate() {
        let from_row = reflect(row as i64 + down, side);
        for (column, pixel) in line.chunks_exact_mut(channels).enumerate() {
            let column = if mirror { side - 1 - column } else { column };
            let from = (from_row * side + reflect(column as i64 + right, side)) * channels;
            pixel.copy_from_slice(&image[from..from + channels]);
        }
    }
}

/// Mirrors a picture left to right.
fn flip(side: usize, channels: usize, picture: &mut [u8]) {
    for row in picture.chunks_exact_mut(side * channels) {
        row.reverse();
        row.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
    }
}

/// Mirrors a coordinate at the borders without repeating the border pixel: -1 becomes 1, `side` becomes `side - 2`.
fn reflect(at: i64, side: usize) -> usize {
    let last = side as i64 - 1;
    let at = if at < 0 { -at } else { at };
    (if at > last { 2 * last - at } else { at }).clamp(0, last) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Vec<u8> {
        (0..16 * 16 * 3).map(|i| (i % 251) as u8).collect()
    }

    fn augmented(kind: Augment, epoch: u32, sample: u32) -> Vec<u8> {
        seen(kind, epoch, sample, 0)
    }

    fn seen(kind: Augment, epoch: u32, sample: u32, view: u32) -> Vec<u8> {
        let mut out = vec![0; 16 * 16 * 3];
        augment(&picture(), 16, 3, kind, 9, epoch, sample, view, &mut out);
        out
    }

    /// sha256 of 64 samples each, as the program gave them before there were views and crops: metrics of runs depend on them.
    #[test]
    fn known_kinds_never_change() {
        for (kind, expected) in [
            (Augment::Flip, "ea153bad36a70b2e569ad49c5a9289441381c3ffd0db7518f02edbd3fae34de8"),
            (Augment::CropFlip, "01a7dbe135f025c41e105493153d8920433a0eb4722ec85f5cec8463e38141de"),
        ] {
            let all: Vec<u8> = (0..64).flat_map(|sample| augmented(kind, sample / 8, sample)).collect();
            let digest = <sha2::Sha256 as sha2::Digest>::digest(&all);
            assert_eq!(crate::digest::hex(&digest), expected, "{kind:?}");
        }
    }

    #[test]
    fn views_are_independent_draws() {
        for kind in [Augment::Flip, Augment::CropFlip, Augment::Crop, Augment::CropColour] {
            let same = (0..400).filter(|&s| seen(kind, 0, s, 0) == seen(kind, 0, s, 1)).count();
            // Flip alone has two results: half of the views agree.
            let band = if kind == Augment::Flip { 150..250 } else { 0..40 };
            assert!(band.contains(&same), "{kind:?}: {same}");
            assert_eq!(seen(kind, 0, 3, 1), seen(kind, 0, 3, 1));
        }
    }

    #[test]
    fn crop_is_the_drawn_rectangle_mirrored_or_not() {
        let source = picture();
        let picture = Picture::new(16, 16, 3, &source).unwrap();
        let mut mirrored = 0;
        for sample in 0..100 {
            let mut stream = Stream::new(9, Purpose::Augment, 2, sample);
            let mirror = stream.below(2) == 1;
            let plain = resize_region(&picture, crop::region(&mut stream, 16), 16).unwrap();
            let expected: Vec<u8> = match mirror {
                true => plain.chunks(48).flat_map(|row| row.chunks(3).rev().flatten().copied()).collect(),
                false => plain,
            };
            assert_eq!(augmented(Augment::Crop, 2, sample), expected);
            mirrored += usize::from(mirror);
        }
        assert!((25..75).contains(&mirrored));
    }

    #[test]
    fn depends_on_its_arguments_alone() {
        for kind in [Augment::None, Augment::Flip, Augment::CropFlip, Augment::Crop, Augment::CropColour] {
            assert_eq!(augmented(kind, 4, 5), augmented(kind, 4, 5));
        }
        assert_eq!(augmented(Augment::None, 0, 0), picture());
        let distinct: std::collections::HashSet<_> = (0..200).map(|s| augmented(Augment::CropFlip, 0, s)).collect();
        assert!(distinct.len() > 30, "25 shifts by 2 mirrors: {}", distinct.len());
    }

    #[test]
    fn flip_mirrors_half_of_the_samples() {
        let source = picture();
        let mirrored: Vec<u8> = source.chunks(48).flat_map(|row| row.chunks(3).rev().flatten().copied()).collect();
        let mut flips = 0;
        for sample in 0..400 {
            let out = augmented(Augment::Flip, 1, sample);
            assert!(out == source || out == mirrored);
            flips += usize::from(out == mirrored);
        }
        assert!((150..250).contains(&flips), "{flips}");
    }

    #[test]
    fn tiny_pictures_do_not_break() {
        for kind in [Augment::CropFlip, Augment::Crop] {
            let mut out = [0; 1];
            augment(&[9], 1, 1, kind, 1, 1, 1, 0, &mut out);
            assert_eq!(out, [9]);
        }
    }
}
