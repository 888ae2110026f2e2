//! Pictures of equal shape, held once in memory or in a memory-mapped cache file, and the splits that index them.

use super::cache::Mapped;
use super::choice::chosen;
use ldae_shared::resize::{Picture, resize_crop};
use std::sync::Arc;

/// Where the decoded bytes are.
pub(crate) enum Pixels {
    Memory(Vec<u8>),
    Mapped(Mapped),
}

/// All pictures of a data set: `n` pictures of `side * side * channels` u8 each, one after another.
pub(crate) struct Pictures {
    pub pixels: Pixels,
    pub side: usize,
    pub channels: usize,
    /// One name per picture: a path relative to the source, or `file:record`.
    pub names: Vec<String>,
}

impl Pictures {
    fn get(&self, picture: u32) -> &[u8] {
        let size = self.side * self.side * self.channels;
        let all: &[u8] = match &self.pixels {
            Pixels::Memory(bytes) => bytes,
            Pixels::Mapped(map) => map,
        };
        &all[picture as usize * size..][..size]
    }
}

/// N pictures of equal shape, u8 HWC. Cheap to clone and to cut: it is a list of indices into shared storage.
#[derive(Clone)]
pub struct Split {
    pictures: Arc<Pictures>,
    index: Vec<u32>,
    labels: Option<Vec<u16>>,
}

impl std::fmt::Debug for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Split({} of {}x{}x{})", self.len(), self.side(), self.side(), self.channels())
    }
}

impl Split {
    /// `labels`, where given, has one entry per entry of `index`.
    pub(crate) fn new(pictures: Arc<Pictures>, index: Vec<u32>, labels: Option<Vec<u16>>) -> Self {
        debug_assert!(labels.as_ref().is_none_or(|l| l.len() == index.len()));
        Split { pictures, index, labels }
    }

    /// A split from pictures already in memory: `pixels` is `n * side * side * channels` bytes.
    ///
    /// # Panics
    /// When `pixels` is not a whole number of pictures or `labels` has another length.
    pub fn from_memory(pixels: Vec<u8>, side: usize, channels: usize, labels: Option<Vec<u16>>) -> Self {
        let size = side * side * channels;
        assert!(size > 0 && pixels.len().is_multiple_of(size), "a whole number of pictures");
        let n = pixels.len() / size;
        assert!(labels.as_ref().is_none_or(|l| l.len() == n), "one label per picture");
        let names = (0..n).map(|i| format!("{i:06}")).collect();
        let pictures = Pictures { pixels: Pixels::Memory(pixels), side, channels, names };
        Split { pictures: Arc::new(pictures), index: (0..n as u32).collect(), labels }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Height and width in pixels.
    pub fn side(&self) -> usize {
        self.pictures.side
    }

    /// 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> usize {
        self.pictures.channels
    }

    /// Picture `i`: `side * side * channels` bytes, HWC.
    pub fn image(&self, i: usize) -> &[u8] {
        self.pictures.get(self.index[i])
    }

    /// The class of picture `i`, where labels exist.
    pub fn label(&self, i: usize) -> Option<u16> {
        self.labels.as_ref().map(|l| l[i])
    }

    /// The class of every picture, where labels exist.
    pub fn labels(&self) -> Option<&[u16]> {
        self.labels.as_deref()
    }

    /// The name of picture `i`: its path relative to the source, or `file:record`.
    pub fn name(&self, i: usize) -> &str {
        &self.pictures.names[self.index[i] as usize]
    }

    /// The pictures at these positions, in this order.
    #[must_use]
    pub fn subset(&self, positions: &[u32]) -> Split {
        let index = positions.iter().map(|&p| self.index[p as usize]).collect();
        let labels = self.labels.as_ref().map(|l| positions.iter().map(|&p| l[p as usize]).collect());
        Split { pictures: Arc::clone(&self.pictures), index, labels }
    }

    /// At most `n` pictures, chosen without regard to class by a fixed shuffle, in their original order. The choice
    /// for a smaller `n` is contained in the choice for a larger one.
    #[must_use]
    pub fn limit(&self, n: usize) -> Split {
        if n >= self.len() {
            return self.clone();
        }
        self.subset(&chosen(self.len(), n).0)
    }

    /// The pictures, resized and cropped as at loading, in memory, with their labels. For a few pictures: a data set loaded at
    /// another side is cached whole.
    #[must_use]
    pub fn resized(&self, side: usize, channels: usize) -> Split {
        let resize = |i| {
            let picture = Picture::new(self.side(), self.side(), self.channels(), self.image(i));
            resize_crop(&picture.expect("pictures of a split have pixels"), side, channels)
        };
        Split::from_memory(
            (0..self.len()).flat_map(resize).collect(),
            side,
            channels,
            self.labels().map(<[u16]>::to_vec),
        )
    }

    /// Cuts the split in two by a fixed shuffle: (`len - n` pictures, `n` pictures), both in their original order.
    pub(crate) fn cut(&self, n: usize) -> (Split, Split) {
        let (taken, rest) = chosen(self.len(), n);
        (self.subset(&rest), self.subset(&taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> Split {
        Split::from_memory((0..40).collect(), 2, 1, Some((0..10).collect()))
    }

    #[test]
    fn subset_follows_positions() {
        let s = split().subset(&[7, 2]);
        assert_eq!((s.image(0), s.label(0), s.name(1)), (&[28, 29, 30, 31][..], Some(7), "000002"));
    }

    #[test]
    fn limits_nest_and_cuts_are_complementary() {
        let (three, five) = (split().limit(3), split().limit(5));
        assert_eq!((three.len(), five.len()), (3, 5));
        assert!(three.labels().unwrap().iter().all(|l| five.labels().unwrap().contains(l)));
        let (rest, cut) = split().cut(4);
        let mut all: Vec<u16> = rest.labels().unwrap().iter().chain(cut.labels().unwrap()).copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<u16>>());
        assert_eq!((rest.len(), cut.len()), (6, 4));
    }
}
