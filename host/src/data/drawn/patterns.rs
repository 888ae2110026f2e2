//! The ten patterns: ten orthogonal bases of the 4 x 4 blocks of a tile. A tile shows one vector of its class's basis,
//! light or dark.
//!
//! Because every basis is orthogonal and all vectors have one length, tiles of all classes have the same mean (zero) and
//! the same covariance (a multiple of the identity): no linear filter of a tile, and no deviation of one, tells the
//! classes apart. What differs is the shape: single points, dashes, crosses of waves, steps, diagonal pairs.

/// Class names (what varies down the tile, then what varies across it); a label is an index into them.
pub const CLASSES: [&str; 10] = [
    "point-point",
    "point-wave",
    "wave-point",
    "wave-wave",
    "point-step",
    "step-point",
    "step-step",
    "step-wave",
    "wave-step",
    "diagonal",
];

/// Blocks along the side of a tile.
pub(crate) const BLOCKS: usize = 4;
/// Vectors of a basis.
pub(crate) const VECTORS: u32 = 16;

const SQRT2: f32 = core::f32::consts::SQRT_2;
/// One of four blocks.
const POINT: [[f32; 4]; 4] = [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 2.0]];
/// The Walsh-Hadamard basis.
const WAVE: [[f32; 4]; 4] =
    [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]];
/// The Haar basis.
const STEP: [[f32; 4]; 4] =
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, -1.0, -1.0], [SQRT2, -SQRT2, 0.0, 0.0], [0.0, 0.0, SQRT2, -SQRT2]];

/// Value of a block (row, column in 0..4) of vector `vector` (0..16) of a class; every vector has length 4.
pub(crate) fn value(class: usize, vector: u32, row: usize, column: usize) -> f32 {
    let (down, across) = match class {
        0 => (POINT, POINT),
        1 => (POINT, WAVE),
        2 => (WAVE, POINT),
        3 => (WAVE, WAVE),
        4 => (POINT, STEP),
        5 => (STEP, POINT),
        6 => (STEP, STEP),
        7 => (STEP, WAVE),
        8 => (WAVE, STEP),
        _ => return diagonal(vector, row, column),
    };
    down[vector as usize / 4][row] * across[vector as usize % 4][column]
}

/// Two blocks that touch at a corner, equal or opposite.
fn diagonal(vector: u32, row: usize, column: usize) -> f32 {
    // Pair k of a tile: (row, column) and (row ^ 1, column ^ 1), with even rows as first partners.
    let pair = vector as usize / 2;
    let (first_row, first_column) = (pair / 4 * 2, pair % 4);
    let opposite = if vector.is_multiple_of(2) { 1.0 } else { -1.0 };
    match (row, column) {
        at if at == (first_row, first_column) => 2.0 * SQRT2,
        at if at == (first_row + 1, first_column ^ 1) => 2.0 * SQRT2 * opposite,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_an_orthogonal_basis_of_equal_lengths() {
        let vector = |class, v| -> Vec<f32> { (0..16).map(|i| value(class, v, i / 4, i % 4)).collect() };
        for (class, name) in CLASSES.iter().enumerate() {
            for (a, b) in (0..VECTORS).flat_map(|a| (0..VECTORS).map(move |b| (a, b))) {
                let product: f32 = vector(class, a).iter().zip(vector(class, b)).map(|(x, y)| x * y).sum();
                let expected = if a == b { 16.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-4, "{name}: vectors {a} and {b} have product {product}");
            }
        }
    }
}
