//! Pixel operations of [`super::rand_augment`] on pictures u8 HWC.

/// What lies outside of a moved picture (timm's grey).
const OUTSIDE: f32 = 128.0;

fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Every value v becomes a + factor·(v − a), with a of the unchanged picture and the place.
pub fn blend_towards(picture: &mut [u8], factor: f32, anchor: impl Fn(&[u8], usize) -> f32) {
    let original = picture.to_vec();
    for (i, value) in picture.iter_mut().enumerate() {
        let a = anchor(&original, i);
        *value = byte(a + factor * (f32::from(*value) - a));
    }
}

/// The value at place `i` behind a 3x3 filter of weights 1 and 5 in the middle; the border stays (as Pillow's `SMOOTH`).
pub fn smooth(picture: &[u8], side: usize, channels: usize, i: usize) -> f32 {
    let (row, column) = (i / channels / side, i / channels % side);
    if row == 0 || column == 0 || row + 1 == side || column + 1 == side {
        return f32::from(picture[i]);
    }
    let mut sum = 4.0 * f32::from(picture[i]);
    for r in row - 1..=row + 1 {
        for c in column - 1..=column + 1 {
            sum += f32::from(picture[(r * side + c) * channels + i % channels]);
        }
    }
    sum / 13.0
}

/// Stretches each channel to 0..=255 (autocontrast).
pub fn stretch(picture: &mut [u8], channels: usize) {
    for channel in 0..channels {
        let values = || picture.iter().skip(channel).step_by(channels);
        let (low, high) = (values().min().copied().unwrap_or(0), values().max().copied().unwrap_or(255));
        if low < high {
            let scale = 255.0 / f32::from(high - low);
            let own = picture.iter_mut().skip(channel).step_by(channels);
            own.for_each(|v| *v = byte(f32::from(*v - low) * scale));
        }
    }
}

/// Makes the histogram of each channel as even as its values allow (Pillow's `ImageOps.equalize`).
pub fn equalise(picture: &mut [u8], channels: usize) {
    for channel in 0..channels {
        let mut histogram = [0usize; 256];
        picture.iter().skip(channel).step_by(channels).for_each(|v| histogram[usize::from(*v)] += 1);
        let last = histogram.iter().rev().find(|n| **n > 0).copied().unwrap_or(0);
        let step = (histogram.iter().sum::<usize>() - last) / 255;
        if step == 0 {
            continue;
        }
        let mut below = step / 2;
        let table = histogram.map(|n| {
            let value = (below / step).min(255) as u8;
            below += n;
            value
        });
        picture.iter_mut().skip(channel).step_by(channels).for_each(|v| *v = table[usize::from(*v)]);
    }
}

/// Moves a square picture: the pixel at (x, y) from the centre comes from (a·x + b·y + c, d·x + e·y + f), between pixels bilinearly.
pub fn affine(picture: &mut [u8], side: usize, [a, b, c, d, e, f]: [f32; 6]) {
    let channels = picture.len() / (side * side);
    let original = picture.to_vec();
    let centre = (side as f32 - 1.0) / 2.0;
    let at = |row: f32, column: f32, channel: usize| {
        let inside = |v: f32| (0.0..side as f32).contains(&v);
        if inside(row) && inside(column) {
            f32::from(original[(row as usize * side + column as usize) * channels + channel])
        } else {
            OUTSIDE
        }
    };
    for (i, value) in picture.iter_mut().enumerate() {
        let (row, column, channel) = (i / channels / side, i / channels % side, i % channels);
        let (x, y) = (column as f32 - centre, row as f32 - centre);
        let (from_x, from_y) = (a * x + b * y + c + centre, d * x + e * y + f + centre);
        let (left, top) = (from_x.floor(), from_y.floor());
        let (right, down) = (from_x - left, from_y - top);
        let line = |row: f32| (1.0 - right) * at(row, left, channel) + right * at(row, left + 1.0, channel);
        *value = byte((1.0 - down) * line(top) + down * line(top + 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NINE: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 90];

    fn moved(matrix: [f32; 6]) -> [u8; 9] {
        let mut picture = NINE;
        affine(&mut picture, 3, matrix);
        picture
    }

    #[test]
    fn pictures_move() {
        assert_eq!(moved([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]), NINE);
        // One to the left, one up: what was outside is grey.
        assert_eq!(moved([1.0, 0.0, 1.0, 0.0, 1.0, 0.0]), [2, 3, 128, 5, 6, 128, 8, 90, 128]);
        assert_eq!(moved([1.0, 0.0, 0.0, 0.0, 1.0, 1.0]), [4, 5, 6, 7, 8, 90, 128, 128, 128]);
        // A quarter turn.
        assert_eq!(moved([0.0, 1.0, 0.0, -1.0, 0.0, 0.0]), [7, 4, 1, 8, 5, 2, 90, 6, 3]);
        // Half a pixel: means of neighbours.
        assert_eq!(moved([1.0, 0.0, 0.5, 0.0, 1.0, 0.0])[..3], [2, 3, 66]);
        // A shear moves rows against each other.
        assert_eq!(moved([1.0, 1.0, 0.0, 0.0, 1.0, 0.0]), [128, 1, 2, 4, 5, 6, 8, 90, 128]);
    }

    #[test]
    fn histograms() {
        let mut picture = [10u8, 20, 30, 30, 20, 10, 60, 20];
        stretch(&mut picture, 2);
        // Channel 0: 10 to 60; channel 1: 10 to 30.
        assert_eq!(picture, [0, 128, 102, 255, 51, 0, 255, 128]);
        let mut flat = [7u8; 4];
        stretch(&mut flat, 1);
        assert_eq!(flat, [7; 4]);
        // 512 values at 0, 256 at 1, 255 at 200: step (1023 - 255) / 255 = 3; tables (1, 1 + 512, 1 + 768) / 3.
        let mut many: Vec<u8> = [vec![0u8; 512], vec![1; 256], vec![200; 255]].concat();
        equalise(&mut many, 1);
        assert_eq!([many[0], many[600], many[1000]], [0, 171, 255]);
    }

    #[test]
    fn smoothing_is_pillows() {
        // (1 + 2 + ... + 8 + 90 + 4·5) / 13; the border stays.
        assert_eq!(smooth(&NINE, 3, 1, 4), 146.0 / 13.0);
        assert_eq!(smooth(&NINE, 3, 1, 1), 2.0);
    }
}
