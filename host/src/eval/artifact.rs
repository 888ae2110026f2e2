//! An exported encoder as an embedder: the device crate's own integer engine, on all cores of the host.

use super::embedder::{Embedder, Role, Vector};
use crate::pack::InMemory;
use crate::{Error, Result};
use ldae_device::Encoder;
use ldae_shared::spec::EncoderSpec;
use std::cell::RefCell;

thread_local! {
    /// Scratch of this thread, as large as any encoder has needed so far. The engine wants it at a multiple of 16 bytes;
    /// 16-byte elements give it that on every host.
    static SCRATCH: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
}

pub use ldae_shared::spec::CODE_UNIT;

/// Integer embeddings, standardised by the artifact itself: component = code·[`CODE_UNIT`].
pub struct IntegerEncoder<'a> {
    name: String,
    encoder: Encoder<'a>,
}

impl<'a> IntegerEncoder<'a> {
    /// Validates `artifact`; `name` as in reports, `place` for the error.
    ///
    /// # Errors
    /// The bytes are no valid artifact.
    pub fn new(name: &str, artifact: &'a InMemory, place: &str) -> Result<Self> {
        let encoder = Encoder::new(artifact.bytes()).map_err(|e| {
            Error::new(format!("{place} is not an encoder this version can run: {e}"))
                .hint("export it again from its run with `ldae export`")
        })?;
        Ok(IntegerEncoder { name: name.to_owned(), encoder })
    }

    /// Shape.
    pub fn spec(&self) -> &EncoderSpec {
        self.encoder.spec()
    }

    /// Codes of one picture, E values.
    ///
    /// # Errors
    /// The picture has another size.
    pub fn codes(&self, picture: &[u8]) -> Result<Vec<i8>> {
        let mut codes = vec![0; self.spec().embedding() as usize];
        let words = self.encoder.scratch_bytes().div_ceil(16);
        SCRATCH
            .with_borrow_mut(|scratch| {
                scratch.resize(scratch.len().max(words), 0);
                self.encoder.embed(picture, bytemuck::cast_slice_mut(scratch), &mut codes).map(|_| ())
            })
            .map_err(|e| {
                Error::new(format!("{} cannot embed a picture: {e}", self.name))
                    .hint("load the pictures at the side and with the channels of the encoder")
            })?;
        Ok(codes)
    }
}

impl Embedder for IntegerEncoder<'_> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn takes(&self) -> (usize, usize) {
        (self.spec().image.into(), self.spec().channels.into())
    }

    fn vectors(&self) -> Vec<Vector> {
        vec![Vector { pooling: Some(self.spec().pooling), dim: self.spec().embedding() as usize }]
    }

    fn role(&self) -> Role {
        Role::Trained
    }

    fn is_standardised(&self) -> bool {
        true
    }

    fn embed(&self, picture: &[u8], out: &mut [&mut [f32]]) -> Result<()> {
        let codes = self.codes(picture)?;
        out[0].iter_mut().zip(codes).for_each(|(v, code)| *v = f32::from(code) * CODE_UNIT);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Output;
    use crate::data::Split;
    use crate::eval::embedder::embed;
    use crate::eval::testing::on_threads;
    use ldae_shared::format::{ArtifactDesc, Fill};
    use ldae_shared::spec::{EncoderSpec, Pooling};

    const SPEC: EncoderSpec = EncoderSpec {
        image: 12,
        channels: 1,
        patch: 4,
        rank: 5,
        width: 12,
        depth: 2,
        heads: 2,
        mlp_ratio: 2,
        pooling: Pooling::MeanStd,
    };

    fn artifact() -> Vec<u8> {
        ArtifactDesc::synthetic(SPEC, Fill::Random, 7).write(|_| [0; 32]).unwrap()
    }

    fn pictures(side: usize) -> Split {
        Split::from_memory((0..50 * side * side).map(|i| (i * 37 % 256) as u8).collect(), side, 1, None)
    }

    #[test]
    fn features_are_the_codes_in_deviations_for_any_number_of_threads() {
        let bytes = InMemory::for_this_machine(&artifact());
        let encoder = IntegerEncoder::new("integer", &bytes, "x.ldae").unwrap();
        let run = || embed(&encoder, &pictures(12), "integer", &Output::new(true)).unwrap().remove(0);
        let features = on_threads(1, run);
        assert_eq!(features, on_threads(4, run));
        assert_eq!((features.rows(), features.dim()), (50, 24));
        for i in [0, 49] {
            let codes = encoder.codes(pictures(12).image(i)).unwrap();
            assert!(codes.iter().any(|c| *c != 0));
            let values: Vec<f32> = codes.iter().map(|c| f32::from(*c) * 5.0 / 127.0).collect();
            assert!(features.row(i).iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn refuses_damaged_artifacts_and_other_pictures() {
        let mut bytes = artifact();
        let memory = InMemory::for_this_machine(&bytes);
        let encoder = IntegerEncoder::new("integer", &memory, "x.ldae").unwrap();
        assert!(encoder.codes(&[0; 100]).is_err());
        assert!(embed(&encoder, &pictures(8), "integer", &Output::new(true)).is_err());
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let memory = InMemory::for_this_machine(&bytes);
        let error = IntegerEncoder::new("integer", &memory, "x.ldae").err().unwrap();
        assert!(error.to_string().starts_with("x.ldae is not an encoder"), "{error}");
    }
}
