//! Pictures as rows of patches and back.
//!
//! Pictures are row-major HWC: row, column, channel. A patch vector has P = p·p·C values in row, column, channel order
//! within the patch; patches (tokens) run row-major over the grid. Generic over the element: u8 on a device, f32 in training.

use crate::spec::EncoderSpec;

/// Geometry of a square picture cut into square patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchGrid {
    image: usize,
    patch: usize,
    channels: usize,
}

impl PatchGrid {
    /// `None` when a count is zero or the patch side does not divide the image side.
    pub const fn new(image: usize, patch: usize, channels: usize) -> Option<Self> {
        if image == 0 || patch == 0 || channels == 0 || !image.is_multiple_of(patch) {
            None
        } else {
            Some(PatchGrid { image, patch, channels })
        }
    }

    /// The grid of a spec; `None` when the spec's patch does not divide its image ([`EncoderSpec::check`] refuses that).
    pub const fn of(spec: &EncoderSpec) -> Option<Self> {
        Self::new(spec.image as usize, spec.patch as usize, spec.channels as usize)
    }

    /// Tokens along one side.
    pub const fn side(&self) -> usize {
        match self.image.checked_div(self.patch) {
            Some(patches) => patches,
            None => 0,
        }
    }

    /// Tokens N.
    pub const fn tokens(&self) -> usize {
        self.side() * self.side()
    }

    /// Values of one patch P.
    pub const fn patch_values(&self) -> usize {
        self.patch * self.patch * self.channels
    }

    /// Values of one picture.
    pub const fn pixels(&self) -> usize {
        self.image * self.image * self.channels
    }

    /// Where row `row` of patch `token` starts in the picture, and its length.
    const fn run(&self, token: usize, row: usize) -> (usize, usize) {
        // A side of 0 does not exist (`new`); the compiler does not know that.
        let side = match self.side() {
            0 => 1,
            side => side,
        };
        let (top, left) = (token / side * self.patch, token % side * self.patch);
        (((top + row) * self.image + left) * self.channels, self.patch * self.channels)
    }

    /// Copies patch `token` of `image` (image·image·C values) into `out` (P values). Total: rows that lie outside a slice
    /// of another length are left alone, so that a device has no panic here.
    pub fn copy_patch<T: Copy>(&self, image: &[T], token: usize, out: &mut [T]) {
        for (source, target) in self.rows(image, token).zip(out.chunks_exact_mut((self.patch * self.channels).max(1))) {
            if source.len() == target.len() {
                target.copy_from_slice(source);
            }
        }
    }

    /// The rows of patch `token` where they lie in `image` (image·image·C values); empty where the slice ends before.
    pub fn rows<'a, T>(&self, image: &'a [T], token: usize) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let grid = *self;
        (0..grid.patch).map(move |row| {
            let (start, length) = grid.run(token, row);
            image.get(start..).and_then(|rest| rest.get(..length)).unwrap_or(&[])
        })
    }

    /// Writes patch vector `patch` (P values) into its place in `image`; the inverse of [`PatchGrid::copy_patch`].
    ///
    /// # Panics
    /// When a slice has another length or `token` is not below N.
    pub fn paste_patch<T: Copy>(&self, patch: &[T], token: usize, image: &mut [T]) {
        assert!(image.len() == self.pixels() && patch.len() == self.patch_values() && token < self.tokens());
        for (row, source) in patch.chunks_exact(self.patch * self.channels).enumerate() {
            let (start, length) = self.run(token, row);
            image[start..start + length].copy_from_slice(source);
        }
    }

    /// All patches of `image` into `out` [N, P].
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn patchify<T: Copy>(&self, image: &[T], out: &mut [T]) {
        assert_eq!(out.len(), self.pixels());
        for (token, patch) in out.chunks_exact_mut(self.patch_values()).enumerate() {
            self.copy_patch(image, token, patch);
        }
    }

    /// The picture of `patches` [N, P] into `image`; the inverse of [`PatchGrid::patchify`].
    ///
    /// # Panics
    /// When a slice has another length.
    pub fn unpatchify<T: Copy>(&self, patches: &[T], image: &mut [T]) {
        assert_eq!(patches.len(), self.pixels());
        for (token, patch) in patches.chunks_exact(self.patch_values()).enumerate() {
            self.paste_patch(patch, token, image);
        }
    }
}

/// The network's pixel value of a byte: (u8 - 127.5) / 127.5, in [-1, 1].
pub fn pixel_value(byte: u8) -> f32 {
    (f32::from(byte) - 127.5) / 127.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn unpatchify_inverts_patchify(side in 1usize..6, patch in 1usize..6, channels in 1usize..4, seed: u64) {
            let grid = PatchGrid::new(side * patch, patch, channels).unwrap();
            let image: Vec<u8> =
                (0..grid.pixels()).map(|i| (seed.wrapping_mul(i as u64 * 2 + 1) >> 32) as u8).collect();
            let (mut patches, mut back) = (vec![0; image.len()], vec![0; image.len()]);
            grid.patchify(&image, &mut patches);
            grid.unpatchify(&patches, &mut back);
            prop_assert_eq!(back, image);
        }
    }

    #[test]
    fn order_is_row_column_channel() {
        // A 4x4 picture of 2 channels whose value is its index; patch 1 (top right), row by row.
        let grid = PatchGrid::new(4, 2, 2).unwrap();
        let image: Vec<u16> = (0..32).collect();
        let mut patch = [0; 8];
        grid.copy_patch(&image, 1, &mut patch);
        assert_eq!(patch, [4, 5, 6, 7, 12, 13, 14, 15]);
        grid.copy_patch(&image, 2, &mut patch);
        assert_eq!(patch, [16, 17, 18, 19, 24, 25, 26, 27]);
    }

    #[test]
    fn refuses_uneven_grids() {
        assert_eq!(PatchGrid::new(10, 3, 3), None);
        assert_eq!(PatchGrid::new(0, 1, 3), None);
        assert_eq!(PatchGrid::new(8, 0, 3), None);
    }

    #[test]
    fn pixel_values_span_minus_one_to_one() {
        assert_eq!((pixel_value(0), pixel_value(255)), (-1.0, 1.0));
    }
}
