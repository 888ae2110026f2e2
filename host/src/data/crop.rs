//! Random resized crop and colour jitter, the augmentation of contrastive and masked pre-training.
//!
//! Crop (Szegedy et al., "Going deeper with convolutions", 2015, section 6; torchvision's `RandomResizedCrop`): a rectangle
//! whose area is a uniform share of the picture's and whose ratio of width to height is log-uniform, brought to the whole
//! side. It is cut from the square made at load (reading: the papers cut it from the file's picture).
//!
//! Colours (MoCo v3, Chen, Xie, He, 2021, after BYOL: `ColorJitter(0.4, 0.4, 0.2, 0.1)` with probability 0.8, grey with
//! probability 0.2; without their blur and solarisation, which at small sides leave nothing (reading)): brightness, contrast,
//! saturation and hue in random order. Values are f32 in 0..=255, clamped after each change and rounded once (reading:
//! torchvision rounds after each on u8 pictures). Grey pictures have brightness and contrast only.

use ldae_shared::noise::Stream;
use ldae_shared::resize::Region;

/// Share of the area: MAE (He et al., 2021) and MoCo v2; 0.08 of the first paper loses the object in small pictures.
const SCALE: [f32; 2] = [0.2, 1.0];
/// Width to height is between 1 / RATIO and RATIO.
const RATIO: f32 = 4.0 / 3.0;
/// Rectangles that are tried before the whole picture is taken (torchvision).
const TRIES: usize = 10;
/// Probabilities of a jitter and of grey.
const JITTERED: f32 = 0.8;
const GREY: f32 = 0.2;
/// Largest change of brightness, contrast and saturation as factors around 1, and of hue in turns around 0.
const BRIGHTNESS: f32 = 0.4;
const CONTRAST: f32 = 0.4;
const SATURATION: f32 = 0.2;
const HUE: f32 = 0.1;

/// A random rectangle of a picture of side·side pixels.
pub(super) fn region(stream: &mut Stream, side: usize) -> Region {
    for _ in 0..TRIES {
        let area = (side * side) as f32 * within(stream, SCALE[0], SCALE[1]);
        let limit = libm::logf(RATIO);
        let ratio = libm::expf(within(stream, -limit, limit));
        let width = libm::roundf(libm::sqrtf(area * ratio)) as usize;
        let height = libm::roundf(libm::sqrtf(area / ratio)) as usize;
        if (1..=side).contains(&width) && (1..=side).contains(&height) {
            let left = stream.below((side - width + 1) as u32) as usize;
            let top = stream.below((side - height + 1) as u32) as usize;
            return Region { left, top, width, height };
        }
    }
    Region { left: 0, top: 0, width: side, height: side }
}

/// Uniform between two numbers.
fn within(stream: &mut Stream, low: f32, high: f32) -> f32 {
    low + (high - low) * stream.uniform()
}

/// One change of colours.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    /// Factor of every value.
    Brightness(f32),
    /// Factor of the distance to the picture's mean luma.
    Contrast(f32),
    /// Factor of the distance to the pixel's luma.
    Saturation(f32),
    /// Turns added to the hue.
    Hue(f32),
}

/// What happens to the colours of one sample, in this order.
pub(super) fn recolour(stream: &mut Stream, channels: usize, picture: &mut [u8]) {
    let changes = draw(stream);
    if changes.is_empty() {
        return;
    }
    let mut values: Vec<f32> = picture.iter().map(|&v| f32::from(v)).collect();
    for change in changes {
        apply(change, channels, &mut values);
    }
    picture.iter_mut().zip(&values).for_each(|(byte, v)| *byte = (v + 0.5) as u8); // 0..=255
}

fn draw(stream: &mut Stream) -> Vec<Change> {
    let mut changes = Vec::new();
    if stream.uniform() < JITTERED {
        changes.push(Change::Brightness(within(stream, 1.0 - BRIGHTNESS, 1.0 + BRIGHTNESS)));
        changes.push(Change::Contrast(within(stream, 1.0 - CONTRAST, 1.0 + CONTRAST)));
        changes.push(Change::Saturation(within(stream, 1.0 - SATURATION, 1.0 + SATURATION)));
        changes.push(Change::Hue(within(stream, -HUE, HUE)));
        for last in (1..changes.len()).rev() {
            changes.swap(last, stream.below(last as u32 + 1) as usize);
        }
    }
    if stream.uniform() < GREY {
        changes.push(Change::Saturation(0.0));
    }
    changes
}

