//! Pictures for the page: u8, row-major HWC, RGB or grey, as PNG in a `data:` address.

use super::page::escape;
use crate::Result;
use crate::error::Context;
use base64::Engine;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// A picture, u8, row-major HWC.
#[derive(Clone)]
pub struct Picture {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// `height * width * channels` values.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A square picture of a data set.
    pub fn square(side: usize, channels: usize, pixels: &[u8]) -> Self {
        Picture { width: side, height: side, channels, pixels: pixels.to_vec() }
    }

    /// Values `v` as a picture around middle grey, the largest |v| at full contrast.
    pub fn centred(side: usize, channels: usize, values: &[f32]) -> Self {
        let peak = values.iter().fold(0.0f32, |m, v| m.max(v.abs())).max(f32::MIN_POSITIVE);
        let pixels = values.iter().map(|v| (127.5 + 127.5 * v / peak).round().clamp(0.0, 255.0) as u8).collect();
        Picture { width: side, height: side, channels, pixels }
    }

    /// `data:image/png;base64,...`
    ///
    /// # Errors
    /// The number of pixels is not `height * width * channels`.
    pub fn data_address(&self) -> Result<String> {
        let colour = if self.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut png = Vec::new();
        let expected = self.width * self.height * if self.channels == 1 { 1 } else { 3 };
        if self.pixels.len() != expected {
            return Err(crate::Error::new(format!(
                "a {} x {} picture of {} channels for the report has {} values instead of {expected}",
                self.width,
                self.height,
                self.channels,
                self.pixels.len()
            )));
        }
        PngEncoder::new(&mut png)
            .write_image(&self.pixels, self.width as u32, self.height as u32, colour)
            .context(|| "cannot encode a picture of the report as PNG")?;
        Ok(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png)))
    }

    /// An `<img>` element `shown` CSS pixels wide, with its alternative text and a class (may be empty).
    ///
    /// # Errors
    /// As [`Picture::data_address`].
    pub fn img(&self, shown: usize, alt: &str, class: &str) -> Result<String> {
        let address = self.data_address()?;
        let height = shown * self.height / self.width.max(1);
        let alt = escape(alt);
        Ok(format!(
            "<img class=\"{class}\" src=\"{address}\" width=\"{shown}\" height=\"{height}\" alt=\"{alt}\" title=\"{alt}\">"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_round_trip() {
        let pixels: Vec<u8> = (0..4 * 4 * 3).map(|i| (i * 5) as u8).collect();
        let address = Picture::square(4, 3, &pixels).data_address().unwrap();
        let png = base64::engine::general_purpose::STANDARD.decode(address.split(',').nth(1).unwrap()).unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap().into_rgb8().into_raw(), pixels);
    }

    #[test]
    fn centred_maps_zero_to_grey() {
        assert_eq!(Picture::centred(2, 1, &[0.0, 1.0, -1.0, 0.5]).pixels, [128, 255, 0, 191]);
    }

    #[test]
    fn wrong_size_is_an_error() {
        assert!(Picture::square(4, 3, &[0; 7]).data_address().is_err());
    }
}
