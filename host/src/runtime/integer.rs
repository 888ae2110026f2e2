//! The integer engine as a session: codes times 5/127.

use super::{Session, check_sizes};
use crate::eval::artifact::CODE_UNIT;
use crate::{Error, Result};
use ldae_device::kernels::Choice;
use ldae_device::{Artifact, Encoder};

/// An artifact on one kernel, with its own scratch.
pub(super) struct Engine<'a> {
    encoder: Encoder<'a>,
    /// u128, because scratch wants 16-byte alignment.
    scratch: Vec<u128>,
    codes: Vec<i8>,
}

impl<'a> Engine<'a> {
    /// Validates `artifact`, which is in the layout that `kernel` reads.
    pub(super) fn open(artifact: &'a [u8], kernel: Choice) -> Result<Self> {
        let refused = |e: &dyn std::fmt::Display| {
            Error::new(format!("the {} kernel cannot run the artifact: {e}", kernel.name()))
                .hint("export it again from its run with `ldae export`")
        };
        let artifact = Artifact::parse(artifact).map_err(|e| refused(&e))?;
        let encoder = Encoder::on(artifact, kernel).map_err(|e| refused(&e))?;
        let scratch = vec![0; encoder.scratch_bytes().div_ceil(size_of::<u128>())];
        let codes = vec![0; encoder.spec().embedding() as usize];
        Ok(Engine { encoder, scratch, codes })
    }
}

impl Session for Engine<'_> {
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<()> {
        // The engine checks the picture; the output is ours.
        check_sizes(pixels, out, (self.encoder.spec().pixels() as usize, self.codes.len()))?;
        self.encoder
            .embed(pixels, bytemuck::cast_slice_mut(&mut self.scratch), &mut self.codes)
            .map_err(|e| Error::new("the integer engine refused a picture").caused_by(e))?;
        out.iter_mut().zip(&self.codes).for_each(|(v, code)| *v = f32::from(*code) * CODE_UNIT);
        Ok(())
    }
}
