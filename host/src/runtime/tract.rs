//! tract as a session: what a Linux board runs.

use super::{Session, check_sizes};
use crate::{Error, Result};
use ldae_device::tract::TractEncoder;

/// A checked file.
pub(super) struct Plan(TractEncoder);

impl Plan {
    /// Checks and prepares an ONNX file, and runs its test vectors.
    pub(super) fn open(file: &[u8]) -> Result<Self> {
        TractEncoder::new(file).map(Plan).map_err(|e| {
            Error::new(format!("tract's loader refuses the file: {e}"))
                .hint("write it again with `ldae export RUN --onnx`")
        })
    }
}

impl Session for Plan {
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<()> {
        let s = self.0.spec();
        check_sizes(pixels, out, (s.pixels() as usize, s.embedding() as usize))?;
        self.0.embed(pixels, out).map_err(|e| Error::new("tract cannot embed a picture").caused_by(e))
    }
}
