//! `drawn`: pictures the program draws itself, so that a machine without any data can run everything.
//!
//! Ten classes of texture. A picture is a wall of 8 x 8 tiles, each showing one of the 16 vectors of its class's basis
//! (patterns.rs); which one, light or dark, its tint, the ground's colour and texture, contrast, noise and now and then
//! a tile of another class are random and independent of the class. All classes have the same mean and the same
//! covariance, so mean colour, raw pixels and PCA latents say next to nothing about the class, whatever the pooling: what
//! an encoder tells about it beyond its own untrained state, it has learnt. Every picture is a pure function of (seed,
//! split, index): the Philox stream (seed, `Drawn`, split, index); all mathematics is plain f32 sums and
//! products, so the bits are the same everywhere.
//!
//! Measured (preset xs, 4000 pictures, 20 epochs: 2 minutes on 2 CPU cores; mean and deviation pooled, scored on 2000 and
//! 1000 pictures), k-NN and linear probe in per cent, chance 10: trained 35.2 and 38.8, untrained 24.6 and 17.6 (zero
//! gates), 15.6 and 15.4 (random gates), PCA latents 18.3 and 12.4, raw pixels 12.2 and 11.0.

mod paint;
mod patterns;

pub use paint::draw;
pub use patterns::CLASSES;

use super::choice::Choice;
use super::layout::Part;
use super::origin::{Chunk, Origin, Payload, Raw};
use crate::{Error, Result};
use std::path::PathBuf;

/// Pictures handed on at a time.
const CHUNK: usize = 1024;

/// Which picture to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Of the whole data set.
    pub seed: u64,
    /// The split.
    pub part: Part,
    /// Position in the split; the class is `index % 10`.
    pub index: u32,
}

impl Scene {
    /// Index into [`CLASSES`].
    pub fn class(self) -> usize {
        self.index as usize % CLASSES.len()
    }
}

/// A drawn data set: how many pictures of which shape.
pub(crate) struct Drawn {
    train: u32,
    test: u32,
    side: usize,
    channels: usize,
    seed: u64,
    classes: Vec<String>,
    choice: Choice,
}

impl Drawn {
    /// Reads `drawn` or `drawn:train=4000,test=1000,side=32,channels=3,seed=1`; what is not given keeps these values.
    pub fn parse(source: &str) -> Result<Drawn> {
        let classes = CLASSES.iter().map(|c| (*c).to_owned()).collect();
        let mut drawn =
            Drawn { train: 4000, test: 1000, side: 32, channels: 3, seed: 1, classes, choice: Choice::of(&[], None) };
        let settings = source.strip_prefix("drawn").unwrap_or(source).trim_start_matches(':');
        for setting in settings.split(',').filter(|s| !s.is_empty()) {
            let refused = || {
                Error::new(format!("cannot understand `{setting}` in the data source `{source}`"))
                    .hint("write for example drawn:train=4000,test=1000,side=32,channels=3,seed=1 (side 8 to 1024, channels 1 or 3)")
            };
            let (name, value) = setting.split_once('=').ok_or_else(refused)?;
            let number: u64 = value.trim().parse().map_err(|_| refused())?;
            match (name.trim(), number) {
                ("train", 1..=10_000_000) => drawn.train = number as u32,
                ("test", 0..=10_000_000) => drawn.test = number as u32,
                ("side", 8..=1024) => drawn.side = number as usize,
                ("channels", 1 | 3) => drawn.channels = number as usize,
                ("seed", _) => drawn.seed = number,
                _ => return Err(refused()),
            }
        }
        Ok(drawn)
    }

    /// The same pictures, at most `limit` of each split.
    pub fn limited(self, limit: Option<usize>) -> Drawn {
        let parts: Vec<Part> = match limit {
            Some(_) => [(Part::Train, self.train), (Part::Test, self.test)]
                .into_iter()
                .flat_map(|(part, count)| std::iter::repeat_n(part, count as usize))
                .collect(),
            None => Vec::new(),
        };
        Drawn { choice: Choice::of(&parts, limit), ..self }
    }
}

impl Origin for Drawn {
    fn kind(&self) -> String {
        let Drawn { train, test, side, channels, seed, .. } = self;
        format!("drawn by the program (train={train},test={test},side={side},channels={channels},seed={seed})")
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn native(&self) -> Option<(usize, usize)> {
        Some((self.side, self.channels))
    }

    fn count(&self) -> Option<usize> {
        Some(self.choice.count((self.train + self.test) as usize))
    }

    fn each(&self, visit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let splits = [(Part::Train, "train", 0, self.train), (Part::Test, "test", self.train, self.test)];
        for (part, name, before, count) in splits {
            let wanted: Vec<u32> = (0..count).filter(|&index| self.choice.has((before + index) as usize)).collect();
            for chunk in wanted.chunks(CHUNK) {
                let raws = chunk.iter().map(|&index| {
                    let scene = Scene { seed: self.seed, part, index };
                    Raw {
                        name: format!("drawn/{name}/{}/{index:06}", CLASSES[scene.class()]),
                        part,
                        label: Some(scene.class() as u16),
                        payload: Payload::Drawn { scene, side: self.side, channels: self.channels },
                    }
                });
                visit(raws.collect())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{LoadOptions, Split, load};
    use crate::eval::{Features, knn};

    fn pixels(split: &Split) -> Features {
        let values = (0..split.len()).flat_map(|i| split.image(i)).map(|&v| (f32::from(v) - 127.5) / 127.5).collect();
        Features::new(split.len(), split.image(0).len(), values).unwrap()
    }

    #[test]
    fn pixels_say_little_about_the_class() {
        let set = load("drawn:train=2000,test=500", &LoadOptions::default()).unwrap();
        let (train, test) = (&set.train, set.held_out());
        let labels = |s: &Split| s.labels().unwrap().to_vec();
        let accuracy =
            100.0 * knn::accuracy(&pixels(train), &labels(train), &pixels(test), &labels(test), knn::K).unwrap();
        assert!((8.0..25.0).contains(&accuracy), "{accuracy}");
    }

    /// Mean colours of the classes lie within 3 of 255 levels (chance alone spreads 800 pictures a class by about 1.5).
    #[test]
    fn mean_colour_says_nothing_about_the_class() {
        let split = load("drawn:train=8000,test=0", &LoadOptions::default()).unwrap().train;
        let mut sums = [[0f64; 3]; 10];
        let mut counts = [0f64; 10];
        for i in 0..split.len() {
            let class = usize::from(split.label(i).unwrap());
            let n = (split.side() * split.side()) as f64;
            counts[class] += n;
            for pixel in split.image(i).chunks(3) {
                sums[class].iter_mut().zip(pixel).for_each(|(s, &p)| *s += f64::from(p));
            }
        }
        for channel in 0..3 {
            let means: Vec<f64> = sums.iter().zip(counts).map(|(s, n)| s[channel] / n).collect();
            let (low, high) = means.iter().fold((f64::MAX, f64::MIN), |(l, h), &m| (l.min(m), h.max(m)));
            assert!(high - low < 3.0, "channel {channel}: {means:?}");
        }
    }
}
