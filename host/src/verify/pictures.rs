//! The pictures of a check: pixels exactly as the engine reads them, each with a name to report.

use crate::Result;
use crate::data::{self, LoadOptions};
use ldae_shared::format::Artifact;
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::spec::EncoderSpec;

/// Pictures of one size, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pictures {
    /// Where they come from, in words.
    pub from: String,
    /// A name for each.
    pub names: Vec<String>,
    /// u8 pixels, row, column, channel; `names.len()` pictures.
    pub pixels: Vec<u8>,
}

impl Pictures {
    /// `count` pictures of `bytes` bytes for any spec: all black, all white, a ramp, then uniform noise (Philox, seed 0).
    ///
    /// They are no photographs: they reach the extremes of the first layer that photographs seldom touch.
    pub fn synthetic(bytes: usize, count: usize) -> Self {
        let mut pictures = Pictures { from: "synthetic".to_owned(), ..Self::default() };
        for i in 0..count {
            let (name, pixels): (_, Vec<u8>) = match i {
                0 => ("black".to_owned(), vec![0; bytes]),
                1 => ("white".to_owned(), vec![255; bytes]),
                2 => ("ramp".to_owned(), (0..bytes).map(|b| (b % 256) as u8).collect()),
                _ => {
                    let mut stream = Stream::new(0, Purpose::Vector, 0, i as u32);
                    (format!("noise {i}"), (0..bytes).map(|_| stream.below(256) as u8).collect())
                }
            };
            pictures.push(name, &pixels);
        }
        pictures
    }

    /// At most `count` held-out pictures of a data set, brought to the artifact's side and channels. Smaller pictures are
    /// enlarged: equality does not depend on what they show.
    ///
    /// # Errors
    /// The data set cannot be read.
    pub fn of_data(source: &str, spec: &EncoderSpec, count: usize) -> Result<Self> {
        let options = LoadOptions {
            side: Some(usize::from(spec.image)),
            channels: Some(usize::from(spec.channels)),
            limit: Some(count),
            upscale: true,
            ..LoadOptions::default()
        };
        let dataset = data::load(source, &options)?;
        let split = dataset.held_out().limit(count);
        let mut pictures = Pictures { from: format!("{}, held out", dataset.name), ..Self::default() };
        for i in 0..split.len() {
            pictures.push(split.name(i).to_owned(), split.image(i));
        }
        Ok(pictures)
    }

    /// Without a data set: the artifact's own test vectors, four synthetic pictures, the rest drawn; `count` in all.
    ///
    /// # Errors
    /// The drawing program refuses the artifact's image side.
    pub fn of_artifact(artifact: &Artifact<'_>, count: usize) -> Result<Self> {
        let spec = artifact.spec();
        let mut pictures = Pictures::default();
        for (i, vector) in artifact.vectors().iter().take(count).enumerate() {
            pictures.push(format!("test vector {i}"), vector.pixels);
        }
        let vectors = pictures.len();
        let synthetic = (count - vectors).min(4);
        pictures.append(Self::synthetic(spec.pixels() as usize, synthetic));
        let drawn = count - pictures.len();
        if drawn > 0 {
            let source = format!("drawn:train=1,test={drawn},side={},channels={},seed=1", spec.image, spec.channels);
            pictures.append(Self::of_data(&source, spec, drawn)?);
        }
        pictures.from = format!("{vectors} test vectors of the artifact, {synthetic} synthetic, {drawn} drawn");
        Ok(pictures)
    }

    fn append(&mut self, other: Self) {
        self.pixels.extend_from_slice(&other.pixels);
        self.names.extend(other.names);
    }

    /// Adds one.
    pub fn push(&mut self, name: String, pixels: &[u8]) {
        self.names.push(name);
        self.pixels.extend_from_slice(pixels);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_pictures_are_distinct_and_the_same_each_time() {
        let pictures = Pictures::synthetic(48, 6);
        assert_eq!((pictures.len(), pictures.pixels.len()), (6, 6 * 48));
        let mut seen: Vec<_> = pictures.pixels.chunks(48).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 6);
        assert_eq!(pictures, Pictures::synthetic(48, 6));
    }
}
