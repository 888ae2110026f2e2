//! The matrix every embedder returns and every score reads: n pictures by E components, f32, row-major.

use crate::{Error, Result};

/// n rows (pictures) of `dim` components each. All values are finite: [`Features::new`] refuses others.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    rows: usize,
    dim: usize,
    values: Vec<f32>,
}

impl Features {
    /// Takes `values` as `rows` by `dim`, row-major.
    ///
    /// # Errors
    /// The length does not fit, there is nothing in it, or a value is not finite.
    pub fn new(rows: usize, dim: usize, values: Vec<f32>) -> Result<Self> {
        if rows == 0 || dim == 0 || values.len() != rows * dim {
            return Err(Error::new(format!(
                "cannot take {} values as features of {rows} pictures with {dim} components",
                values.len()
            ))
            .hint("evaluation needs at least one picture in the training and in the held-out split"));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::new(format!("component {} of picture {} is {}", at % dim, at / dim, values[at]))
                .hint("the encoder produced a non-finite value: evaluate an earlier checkpoint (best), or train again with a smaller --lr"));
        }
        Ok(Features { rows, dim, values })
    }

    /// Pictures n.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Components E.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values for change in place; the caller keeps them finite.
    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Picture `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    /// The rows named by `indices`, in that order.
    ///
    /// # Errors
    /// `indices` is empty.
    pub fn select(&self, indices: &[u32]) -> Result<Self> {
        let mut values = Vec::with_capacity(indices.len() * self.dim);
        for &i in indices {
            values.extend_from_slice(self.row(i as usize));
        }
        Features::new(indices.len(), self.dim, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_wrong_lengths_empty_sets_and_non_finite_values() {
        assert!(Features::new(2, 2, vec![0.0; 3]).is_err());
        assert!(Features::new(0, 2, vec![]).is_err());
        assert!(Features::new(1, 0, vec![]).is_err());
        let e = Features::new(2, 2, vec![0.0, 1.0, 2.0, f32::NAN]).unwrap_err();
        assert_eq!(e.to_string(), "component 1 of picture 1 is NaN");
    }

    #[test]
    fn selects_rows_in_the_given_order() {
        let f = Features::new(3, 2, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(f.select(&[2, 0]).unwrap().values(), [4.0, 5.0, 0.0, 1.0]);
        assert!(f.select(&[]).is_err());
    }
}
