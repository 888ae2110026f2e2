//! A contact sheet: the first pictures of every class of a split in one PNG.

use super::Split;
use crate::error::Context;
use crate::{Result, atomic};
use image::{ImageFormat, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// White pixels between pictures.
const GAP: usize = 2;

/// Writes a PNG with one row per class (of at most 40) and `columns` pictures in each; without labels, `columns` rows of
/// consecutive pictures. Small pictures are enlarged to at least 64 pixels by repetition.
///
/// # Errors
/// The file cannot be written.
pub fn contact_sheet(split: &Split, columns: usize, path: &Path) -> Result<()> {
    let (side, channels) = (split.side(), split.channels());
    let zoom = 64usize.div_ceil(side).max(1);
    let rows: Vec<Vec<usize>> = match split.labels() {
        Some(labels) => {
            let classes = labels.iter().max().map_or(0, |&m| usize::from(m) + 1).min(40);
            (0..classes)
                .map(|c| (0..split.len()).filter(|&i| usize::from(labels[i]) == c).take(columns).collect())
                .collect()
        }
        None => {
            let all: Vec<usize> = (0..split.len().min(columns * columns)).collect();
            all.chunks(columns.max(1)).map(<[usize]>::to_vec).collect()
        }
    };
    let cell = side * zoom + GAP;
    let mut sheet = RgbImage::from_pixel(
        (columns * cell + GAP) as u32,
        (rows.len() * cell + GAP) as u32,
        image::Rgb([255, 255, 255]),
    );
    for (r, row) in rows.iter().enumerate() {
        for (c, &i) in row.iter().enumerate() {
            let picture = split.image(i);
            for (y, x) in (0..side * zoom).flat_map(|y| (0..side * zoom).map(move |x| (y, x))) {
                let at = ((y / zoom) * side + x / zoom) * channels;
                let pixel = [picture[at], picture[at + channels / 2], picture[at + channels - 1]];
                sheet.put_pixel((GAP + c * cell + x) as u32, (GAP + r * cell + y) as u32, image::Rgb(pixel));
            }
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    sheet.write_to(&mut bytes, ImageFormat::Png).context(|| format!("cannot encode {}", path.display()))?;
    atomic::write(path, bytes.get_ref())
}
