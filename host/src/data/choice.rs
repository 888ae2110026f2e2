//! Which pictures a limit keeps, decided before any of them is decoded.

use super::layout::Part;

/// `n` of `0..len` by a fixed shuffle, and the others; both ascending.
pub(crate) fn chosen(len: usize, n: usize) -> (Vec<u32>, Vec<u32>) {
    // Seed and epoch are constants: which pictures are chosen is a property of the count alone.
    let mut taken = super::order(0, u32::MAX, len);
    let mut rest = taken.split_off(n.min(len));
    taken.sort_unstable();
    rest.sort_unstable();
    (taken, rest)
}

/// The pictures of a source that are wanted, by their position in it.
pub(crate) struct Choice(Option<Vec<bool>>);

impl Choice {
    /// At most `limit` pictures of each split, as [`super::Split::limit`] would choose them; `parts` are the splits of all
    /// pictures in the source's order.
    pub fn of(parts: &[Part], limit: Option<usize>) -> Choice {
        Choice(limit.map(|limit| {
            let mut keep = vec![false; parts.len()];
            for part in Part::ALL {
                let of_part: Vec<usize> = (0..parts.len()).filter(|&i| parts[i] == part).collect();
                chosen(of_part.len(), limit).0.iter().for_each(|&k| keep[of_part[k as usize]] = true);
            }
            keep
        }))
    }

    /// Whether the picture at this position is wanted; those that were not counted are not.
    pub fn has(&self, position: usize) -> bool {
        self.0.as_ref().is_none_or(|keep| keep.get(position).copied().unwrap_or(false))
    }

    /// Number of pictures wanted of `len`.
    pub fn count(&self, len: usize) -> usize {
        self.0.as_ref().map_or(len, |keep| keep.iter().filter(|&&k| k).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_gets_its_limit() {
        let parts: Vec<Part> = (0..50).map(|i| if i % 5 == 0 { Part::Test } else { Part::Train }).collect();
        let choice = Choice::of(&parts, Some(7));
        let of = |part| (0..50).filter(|&i| parts[i] == part && choice.has(i)).count();
        assert_eq!((of(Part::Train), of(Part::Test), choice.count(50)), (7, 7, 14));
        assert!(!choice.has(50));
        let all = Choice::of(&parts, None);
        assert!((0..50).all(|i| all.has(i)) && all.count(50) == 50);
        assert_eq!(Choice::of(&parts, Some(30)).count(50), 40, "all 10 test pictures and 30 of the others");
    }
}
