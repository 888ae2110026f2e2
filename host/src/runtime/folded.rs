//! The float reference as a session: the folded encoder on plain arrays, pooled and standardised.

use super::{Session, check_sizes};
use crate::Result;
use crate::eval::standardise::Standardiser;
use crate::onnx;
use crate::quantise::FloatEncoder;

/// A folded encoder with the means and deviations of its calibration.
pub struct Folded<'a> {
    encoder: &'a FloatEncoder,
    standardiser: &'a Standardiser,
}

impl<'a> Folded<'a> {
    /// Nothing is copied.
    pub fn new(encoder: &'a FloatEncoder, standardiser: &'a Standardiser) -> Self {
        Folded { encoder, standardiser }
    }
}

impl Session for Folded<'_> {
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<()> {
        let s = &self.encoder.spec;
        check_sizes(pixels, out, (s.pixels() as usize, s.embedding() as usize))?;
        out.copy_from_slice(&onnx::embedding(self.encoder, self.standardiser, pixels));
        Ok(())
    }
}
