//! Nearest entries, votes among them, and the anomaly score.

use super::cosine::{ONE, Projection};
use super::{Gallery, GalleryError, checked};
use crate::Embedding;
use core::cmp::Ordering;

/// A found entry or class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Id of the entry; of a class, its place in [`super::Prototypes`].
    pub id: u32,
    /// Its class.
    pub label: u16,
    /// Cosine to the query in Q15, −32768..=32768, rounded to nearest, halves away from zero.
    pub cosine: i32,
    /// What matches are ordered by: the cosine without rounding.
    pub projection: Projection,
}

impl Match {
    /// Fills the places of a caller's slice before a search.
    pub const NONE: Match = Match { id: u32::MAX, label: 0, cosine: 0, projection: Projection::ZERO };

    /// Best first: larger cosine, then lower id.
    pub(super) fn order(&self, other: &Match) -> Ordering {
        other.projection.cmp(&self.projection).then(self.id.cmp(&other.id))
    }
}

/// What the nearest entries say about the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The class.
    pub label: u16,
    /// Neighbours of this class.
    pub votes: usize,
    /// Neighbours asked.
    pub of: usize,
}

impl<const E: usize, const CAP: usize> Gallery<E, CAP> {
    /// The nearest entry; none in an empty gallery.
    ///
    /// # Errors
    /// Another number of components, a wrong norm.
    pub fn nearest(&self, query: Embedding<'_>) -> Result<Option<Match>, GalleryError> {
        let mut best = [Match::NONE];
        Ok(self.nearest_k(query, &mut best)?.first().copied())
    }

    /// The nearest entries, best first: as many as `out` has places and the gallery has entries.
    ///
    /// # Errors
    /// Another number of components, a wrong norm.
    pub fn nearest_k<'o>(&self, query: Embedding<'_>, out: &'o mut [Match]) -> Result<&'o [Match], GalleryError> {
        let codes = checked::<E>(query)?;
        let mut found = 0;
        for entry in self.entries() {
            let projection = Projection::on_codes(codes, &entry.codes, entry.norm2);
            let new = Match { id: entry.id, label: entry.label, cosine: 0, projection };
            // Ids ascend, so among equals the one that came first stays ahead.
            let place = out.iter().take(found).position(|m| new.order(m) == Ordering::Less).unwrap_or(found);
            let Some(from_place) = out.get_mut(place..) else { continue };
            if from_place.is_empty() {
                continue;
            }
            found = out.len().min(found + 1);
            if let Some(shifted) = out.get_mut(place..found) {
                shifted.rotate_right(1);
                if let Some(first) = shifted.first_mut() {
                    *first = new;
                }
            }
        }
        let found = out.get_mut(..found).unwrap_or_default();
        found.iter_mut().for_each(|m| m.cosine = m.projection.cosine(query.norm2));
        Ok(found)
    }

    /// The class that the nearest `neighbours.len()` entries vote for, with one vote each: most votes, then the larger sum
    /// of Q15 cosines, then the smaller label (the protocol of `ldae eval`). None in an empty gallery or without places.
    ///
    /// # Errors
    /// Another number of components, a wrong norm.
    pub fn classify(&self, query: Embedding<'_>, neighbours: &mut [Match]) -> Result<Option<Vote>, GalleryError> {
        let found = self.nearest_k(query, neighbours)?;
        let score = |label| {
            let own = found.iter().filter(|m| m.label == label);
            own.fold((0, 0), |(votes, sum), m| (votes + 1, sum + i64::from(m.cosine)))
        };
        let labels = found.iter().map(|m| (score(m.label), m.label));
        let best = labels.max_by(|(a, label), (b, other)| a.cmp(b).then(other.cmp(label)));
        Ok(best.map(|((votes, _), label)| Vote { label, votes, of: found.len() }))
    }

    /// How unlike everything remembered the query is: 1 − cosine to the nearest entry, Q15, 0 (same direction as one) to
    /// 65536 (opposite to all); the cosine is rounded as in [`Match`]. None in an empty gallery.
    ///
    /// # Errors
    /// Another number of components, a wrong norm.
    pub fn anomaly(&self, query: Embedding<'_>) -> Result<Option<u32>, GalleryError> {
        Ok(self.nearest(query)?.map(|m| (ONE - m.cosine).unsigned_abs()))
    }
}