/// Rec. 601 luma, as in [`ldae_shared::resize`].
fn luma(pixel: &[f32]) -> f32 {
    match pixel {
        [r, g, b] => 0.299 * r + 0.587 * g + 0.114 * b,
        _ => pixel.first().copied().unwrap_or_default(),
    }
}

fn apply(change: Change, channels: usize, values: &mut [f32]) {
    match change {
        Change::Brightness(factor) => values.iter_mut().for_each(|v| *v = (*v * factor).clamp(0.0, 255.0)),
        Change::Contrast(factor) => {
            let pixels = values.len() / channels;
            // The sum of up to 4096² lumas needs f64.
            let mean = values.chunks_exact(channels).map(|p| f64::from(luma(p))).sum::<f64>() / pixels as f64;
            values.iter_mut().for_each(|v| *v = blend(*v, mean as f32, factor));
        }
        Change::Saturation(factor) => {
            for pixel in values.chunks_exact_mut(channels) {
                let grey = luma(pixel);
                pixel.iter_mut().for_each(|v| *v = blend(*v, grey, factor));
            }
        }
        Change::Hue(turns) if channels == 3 => values.chunks_exact_mut(3).for_each(|pixel| turn(pixel, turns)),
        Change::Hue(_) => {}
    }
}

fn blend(value: f32, base: f32, factor: f32) -> f32 {
    (factor * value + (1.0 - factor) * base).clamp(0.0, 255.0)
}

