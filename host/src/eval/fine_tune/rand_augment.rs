//! RandAugment (Cubuk et al., arXiv 1909.13719), the pointwise part of it: two operations a picture out of identity, brightness, contrast,
//! colour, posterise and solarise, at magnitude 9 of 10 with deviation 0.5 (METHOD.md: RandAug(9, 0.5)). Shapes (shear, rotate,
//! translate), equalise, autocontrast and sharpness are left out; shifts come from [`crate::data::augment`].

use ldae_shared::noise::{Purpose, Stream};

/// Operations a picture.
const OPERATIONS: usize = 2;
/// Magnitude and its deviation, of 10.
const MAGNITUDE: f32 = 9.0;
const DEVIATION: f32 = 0.5;

/// Changes a picture (u8 HWC, 1 or 3 channels) in place: a pure function of seed, epoch and sample.
pub fn rand_augment(picture: &mut [u8], channels: usize, seed: u64, epoch: u32, sample: u32) {
    // The picture's own stream of augmentation decides flip and shift; this one is another seed's.
    let mut stream = Stream::new(!seed, Purpose::Augment, epoch, sample);
    for _ in 0..OPERATIONS {
        let kind = stream.below(6);
        let level = ((MAGNITUDE + DEVIATION * stream.gaussian()) / 10.0).clamp(0.0, 1.0);
        let sign = if stream.below(2) == 0 { 1.0 } else { -1.0 };
        apply(picture, channels, kind, level, sign);
    }
}

/// One operation at level 0 to 1. The ranges are those of the common implementations: factors 1 ± 0.9·level, 8 − 4·level bits kept,
/// values from 256·(1 − level) on inverted.
fn apply(picture: &mut [u8], channels: usize, kind: u32, level: f32, sign: f32) {
    let factor = 1.0 + sign * 0.9 * level;
    let blend =
        |value: u8, towards: f32| (towards + factor * (f32::from(value) - towards)).round().clamp(0.0, 255.0) as u8;
    match kind {
        1 => picture.iter_mut().for_each(|v| *v = blend(*v, 0.0)),
        2 => {
            let mean = picture.iter().map(|v| f32::from(*v)).sum::<f32>() / picture.len() as f32;
            picture.iter_mut().for_each(|v| *v = blend(*v, mean));
        }
        3 => {
            for pixel in picture.chunks_exact_mut(channels) {
                let grey = pixel.iter().map(|v| f32::from(*v)).sum::<f32>() / channels as f32;
                pixel.iter_mut().for_each(|v| *v = blend(*v, grey));
            }
        }
        4 => {
            let dropped = (4.0 * level).round() as u32;
            picture.iter_mut().for_each(|v| *v = *v >> dropped << dropped);
        }
        5 => {
            let threshold = 256.0 * (1.0 - level);
            picture.iter_mut().filter(|v| f32::from(**v) >= threshold).for_each(|v| *v = 255 - *v);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_by_hand() {
        let of = |kind, level, sign| {
            let mut picture = [0u8, 100, 200, 255, 50, 45];
            apply(&mut picture, 3, kind, level, sign);
            picture
        };
        assert_eq!(of(0, 1.0, 1.0), [0, 100, 200, 255, 50, 45]);
        assert_eq!(of(1, 1.0, -1.0), [0, 10, 20, 26, 5, 5]);
        // Mean 108.33: 108.33 + 0.1·(0 − 108.33) = 97.5, 107.5, 117.5, 123, 102.5, 102; halves are rounded up.
        assert_eq!(of(2, 1.0, -1.0), [98, 108, 118, 123, 103, 102]);
        // Greys 100 and 116.67, half of the colour.
        assert_eq!(of(3, 0.5 / 0.9, -1.0), [50, 100, 150, 186, 83, 81]);
        assert_eq!(of(4, 1.0, 1.0), [0, 96, 192, 240, 48, 32]);
        assert_eq!(of(5, 0.5, 1.0), [0, 100, 55, 0, 50, 45]);
    }

    #[test]
    fn pictures_differ_by_sample_and_epoch_only() {
        let original: Vec<u8> = (0..192).collect();
        let of = |epoch, sample| {
            let mut picture = original.clone();
            rand_augment(&mut picture, 3, 1, epoch, sample);
            picture
        };
        assert_eq!(of(0, 5), of(0, 5));
        let changed = (0..100).filter(|&sample| of(0, sample) != original).count();
        // Identity twice has probability 1/36.
        assert!(changed > 85, "{changed}");
        assert!((0..20).any(|sample| of(0, sample) != of(1, sample)));
    }
}
