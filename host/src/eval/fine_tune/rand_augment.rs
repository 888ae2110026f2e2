//! RandAugment (Cubuk et al., arXiv 1909.13719): two operations a picture out of fifteen, each applied with probability 0.5, at magnitude 9
//! of 10 with deviation 0.5 (METHOD.md: RandAug(9, 0.5)). Operations, ranges and the probability are those of the implementation that
//! MAE's recipe uses (timm's `rand-m9-mstd0.5`).

use super::operations as op;
use ldae_shared::noise::{Purpose, Stream};

/// Operations drawn for a picture, and the probability that one is applied.
const OPERATIONS: usize = 2;
const PROBABILITY: f32 = 0.5;
/// Magnitude and its deviation, of 10.
const MAGNITUDE: f32 = 9.0;
const DEVIATION: f32 = 0.5;
/// Kinds of operations.
const KINDS: u32 = 15;

/// Changes a picture (u8 HWC, 1 or 3 channels) of side `side` in place: a pure function of seed, epoch and sample.
pub fn rand_augment(picture: &mut [u8], side: usize, seed: u64, epoch: u32, sample: u32) {
    // The picture's own stream of augmentation decides flip and shift; this one is another seed's.
    let mut stream = Stream::new(!seed, Purpose::Augment, epoch, sample);
    for _ in 0..OPERATIONS {
        let kind = stream.below(KINDS);
        let level = ((MAGNITUDE + DEVIATION * stream.gaussian()) / 10.0).clamp(0.0, 1.0);
        let sign = if stream.below(2) == 0 { 1.0 } else { -1.0 };
        if stream.uniform() < PROBABILITY {
            apply(picture, side, kind, level, sign);
        }
    }
}

/// One operation at level 0 to 1.
fn apply(picture: &mut [u8], side: usize, kind: u32, level: f32, sign: f32) {
    let channels = picture.len() / (side * side);
    let factor = 1.0 + sign * 0.9 * level;
    let shear = sign * 0.3 * level;
    let shift = sign * 0.45 * level * side as f32;
    match kind {
        0 => op::blend_towards(picture, factor, |_, _| 0.0), // brightness
        1 => {
            let mean = picture.iter().map(|v| f32::from(*v)).sum::<f32>() / picture.len() as f32;
            op::blend_towards(picture, factor, |_, _| mean); // contrast
        }
        2 => op::blend_towards(picture, factor, |all, i| {
            let start = i / channels * channels; // colour
            all[start..start + channels].iter().map(|v| f32::from(*v)).sum::<f32>() / channels as f32
        }),
        3 => op::blend_towards(picture, factor, |all, i| op::smooth(all, side, channels, i)), // sharpness
        4 => {
            let dropped = (4.0 * level).round() as u32;
            picture.iter_mut().for_each(|v| *v = *v >> dropped << dropped); // posterise
        }
        5 => {
            let threshold = 256.0 * (1.0 - level);
            picture.iter_mut().filter(|v| f32::from(**v) >= threshold).for_each(|v| *v = 255 - *v); // solarise
        }
        6 => {
            let added = (110.0 * level) as u8;
            picture.iter_mut().filter(|v| **v < 128).for_each(|v| *v = v.saturating_add(added)); // solarise and add
        }
        7 => picture.iter_mut().for_each(|v| *v = 255 - *v), // invert
        8 => op::stretch(picture, channels),
        9 => op::equalise(picture, channels),
        10 => {
            let (sine, cosine) = (sign * 30.0 * level).to_radians().sin_cos();
            op::affine(picture, side, [cosine, sine, 0.0, -sine, cosine, 0.0]); // rotate
        }
        11 => op::affine(picture, side, [1.0, shear, 0.0, 0.0, 1.0, 0.0]),
        12 => op::affine(picture, side, [1.0, 0.0, 0.0, shear, 1.0, 0.0]),
        13 => op::affine(picture, side, [1.0, 0.0, shift, 0.0, 1.0, 0.0]),
        _ => op::affine(picture, side, [1.0, 0.0, 0.0, 0.0, 1.0, shift]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointwise_operations_by_hand() {
        let of = |kind, level, sign| {
            let mut picture = [0u8, 100, 200, 255, 50, 45, 0, 0, 0, 0, 0, 0];
            apply(&mut picture, 2, kind, level, sign);
            picture[..6].to_vec()
        };
        assert_eq!(of(0, 1.0, -1.0), [0, 10, 20, 26, 5, 5]);
        // Mean 54.17: 54.17 + 0.1·(v − 54.17).
        assert_eq!(of(1, 1.0, -1.0), [49, 59, 69, 74, 54, 53]);
        // Greys 100 and 116.67, half of the colour; halves are rounded up.
        assert_eq!(of(2, 0.5 / 0.9, -1.0), [50, 100, 150, 186, 83, 81]);
        assert_eq!(of(4, 1.0, 1.0), [0, 96, 192, 240, 48, 32]);
        assert_eq!(of(5, 0.5, 1.0), [0, 100, 55, 0, 50, 45]);
        assert_eq!(of(6, 0.5, 1.0), [55, 155, 200, 255, 105, 100]);
        assert_eq!(of(7, 0.1, 1.0), [255, 155, 55, 0, 205, 210]);
    }

    #[test]
    fn every_operation_changes_a_picture_but_its_shape_and_is_even_at_level_zero() {
        let picture: Vec<u8> = (0..32 * 32 * 3u32).map(|i| (30 + i * i % 181) as u8).collect();
        for kind in 0..KINDS {
            for sign in [1.0, -1.0] {
                let mut changed = picture.clone();
                apply(&mut changed, 32, kind, 0.9, sign);
                assert_ne!(changed, picture, "{kind}");
                // Nothing is done at level 0, but by the operations without one.
                let mut same = picture.clone();
                apply(&mut same, 32, kind, 0.0, sign);
                assert_eq!(same == picture, !(7..=9).contains(&kind), "{kind}");
            }
        }
    }

    #[test]
    fn pictures_differ_by_sample_and_epoch_only() {
        let original: Vec<u8> = (0..32 * 32 * 3u32).map(|i| (i * i % 251) as u8).collect();
        let of = |epoch, sample| {
            let mut picture = original.clone();
            rand_augment(&mut picture, 32, 1, epoch, sample);
            picture
        };
        assert_eq!(of(0, 5), of(0, 5));
        let changed = (0..1000).filter(|&sample| of(0, sample) != original).count();
        // Neither operation is applied in a quarter of the cases: five standard errors of 750.
        assert!((682..818).contains(&changed), "{changed}");
        assert!((0..20).any(|sample| of(0, sample) != of(1, sample)));
    }
}
