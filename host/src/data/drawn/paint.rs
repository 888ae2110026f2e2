//! From a scene to pixels: textured ground, tiles with the class's patterns, sensor noise.

use super::Scene;
use super::patterns::{self, BLOCKS, CLASSES, VECTORS};
use ldae_shared::noise::{Purpose, Stream};

/// Linear RGB-like colour, nominally 0..1.
type Colour = [f32; 3];

/// Rec. 601 weights.
const LUMA: Colour = [0.299, 0.587, 0.114];

fn between(stream: &mut Stream, low: f32, high: f32) -> f32 {
    low + (high - low) * stream.uniform()
}

/// A colour of this luma with random chroma of at most `chroma`.
fn colour(stream: &mut Stream, luma: f32, chroma: f32) -> Colour {
    let mut offset: Colour = [0.0; 3];
    offset.iter_mut().for_each(|o| *o = between(stream, -chroma, chroma));
    let own: f32 = offset.iter().zip(LUMA).map(|(o, w)| o * w).sum();
    offset.map(|o| luma + o - own)
}

/// Smooth value noise: random values on a lattice of `cells + 1` points a side, blended in between.
struct Lattice {
    cells: usize,
    values: Vec<f32>,
}

impl Lattice {
    fn new(stream: &mut Stream, cells: usize, amplitude: f32) -> Self {
        let values = (0..(cells + 1) * (cells + 1)).map(|_| between(stream, -amplitude, amplitude)).collect();
        Lattice { cells, values }
    }

    /// At (u, v) in 0..1.
    fn at(&self, u: f32, v: f32) -> f32 {
        let place = |t: f32| {
            let t = (t * self.cells as f32).clamp(0.0, self.cells as f32 - 1e-3);
            let cell = t as usize;
            let f = t - cell as f32;
            (cell, f * f * (3.0 - 2.0 * f))
        };
        let ((x, fx), (y, fy)) = (place(u), place(v));
        let row = |y: usize| {
            let at = y * (self.cells + 1) + x;
            self.values[at] + fx * (self.values[at + 1] - self.values[at])
        };
        let (top, bottom) = (row(y), row(y + 1));
        top + fy * (bottom - top)
    }
}

/// Pixels along the side of a tile; a multiple of [`BLOCKS`]. The patch of the board presets.
const TILE: usize = 8;
/// Probability that a tile is of a random class instead of the picture's own: the clutter.
const STRAY: f32 = 0.05;
/// Largest chroma of ground and tiles.
const CHROMA: f32 = 0.05;

/// One tile of a picture.
struct Tile {
    class: usize,
    vector: u32,
    /// What one unit of the pattern adds to the ground; half of the time it takes away.
    colour: Colour,
}

impl Tile {
    fn new(stream: &mut Stream, own: usize, contrast: f32) -> Self {
        let class = if stream.uniform() < STRAY { stream.below(CLASSES.len() as u32) as usize } else { own };
        let vector = stream.below(VECTORS);
        let sign = if stream.below(2) == 0 { 1.0 } else { -1.0 };
        Tile { class, vector, colour: colour(stream, sign * contrast, CHROMA * contrast) }
    }
}

/// Draws a scene: `side * side * channels` bytes, HWC; `channels` is 1 (luma) or 3. A larger side shows
/// more tiles, not larger ones.
///
/// # Panics
/// When `channels` is neither 1 nor 3.
pub fn draw(scene: Scene, side: usize, channels: usize) -> Vec<u8> {
    assert!(matches!(channels, 1 | 3), "1 or 3 channels");
    let stream = &mut Stream::new(scene.seed, Purpose::Drawn, scene.part as u32, scene.index);
    // The ground keeps to a narrow range of brightness and colour, so that what varies most is the pattern.
    let ground_luma = between(stream, 0.45, 0.55);
    let ground = colour(stream, ground_luma, CHROMA);
    // Its texture has amplitudes that fall with frequency, as in natural pictures.
    let strength = between(stream, 0.05, 0.15);
    let field = [(2, 0.16), (4, 0.09), (8, 0.05)].map(|(cells, size)| Lattice::new(stream, cells, size * strength));
    let contrast = between(stream, 0.075, 0.12);
    let across = side.div_ceil(TILE);
    let tiles: Vec<Tile> = (0..across * across).map(|_| Tile::new(stream, scene.class(), contrast)).collect();
    let noise = between(stream, 0.005, 0.03);

    let block = TILE / BLOCKS;
    let mut bytes = Vec::with_capacity(side * side * channels);
    for (row, column) in (0..side).flat_map(|r| (0..side).map(move |c| (r, c))) {
        let (u, v) = ((column as f32 + 0.5) / side as f32, (row as f32 + 0.5) / side as f32);
        let texture: f32 = field.iter().map(|l| l.at(u, v)).sum();
        let tile = &tiles[row / TILE * across + column / TILE];
        let value = patterns::value(tile.class, tile.vector, row % TILE / block, column % TILE / block);
        let mut here: Colour = core::array::from_fn(|c| ground[c] + texture + value * tile.colour[c]);
        if channels == 1 {
            here[0] = here.iter().zip(LUMA).map(|(h, w)| h * w).sum();
        }
        bytes.extend(here[..channels].iter().map(|&h| {
            // Sum of two uniforms: a triangular density of standard deviation `noise`.
            let grain = (stream.uniform() + stream.uniform() - 1.0) * noise * 2.449_49;
            ((h + grain) * 255.0 + 0.5).clamp(0.0, 255.0) as u8
        }));
    }
    bytes
}
