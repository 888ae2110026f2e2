//! Training augmentation on u8 pictures: a pure function of (seed, epoch, sample), never of thread or batch.

use ldae_shared::noise::{Purpose, Stream};
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
}

/// Writes the augmented picture to `out`. Both are `side * side * channels` bytes, HWC.
///
/// # Panics
/// When a slice has another length.
#[expect(clippy::too_many_arguments, reason = "a pure function names everything it depends on")]
pub fn augment(
    image: &[u8],
    side: usize,
    channels: usize,
    kind: Augment,
    seed: u64,
    epoch: u32,
    sample: u32,
    out: &mut [u8],
) {
    assert_eq!(image.len(), side * side * channels, "picture of the stated shape");
    assert_eq!(out.len(), image.len(), "output of the picture's size");
    if kind == Augment::None {
        out.copy_from_slice(image);
        return;
    }
    let mut stream = Stream::new(seed, Purpose::Augment, epoch, sample);
    let mirror = stream.below(2) == 1;
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
        let mut out = vec![0; 16 * 16 * 3];
        augment(&picture(), 16, 3, kind, 9, epoch, sample, &mut out);
        out
    }

    #[test]
    fn depends_on_its_arguments_alone() {
        for kind in [Augment::None, Augment::Flip, Augment::CropFlip] {
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
        let mut out = [0; 1];
        augment(&[9], 1, 1, Augment::CropFlip, 1, 1, 1, &mut out);
        assert_eq!(out, [9]);
    }
}
