//! Shapes and element types, as far as the checks follow them.

/// Most dimensions of a tensor: patches are cut with six.
const MAX_RANK: usize = 8;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    U8,
    I8,
    I64,
}

impl Element {
    /// By its code in TensorProto.DataType.
    pub(super) const fn from_code(code: i32) -> Option<Self> {
        match code {
            1 => Some(Element::F32),
            2 => Some(Element::U8),
            3 => Some(Element::I8),
            7 => Some(Element::I64),
            _ => None,
        }
    }

    pub(super) const fn bytes(self) -> u64 {
        match self {
            Element::F32 => 4,
            Element::U8 | Element::I8 => 1,
            Element::I64 => 8,
        }
    }
}

/// Positive dimensions, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Shape {
    dims: [u64; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// Of at most [`MAX_RANK`] dimensions; further ones are cut.
    pub(super) fn new(dims: &[u64]) -> Self {
        let mut shape = Shape { rank: dims.len().min(MAX_RANK), ..Shape::default() };
        shape.dims.iter_mut().zip(dims).for_each(|(to, from)| *to = *from);
        shape
    }

    /// `None` when a dimension is unknown or not positive, or there are too many.
    pub(super) fn from_dims(dims: impl Iterator<Item = Option<i64>>) -> Option<Self> {
        let mut shape = Shape::default();
        for dim in dims {
            shape = shape.and(u64::try_from(dim?).ok().filter(|d| *d > 0)?)?;
        }
        Some(shape)
    }

    /// With one more dimension.
    pub(super) fn and(mut self, dim: u64) -> Option<Self> {
        *self.dims.get_mut(self.rank)? = dim;
        self.rank += 1;
        Some(self)
    }

    pub(super) fn dims(&self) -> &[u64] {
        self.dims.get(..self.rank).unwrap_or_default()
    }

    pub(super) fn dims_mut(&mut self) -> &mut [u64] {
        self.dims.get_mut(..self.rank).unwrap_or_default()
    }

    pub(super) const fn rank(&self) -> usize {
        self.rank
    }

    /// Number of values; `None` beyond 64 bits.
    pub(super) fn values(&self) -> Option<u64> {
        self.dims().iter().try_fold(1u64, |product, d| product.checked_mul(*d))
    }

    /// Place of a dimension that is counted from the front, or, negative, from the back.
    pub(super) fn axis(&self, axis: i64) -> Option<usize> {
        let from_front = if axis < 0 { axis.checked_add(self.rank as i64)? } else { axis };
        usize::try_from(from_front).ok().filter(|a| *a < self.rank)
    }

    /// The common shape of two operands, aligned at the back, where a 1 stretches.
    pub(super) fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let (long, short) = if self.rank >= other.rank { (self, other) } else { (other, self) };
        let mut shape = *long;
        let skip = long.rank - short.rank;
        for (to, from) in shape.dims_mut().iter_mut().skip(skip).zip(short.dims()) {
            *to = match (*to, *from) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        Some(shape)
    }
}

/// A tensor of the graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'g> {
    pub(super) element: Element,
    pub(super) shape: Shape,
    /// Little-endian values, when the file stores them.
    pub(super) stored: Option<&'g [u8]>,
}

impl Value<'_> {
    /// The stored integers of a list.
    pub(super) fn integers(&self) -> Option<impl Iterator<Item = i64>> {
        let bytes = self.stored.filter(|_| self.element == Element::I64 && self.shape.rank <= 1)?;
        Some(bytes.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_numpy_does() {
        let both = |a: &[u64], b: &[u64]| Shape::new(a).broadcast(&Shape::new(b)).map(|s| s.dims().to_vec());
        assert_eq!(both(&[1, 4, 8], &[8]), Some(std::vec![1, 4, 8]));
        assert_eq!(both(&[4, 1], &[3, 1, 5]), Some(std::vec![3, 4, 5]));
        assert_eq!(both(&[], &[2]), Some(std::vec![2]));
        assert_eq!(both(&[4], &[3]), None);
    }

    #[test]
    fn sizes_and_axes_beyond_range_are_refused() {
        assert_eq!(Shape::new(&[1 << 32, 1 << 32]).values(), None);
        assert_eq!(Shape::new(&[2, 3]).axis(-1), Some(1));
        assert_eq!(Shape::new(&[2, 3]).axis(2), None);
        assert_eq!(Shape::new(&[2, 3]).axis(i64::MIN), None);
        assert_eq!(Shape::from_dims([1i64; 9].into_iter().map(Some)), None);
        assert_eq!(Shape::from_dims([Some(0)].into_iter()), None);
    }
}
