//! Resize and centre crop to a square, in one step: the shorter side becomes `side`, the middle of the longer one is kept. Or any
//! rectangle of a picture to a square.
//!
//! Separable triangle filter whose support grows with the reduction (antialiased bilinear, as in PIL and torchvision with
//! `antialias=True`); f32 sums in a fixed order, so the result does not depend on threads.

use alloc::vec;
use alloc::vec::Vec;

/// A picture of u8 [height, width, channels] in memory, not empty.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    width: usize,
    height: usize,
    channels: usize,
    bytes: &'a [u8],
}

impl<'a> Picture<'a> {
    /// `None` unless `bytes` are height·width·channels, at least one, and there are 1 or 3 channels.
    pub fn new(width: usize, height: usize, channels: usize, bytes: &'a [u8]) -> Option<Self> {
        let length = width.checked_mul(height)?.checked_mul(channels)?;
        let fits = length == bytes.len() && length > 0 && matches!(channels, 1 | 3);
        fits.then_some(Picture { width, height, channels, bytes })
    }
}

/// A rectangle of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Columns to the left of it.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
    /// Its columns.
    pub width: usize,
    /// Its rows.
    pub height: usize,
}

/// The pixels of a region, as if it had been cut out before, as side·side·channels bytes, HWC; width and height are scaled each
/// on its own. `None` when the region is empty or reaches out of the picture; `side` is positive.
pub fn resize_region(picture: &Picture<'_>, region: Region, side: usize) -> Option<Vec<u8>> {
    let Region { left, top, width, height } = region;
    let inside = left.checked_add(width)? <= picture.width && top.checked_add(height)? <= picture.height;
    let along = |length, before| {
        let mut taps = taps(length, length, side);
        taps.iter_mut().for_each(|tap| tap.first += before);
        taps
    };
    (inside && width > 0 && height > 0).then(|| resample(picture, &along(width, left), &along(height, top)))
}

/// The picture as side·side·channels bytes, HWC. Grey becomes RGB by repetition, RGB becomes grey by the Rec. 601 luma
/// (PIL's `convert("L")`). `side` is positive, `channels` is 1 or 3.
pub fn resize_crop(picture: &Picture<'_>, side: usize, channels: usize) -> Vec<u8> {
    let extent = picture.width.min(picture.height);
    let square = if extent == side {
        crop(picture, side)
    } else {
        resample(picture, &taps(picture.width, extent, side), &taps(picture.height, extent, side))
    };
    convert(square, picture.channels, channels)
}

fn convert(bytes: Vec<u8>, from: usize, to: usize) -> Vec<u8> {
    match (from, to) {
        (1, 3) => bytes.iter().flat_map(|&v| [v; 3]).collect(),
        (3, 1) => bytes
            .chunks_exact(3)
            .map(|p| ((299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2]) + 500) / 1000) as u8)
            .collect(),
        _ => bytes,
    }
}

/// The middle, where nothing has to be resampled.
fn crop(picture: &Picture<'_>, side: usize) -> Vec<u8> {
    let c = picture.channels;
    let (left, top) = ((picture.width - side) / 2, (picture.height - side) / 2);
    let rows = picture.bytes.chunks_exact(picture.width * c).skip(top).take(side);
    rows.flat_map(|row| &row[left * c..(left + side) * c]).copied().collect()
}

/// Source positions and weights of one output position along an axis.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// `length` source positions, of which the middle `extent` become `side` output positions.
fn taps(length: usize, extent: usize, side: usize) -> Vec<Taps> {
    let step = extent as f32 / side as f32;
    let start = (length - extent) as f32 / 2.0;
    let support = step.max(1.0);
    let tap = |i: usize| {
        let centre = start + (i as f32 + 0.5) * step;
        let first = libm::floorf(centre - support).max(0.0) as usize;
        let end = (libm::ceilf(centre + support) as usize).min(length);
        let weight = |x: usize| (1.0 - (x as f32 + 0.5 - centre).abs() / support).max(0.0);
        let mut weights: Vec<f32> = (first..end).map(weight).collect();
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        Taps { first, weights }
    };
    (0..side).map(tap).collect()
}

