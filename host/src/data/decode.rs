//! One encoded picture (JPEG, PNG, BMP, GIF, WebP, PNM, TIFF; optionally gzip or xz around it) to u8 HWC, grey or RGB.
//!
//! The format is told from the first bytes, not from the name; the camera's orientation tag is applied; transparency is
//! dropped; 16-bit values are scaled to 8. Refused: more than 16384 pixels on a side, more than 512 MiB decoded,
//! JPEG without its end marker (the decoder would fill the missing part with grey).

use super::compress;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::{Cursor, Read};
use std::path::Path;

/// Largest encoded picture that is read.
pub(crate) const MAX_ENCODED: u64 = 256 << 20;
const MAX_SIDE: u32 = 16384;
/// Bytes that hold most headers: a JPEG's Exif block with its preview has at most 64 KiB, and the frame header comes soon after.
const HEAD: u64 = 80 << 10;
const MAX_DECODED: u64 = 512 << 20;

/// A decoded picture: `bytes` is `height * width * channels` long.
pub(crate) struct Decoded {
    pub width: usize,
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
    pub bytes: Vec<u8>,
}

/// What a header says: (width, height, channels).
pub(crate) type Shape = (u32, u32, usize);

/// The contents of a picture file, decompressed.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_ENCODED + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_ENCODED {
        return Err(format!("more than {} MiB", MAX_ENCODED >> 20));
    }
    Ok(bytes)
}

/// Reads the header alone.
pub(crate) fn shape(bytes: &[u8]) -> Result<Shape, String> {
    guarded(bytes, |reader, _| {
        let (decoder, orientation) = decoder(reader)?;
        let (width, height) = decoder.dimensions();
        let turned = matches!(
            orientation,
            Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
        );
        let (width, height) = if turned { (height, width) } else { (width, height) };
        Ok((width, height, if decoder.color_type().has_color() { 3 } else { 1 }))
    })
}

/// Reads the header alone of a file: mostly its first bytes, all of it where the header lies further back.
pub(crate) fn shape_of_file(path: &Path) -> Result<Shape, String> {
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    file.take(HEAD).read_to_end(&mut head).map_err(|e| e.to_string())?;
    shape(&head).or_else(|_| read_file(path).and_then(|bytes| shape(&bytes)))
}

/// Decodes a picture.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    guarded(bytes, |reader, bytes| {
        let jpeg = reader.format() == Some(ImageFormat::Jpeg);
        let (decoder, orientation) = decoder(reader)?;
        if jpeg && !has_end_marker(bytes) {
            return Err("truncated JPEG (no end marker)".into());
        }
        let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
        picture.apply_orientation(orientation);
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let (channels, bytes) = if picture.color().has_color() {
            (3, picture.into_rgb8().into_raw())
        } else {
            (1, picture.into_luma8().into_raw())
        };
        Ok(Decoded { width, height, channels, bytes })
    })
}

/// Expands compression, guesses the format and turns a panic of a decoder on damaged bytes into an error.
fn guarded<T>(
    bytes: &[u8],
    work: impl FnOnce(ImageReader<Cursor<&[u8]>>, &[u8]) -> Result<T, String>,
) -> Result<T, String> {
    let work = || {
        let expanded;
        let bytes = if bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"\xfd7zXZ\0") {
            expanded = compress::expand(bytes, MAX_ENCODED).map_err(|e| e.to_string())?;
            &expanded
        } else {
            bytes
        };
        if bytes.is_empty() {
            return Err("empty file".into());
        }
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
        work(reader, bytes)
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the decoder failed on it".into()))
}

fn decoder<'a>(mut reader: ImageReader<Cursor<&'a [u8]>>) -> Result<(impl ImageDecoder + 'a, Orientation), String> {
    if reader.format().is_none() {
        return Err("not a picture in a known format".into());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    decoder.set_limits(limits).map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || decoder.total_bytes() > MAX_DECODED {
        return Err(format!("{width}x{height} pixels"));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, orientation))
}

/// True when an end-of-image marker follows the last start of scan. Inside a scan 0xff is always followed by 0 or a
/// restart marker, so this cannot mistake data for the marker.
fn has_end_marker(bytes: &[u8]) -> bool {
    let scan = bytes.windows(2).rposition(|w| w == [0xff, 0xda]).unwrap_or(0);
    bytes[scan..].windows(2).any(|w| w == [0xff, 0xd9])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use image::{GrayImage, Rgb, RgbImage};

    /// A picture file in memory, with a gradient.
    pub(crate) fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8 * 7, y as u8 * 5, (x ^ y) as u8]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn colour_and_grey_keep_their_channels() {
        let png = file(5, 4, ImageFormat::Png);
        let decoded = decode(&png).unwrap();
        assert_eq!((decoded.width, decoded.height, decoded.channels, decoded.bytes.len()), (5, 4, 3, 60));
        assert_eq!(decoded.bytes[3..6], [7, 0, 1]);
        assert_eq!(shape(&png).unwrap(), (5, 4, 3));
        let mut grey = Cursor::new(Vec::new());
        GrayImage::from_fn(3, 2, |x, y| image::Luma([(x + 3 * y) as u8]))
            .write_to(&mut grey, ImageFormat::Png)
            .unwrap();
        assert_eq!(decode(grey.get_ref()).unwrap().bytes, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_shape_of_a_large_file_is_the_shape_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture");
        // A TIFF has its header behind the pixels, the others have it in front.
        for format in [ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Png, ImageFormat::Jpeg] {
            let bytes = file(300, 200, format);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(shape_of_file(&path).unwrap(), (300, 200, 3), "{format:?}");
        }
        assert!(file(300, 200, ImageFormat::Tiff).len() as u64 > HEAD);
        std::fs::write(&path, b"nothing").unwrap();
        assert!(shape_of_file(&path).is_err());
    }

    #[test]
    fn every_truncation_is_an_error() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Pnm] {
            let bytes = file(17, 13, format);
            assert!(decode(&bytes).is_ok(), "{format:?}");
            for cut in (0..bytes.len() - 1).step_by(7).chain([bytes.len() * 9 / 10]) {
                assert!(decode(&bytes[..cut]).is_err(), "{format:?} cut at {cut} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn damaged_bytes_never_panic() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff] {
            let bytes = file(17, 13, format);
            for at in 0..bytes.len().min(300) {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0xa5;
                let _ = decode(&bytes);
            }
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        // A PGM header that claims 4e9 x 4e9 pixels, and a BMP with its width and height overwritten.
        assert!(decode(b"P5 4000000000 4000000000 255\n....").is_err());
        let mut bmp = file(4, 4, ImageFormat::Bmp);
        bmp[18..26].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
        assert!(decode(&bmp).is_err());
    }

    #[test]
    fn compressed_pictures_are_expanded() {
        let packed = compress::tests::gzip(&file(5, 4, ImageFormat::Bmp));
        assert_eq!(decode(&packed).unwrap().width, 5);
    }
}
