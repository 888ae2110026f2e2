//! One vector for each class, learnt from a few examples: their sum. A sum has the direction of the mean and needs no
//! rounding, so examples can be learnt in any order, one at a time, without being kept.

use super::cosine::Projection;
use super::{Gallery, GalleryError, MAX_COMPONENTS, Match, checked};
use crate::Embedding;
use core::cmp::Ordering;
use heapless::Vec;

/// Most examples of one class: 255 codes of magnitude 128 stay in 16 bits.
pub const MAX_EXAMPLES: u8 = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Prototype<const E: usize> {
    label: u16,
    examples: u8,
    /// Σ sum².
    norm2: u64,
    sums: [i16; E],
}

/// At most `CLASSES` classes of embeddings of `E` components (about `2·E + 16` bytes each), in the order of first sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prototypes<const E: usize, const CLASSES: usize> {
    classes: Vec<Prototype<E>, CLASSES>,
}

impl<const E: usize, const CLASSES: usize> Default for Prototypes<E, CLASSES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const E: usize, const CLASSES: usize> Prototypes<E, CLASSES> {
    /// No class known yet. `E` of 0 or above [`MAX_COMPONENTS`] does not compile.
    pub const fn new() -> Self {
        const { assert!(E > 0 && E <= MAX_COMPONENTS, "an embedding has 1 to MAX_COMPONENTS components") }
        Prototypes { classes: Vec::new() }
    }

    /// Learns every entry of a gallery, so that only the gallery need be saved.
    ///
    /// # Errors
    /// More classes than there is room for, or too many examples of one.
    pub fn of<const CAP: usize>(gallery: &Gallery<E, CAP>) -> Result<Self, GalleryError> {
        let mut prototypes = Self::new();
        gallery.entries().iter().try_for_each(|e| prototypes.learn(e.embedding(), e.label))?;
        Ok(prototypes)
    }

    /// Adds an example to its class.
    ///
    /// # Errors
    /// Another number of components, a wrong norm, no room for a new class, too many examples. Nothing is changed then.
    pub fn learn(&mut self, example: Embedding<'_>, label: u16) -> Result<(), GalleryError> {
        let codes = checked::<E>(example)?;
        if !self.classes.iter().any(|c| c.label == label) {
            let new = Prototype { label, examples: 0, norm2: 0, sums: [0; E] };
            self.classes.push(new).map_err(|_| GalleryError::Full)?;
        }
        let Some(class) = self.classes.iter_mut().find(|c| c.label == label) else { return Err(GalleryError::Full) };
        class.examples = class.examples.checked_add(1).ok_or(GalleryError::Examples)?;
        for (sum, &code) in class.sums.iter_mut().zip(codes) {
            // Never saturates: MAX_EXAMPLES · 128 < 2^15.
            *sum = sum.saturating_add(i16::from(code));
        }
        class.norm2 = class.sums.iter().map(|&s| u64::from(u32::from(s.unsigned_abs()).pow(2))).sum();
        Ok(())
    }

    /// Classes known.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// True when no class is known.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Label and number of examples of each class, in the order of first sight.
    pub fn classes(&self) -> impl ExactSizeIterator<Item = (u16, u8)> + '_ {
        self.classes.iter().map(|c| (c.label, c.examples))
    }

    /// The class whose prototype is nearest (larger cosine, then the class that was seen first); none when no class is
    /// known.
    ///
    /// # Errors
    /// Another number of components, a wrong norm.
    pub fn classify(&self, query: Embedding<'_>) -> Result<Option<Match>, GalleryError> {
        let codes = checked::<E>(query)?;
        let mut best: Option<Match> = None;
        for (class, id) in self.classes.iter().zip(0..) {
            let projection = Projection::on_sums(codes, &class.sums, class.norm2);
            let new = Match { id, label: class.label, cosine: 0, projection };
            if best.is_none_or(|b| new.order(&b) == Ordering::Less) {
                best = Some(new);
            }
        }
        Ok(best.map(|m| Match { cosine: m.projection.cosine(query.norm2), ..m }))
    }
}