/// Turns the hue of an RGB pixel; its largest and smallest value stay.
fn turn(pixel: &mut [f32], turns: f32) {
    let &mut [r, g, b] = pixel else { return };
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    let chroma = high - low;
    if chroma == 0.0 {
        return;
    }
    // Hue in sixths of a turn from red.
    let hue = if high == r {
        (g - b) / chroma
    } else if high == g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    let hue = hue + 6.0 * turns + 6.0;
    for (value, offset) in pixel.iter_mut().zip([5.0, 3.0, 1.0]) {
        let k = (offset + hue) % 6.0;
        *value = (high - chroma * k.min(4.0 - k).clamp(0.0, 1.0)).clamp(0.0, 255.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::noise::Purpose;

    fn stream(sample: u32) -> Stream {
        Stream::new(5, Purpose::Augment, 1, sample)
    }

    /// Area uniform on 0.2..1 of 96², ratio log-uniform on 3/4..4/3, places anywhere: means within five standard errors of what
    /// those distributions have, given that rectangles which do not fit are drawn again.
    #[test]
    fn rectangles_have_the_stated_distribution() {
        let regions: Vec<Region> = (0..4000).map(|s| region(&mut stream(s), 96)).collect();
        let mut expected = (0.0f64, 0.0f64, 0.0f64);
        for i in 0..400 {
            for j in 0..400 {
                let area = 9216.0 * (0.2 + 0.8 * (i as f64 + 0.5) / 400.0);
                let ratio = ((4.0f64 / 3.0).ln() * (2.0 * (j as f64 + 0.5) / 400.0 - 1.0)).exp();
                let (width, height) = ((area * ratio).sqrt().round(), (area / ratio).sqrt().round());
                if width <= 96.0 && height <= 96.0 {
                    expected = (expected.0 + 1.0, expected.1 + width, expected.2 + width * height);
                }
            }
        }
        let n = regions.len() as f64;
        let mean = |of: &dyn Fn(&Region) -> f64| regions.iter().map(of).sum::<f64>() / n;
        // Widths spread by about 15 pixels, areas by about 2000.
        assert!((mean(&|r| r.width as f64) - expected.1 / expected.0).abs() < 5.0 * 15.0 / n.sqrt());
        assert!((mean(&|r| (r.width * r.height) as f64) - expected.2 / expected.0).abs() < 5.0 * 2000.0 / n.sqrt());
        assert!((mean(&|r| r.left as f64 - (96 - r.width) as f64 / 2.0)).abs() < 5.0 * 10.0 / n.sqrt());
        for r in &regions {
            assert!(r.left + r.width <= 96 && r.top + r.height <= 96);
            let (share, ratio) = ((r.width * r.height) as f64 / 9216.0, r.width as f64 / r.height as f64);
            assert!((0.19..=1.0).contains(&share) && (0.73..1.37).contains(&ratio), "{r:?}");
        }
    }

    /// The changes in f64, hue by the six cases of the textbook (Smith, "Color gamut transform pairs", 1978).
    fn plain(change: Change, values: &mut [f64]) {
        let grey = |p: &[f64]| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
        let mean = values.chunks(3).map(grey).sum::<f64>() / (values.len() / 3) as f64;
        for p in values.chunks_mut(3) {
            let g = grey(p);
            for x in p.iter_mut() {
                let changed = match change {
                    Change::Brightness(f) => *x * f64::from(f),
                    Change::Contrast(f) => mean + f64::from(f) * (*x - mean),
                    Change::Saturation(f) => g + f64::from(f) * (*x - g),
                    Change::Hue(_) => *x,
                };
                *x = changed.clamp(0.0, 255.0);
            }
            if let Change::Hue(turns) = change {
                let [r, g, b] = [p[0], p[1], p[2]];
                let (v, m) = (r.max(g).max(b), r.min(g).min(b));
                if v == m {
                    continue;
                }
                let s = (v - m) / v;
                let h = match () {
                    () if v == r => 60.0 * (g - b) / (v - m),
                    () if v == g => 120.0 + 60.0 * (b - r) / (v - m),
                    () => 240.0 + 60.0 * (r - g) / (v - m),
                };
                let h = (h + 360.0 * f64::from(turns) + 720.0) % 360.0 / 60.0;
                let f = h - h.floor();
                let (a, q, t) = (v * (1.0 - s), v * (1.0 - s * f), v * (1.0 - s * (1.0 - f)));
                let rgb = [[v, t, a], [q, v, a], [a, v, t], [a, q, v], [t, a, v], [v, a, q]][h as usize % 6];
                p.copy_from_slice(&rgb);
            }
        }
    }

    fn picture() -> Vec<u8> {
        (0..12 * 12 * 3u32).map(|i| (i * i * 31 + i * 7) as u8).collect()
    }

    #[test]
    fn colours_change_as_in_plain_arithmetic() {
        let mut seen = [0; 4];
        for sample in 0..300 {
            let mut out = picture();
            recolour(&mut stream(sample), 3, &mut out);
            let mut expected: Vec<f64> = picture().iter().map(|&v| f64::from(v)).collect();
            let changes = draw(&mut stream(sample));
            seen[0] += usize::from(changes.len() >= 4);
            seen[1] += usize::from(changes.last() == Some(&Change::Saturation(0.0)));
            seen[2] += usize::from(matches!(changes.first(), Some(Change::Hue(_))));
            seen[3] += usize::from(out == picture());
            changes.iter().for_each(|&change| plain(change, &mut expected));
            // Half a step of rounding, and f32 against f64.
            assert!(out.iter().zip(&expected).all(|(&o, e)| (f64::from(o) - e).abs() < 0.501), "{changes:?}");
        }
        // 80 %, 20 % and a fifth of the jitters (a quarter of 80 %) of 300, within five deviations; untouched 16 %.
        let bands = [205..275, 25..95, 25..95, 16..80];
        assert!(seen.iter().zip(&bands).all(|(n, band)| band.contains(n)), "{seen:?}");
    }

    #[test]
    fn grey_pictures_stay_grey() {
        for sample in 0..50 {
            let mut out: Vec<u8> = (0..144).map(|i| i as u8).collect();
            recolour(&mut stream(sample), 1, &mut out);
            assert!(out.is_sorted(), "brightness and contrast keep the order");
        }
    }
}