/// `across` and `down` have one entry per output column and row, at least one.
fn resample(picture: &Picture<'_>, across: &[Taps], down: &[Taps]) -> Vec<u8> {
    let (width, side, c) = (picture.width, across.len(), picture.channels);
    // Rows that any output row looks at, each reduced to [side, c].
    let first = down[0].first;
    let last = down[down.len() - 1].first + down[down.len() - 1].weights.len();
    let mut narrow = vec![0f32; (last - first) * side * c];
    for (row, line) in narrow.chunks_exact_mut(side * c).enumerate() {
        let source = &picture.bytes[(first + row) * width * c..][..width * c];
        for (out, tap) in line.chunks_exact_mut(c).zip(across) {
            for (pixel, &w) in source[tap.first * c..].chunks_exact(c).zip(&tap.weights) {
                out.iter_mut().zip(pixel).for_each(|(o, &p)| *o += w * f32::from(p));
            }
        }
    }
    let mut bytes = Vec::with_capacity(side * down.len() * c);
    let mut sums = vec![0f32; side * c];
    for tap in down {
        sums.fill(0.0);
        for (line, &w) in narrow[(tap.first - first) * side * c..].chunks_exact(side * c).zip(&tap.weights) {
            sums.iter_mut().zip(line).for_each(|(s, &v)| *s += w * v);
        }
        bytes.extend(sums.iter().map(|s| (s + 0.5) as u8)); // saturating
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [`super::resize_crop`] of a drawn picture, and its bytes.
    fn resized(size: [usize; 3], to: [usize; 2], value: impl Fn(usize, usize, usize) -> u8) -> (Vec<u8>, Vec<u8>) {
        let [width, height, channels] = size;
        let value = &value;
        let bytes: Vec<u8> = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| (0..channels).map(move |c| value(x, y, c))))
            .collect();
        let picture = Picture::new(width, height, channels, &bytes).unwrap();
        (resize_crop(&picture, to[0], to[1]), bytes)
    }

    #[test]
    fn equal_size_is_a_copy_and_wide_is_a_centre_crop() {
        let (out, bytes) = resized([4, 4, 3], [4, 3], |x, y, c| (x * 16 + y * 4 + c) as u8);
        assert_eq!(out, bytes);
        assert_eq!(resized([6, 2, 1], [2, 1], |x, _, _| x as u8).0, [2, 3, 2, 3]);
    }

    #[test]
    fn flat_pictures_stay_flat() {
        for (w, h, side) in [(100, 70, 32), (33, 200, 32), (5, 7, 32), (1, 1, 8)] {
            let (out, _) = resized([w, h, 3], [side, 3], |_, _, c| 80 + 50 * c as u8);
            assert!(out.chunks(3).all(|p| p == [80, 130, 180]), "{w}x{h}");
        }
    }

    #[test]
    fn fine_stripes_average_out() {
        // Antialiasing: stripes of one pixel, reduced eight times, become an even grey instead of a moire.
        let (out, _) = resized([256, 256, 1], [32, 1], |x, _, _| if x % 2 == 0 { 0 } else { 200 });
        assert!(out.iter().all(|&v| (95..=105).contains(&v)));
    }

    #[test]
    fn halving_a_ramp_keeps_its_line() {
        let (out, _) = resized([64, 64, 1], [32, 1], |x, _, _| 2 * x as u8);
        // Output x covers source 2x, 2x + 1: mean 2 (2x + 0.5) = 4x + 1 away from the borders.
        assert!((1..31).all(|x| out[x].abs_diff(4 * x as u8 + 1) <= 1), "{:?}", &out[..32]);
    }

    #[test]
    fn channels_convert() {
        let (out, _) = resized([2, 2, 1], [2, 3], |x, y, _| (x + y) as u8);
        assert_eq!(out, [0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
        assert_eq!(resized([1, 1, 3], [1, 1], |_, _, c| [255, 0, 0][c]).0, [76]);
    }

    /// Every output pixel as the weighted mean over the region's pixels by the definition of the filter, in f64.
    #[test]
    fn a_region_is_the_triangle_filter_of_its_pixels() {
        let (width, height, c) = (19usize, 23usize, 3usize);
        let bytes: Vec<u8> = (0..width * height * c).map(|i| (i * i * 29 + i * 3) as u8).collect();
        let picture = Picture::new(width, height, c, &bytes).unwrap();
        for (left, top, w, h, side) in [(0, 0, 19, 23, 8), (3, 5, 7, 4, 16), (18, 22, 1, 1, 5), (2, 1, 16, 16, 16)] {
            let out = resize_region(&picture, Region { left, top, width: w, height: h }, side).unwrap();
            let weight = |length: usize, to: usize, from: usize| {
                let scale = length as f64 / side as f64;
                let distance = (from as f64 + 0.5 - (to as f64 + 0.5) * scale).abs();
                (1.0 - distance / scale.max(1.0)).max(0.0)
            };
            for (at, &got) in out.iter().enumerate() {
                let (row, column, channel) = (at / c / side, at / c % side, at % c);
                let (mut sum, mut weights) = (0.0, 0.0);
                for y in 0..h {
                    for x in 0..w {
                        let both = weight(h, row, y) * weight(w, column, x);
                        sum += both * f64::from(bytes[((top + y) * width + left + x) * c + channel]);
                        weights += both;
                    }
                }
                assert!((f64::from(got) - sum / weights).abs() < 0.501, "{left} {top} {w} {h} at {at}");
            }
        }
        let outside = |left, top, width, height| resize_region(&picture, Region { left, top, width, height }, 4);
        assert!(outside(0, 0, 0, 3).is_none() && outside(12, 0, 8, 3).is_none());
        assert!(outside(usize::MAX, 0, 1, 1).is_none() && outside(0, 23, 1, 1).is_none());
    }

    #[test]
    fn bytes_must_fill_the_picture() {
        assert!(Picture::new(2, 2, 3, &[0; 11]).is_none());
        assert!(Picture::new(2, 2, 2, &[0; 8]).is_none());
        assert!(Picture::new(0, 2, 3, &[]).is_none());
        assert!(Picture::new(usize::MAX, 2, 3, &[]).is_none());
    }
}
