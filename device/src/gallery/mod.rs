//! Search on the board: remembers embeddings, finds the nearest, tells classes apart, notices what is like nothing seen.
//!
//! Everything is exact integer arithmetic on codes (i8) and their squared norms, so a board and a workstation give the same
//! answers. Order, for one query: larger cosine first, compared without rounding ([`Projection`]); equal cosines by the
//! lower id. A vector of norm 0 has cosine 0 with everything. Reported cosines are Q15 (32768 = same direction), rounded to
//! nearest, halves away from zero.
//!
//! Memory is fixed: [`Gallery`] keeps `CAP` entries of `E` components (about `E + 12` bytes each), [`Prototypes`] keeps one
//! vector of sums for each of at most `CLASSES` classes. [`Store`] keeps a gallery in flash through power cuts.
//!
//! ```
//! use ldae_device::Embedding;
//! use ldae_device::gallery::{Gallery, Match};
//!
//! # fn main() -> Result<(), ldae_device::gallery::GalleryError> {
//! let mut gallery: Gallery<2, 8> = Gallery::new();
//! let cat = gallery.add(Embedding { codes: &[3, 4], norm2: 25 }, 0)?;
//! gallery.add(Embedding { codes: &[-4, 3], norm2: 25 }, 1)?;
//! let query = Embedding { codes: &[6, 8], norm2: 100 };
//! let nearest = gallery.nearest(query)?;
//! assert_eq!(nearest.map(|m| (m.id, m.cosine)), Some((cat, 32768)));
//! assert_eq!(gallery.anomaly(query)?, Some(0));
//! # Ok(()) }
//! ```

mod cosine;
mod image;
mod prototype;
mod search;
mod store;

pub use cosine::{ONE, Projection};
pub use image::{EncoderId, ImageError};
pub use prototype::{MAX_EXAMPLES, Prototypes};
pub use search::{Match, Vote};
pub use store::{HEADER_ROOM, Restored, Store, StoreError};

use crate::Embedding;
use heapless::Vec;
use ldae_shared::spec::MAX_WIDTH;

/// Most components: the widest format with pooling over four quarters. Bounds every sum and product below.
pub const MAX_COMPONENTS: usize = 4 * MAX_WIDTH as usize;

/// One remembered embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<const E: usize> {
    /// Its name, unique for the life of a gallery and never used again.
    pub id: u32,
    /// The class, as the application numbers them.
    pub label: u16,
    norm2: u32,
    codes: [i8; E],
}

impl<const E: usize> Entry<E> {
    /// The embedding.
    pub const fn embedding(&self) -> Embedding<'_> {
        Embedding { codes: &self.codes, norm2: self.norm2 }
    }
}

/// Why a gallery refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GalleryError {
    /// The embedding has another number of components.
    Components {
        /// Components of this gallery.
        expected: usize,
        /// Components given.
        found: usize,
    },
    /// `norm2` is not the sum of the squared codes.
    Norm {
        /// Sum of the squared codes.
        expected: u32,
        /// Value given.
        found: u32,
    },
    /// No room for another entry or class, or all ids are used up.
    Full,
    /// The class has [`MAX_EXAMPLES`] examples.
    Examples,
}

impl core::fmt::Display for GalleryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            GalleryError::Components { expected, found } => {
                write!(f, "embedding of {found} components in a gallery of {expected}")
            }
            GalleryError::Norm { expected, found } => write!(f, "squared norm {found}, the codes give {expected}"),
            GalleryError::Full => f.write_str("no room for another entry"),
            GalleryError::Examples => write!(f, "a class takes at most {MAX_EXAMPLES} examples"),
        }
    }
}

impl core::error::Error for GalleryError {}

/// At most `CAP` embeddings of `E` components, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gallery<const E: usize, const CAP: usize> {
    /// Ascending ids.
    entries: Vec<Entry<E>, CAP>,
    next_id: u32,
}

impl<const E: usize, const CAP: usize> Default for Gallery<E, CAP> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const E: usize, const CAP: usize> Gallery<E, CAP> {
    /// Nothing remembered yet. `E` of 0 or above [`MAX_COMPONENTS`] does not compile.
    pub const fn new() -> Self {
        const { assert!(E > 0 && E <= MAX_COMPONENTS, "an embedding has 1 to MAX_COMPONENTS components") }
        Gallery { entries: Vec::new(), next_id: 0 }
    }

    /// Remembers an embedding; returns its id. Ids ascend from 0 and are not given twice.
    ///
    /// # Errors
    /// Another number of components, a wrong norm, no room.
    pub fn add(&mut self, embedding: Embedding<'_>, label: u16) -> Result<u32, GalleryError> {
        let codes = *checked::<E>(embedding)?;
        let next_id = self.next_id.checked_add(1).ok_or(GalleryError::Full)?;
        let entry = Entry { id: self.next_id, label, norm2: embedding.norm2, codes };
        self.entries.push(entry).map_err(|_| GalleryError::Full)?;
        Ok(core::mem::replace(&mut self.next_id, next_id))
    }

    /// Forgets one entry; false when there is none of this id.
    pub fn remove(&mut self, id: u32) -> bool {
        let before = self.entries.len();
        self.entries.retain(|e| e.id != id);
        self.entries.len() != before
    }

    /// Forgets a class; returns how many entries it had.
    pub fn remove_label(&mut self, label: u16) -> usize {
        let before = self.entries.len();
        self.entries.retain(|e| e.label != label);
        before - self.entries.len()
    }

    /// Forgets everything; ids go on ascending.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// All entries, by ascending id.
    pub fn entries(&self) -> &[Entry<E>] {
        &self.entries
    }

    /// The entry of this id.
    pub fn get(&self, id: u32) -> Option<&Entry<E>> {
        let at = self.entries.binary_search_by_key(&id, |e| e.id).ok()?;
        self.entries.get(at)
    }

    /// Entries remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The codes of an embedding that fits, or why it does not.
fn checked<const E: usize>(embedding: Embedding<'_>) -> Result<&[i8; E], GalleryError> {
    let found = embedding.codes.len();
    let codes = embedding.codes.try_into().map_err(|_| GalleryError::Components { expected: E, found })?;
    let expected = cosine::norm2(codes);
    if embedding.norm2 != expected {
        return Err(GalleryError::Norm { expected, found: embedding.norm2 });
    }
    Ok(codes)
}
