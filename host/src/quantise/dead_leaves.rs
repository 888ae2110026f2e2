//! Pictures for tests, with the statistics of photographs.

use crate::data::Split;
use ldae_shared::noise::{Purpose, Stream};

/// Dead leaves: rectangles of random size, place and colour over each other, the simplest model with the statistics of
/// photographs (large even areas, sharp edges, every scale). Independent of `drawn`, whose purpose is another.
pub(crate) fn pictures(n: usize) -> Split {
    const SIDE: usize = 32;
    let mut pixels = Vec::with_capacity(n * SIDE * SIDE * 3);
    for picture in 0..n {
        let mut random = Stream::new(3, Purpose::Vector, 7, picture as u32);
        let mut image = [0u8; SIDE * SIDE * 3];
        for leaf in 0..40 {
            // Half-sides shrink from half the picture to two pixels: small leaves lie on top.
            let half = (2 + random.below(1 + 16 * (40 - leaf) / 40)) as i32;
            let (y, x) = (random.below(SIDE as u32) as i32, random.below(SIDE as u32) as i32);
            let colour = [0; 3].map(|_: u8| random.below(256) as u8);
            for (i, pixel) in image.chunks_exact_mut(3).enumerate() {
                let (row, column) = ((i / SIDE) as i32, (i % SIDE) as i32);
                if (row - y).abs() <= half && (column - x).abs() <= half {
                    pixel.copy_from_slice(&colour);
                }
            }
        }
        pixels.extend(image);
    }
    Split::from_memory(pixels, SIDE, 3, None)
}
