//! Pictures as pixels: JPEG and PNG files decoded as `ldae` does, so that both see the same bytes.

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::io::Cursor;

/// Sides and memory beyond which a picture is refused, as `ldae` does.
const MAX_SIDE: u32 = 16384;
const MAX_DECODED: u64 = 512 << 20;

/// A picture of any size: u8 [height, width, channels].
pub struct Pixels {
    pub width: usize,
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
    pub bytes: Vec<u8>,
}

/// Decodes a file's bytes. The camera's orientation tag is applied, transparency dropped, 16-bit values scaled to 8.
pub fn decode(file: &[u8]) -> Result<Pixels, String> {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|e| e.to_string())?;
    if reader.format().is_none() {
        return Err("neither JPEG nor PNG".into());
    }
    let mut reader = reader;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let orientation = decoder.orientation().map_err(|e| e.to_string())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (channels, bytes) = if picture.color().has_color() {
        (3, picture.into_rgb8().into_raw())
    } else {
        (1, picture.into_luma8().into_raw())
    };
    Ok(Pixels { width, height, channels, bytes })
}
