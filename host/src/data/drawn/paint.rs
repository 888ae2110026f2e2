//! From a scene to pixels: textured ground, a loose grid of shapes, sensor noise.

use super::{CLASSES, Scene, shapes};
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

/// Shapes across a picture. With side 32 a shape has about eight pixels, the patch of the smallest presets.
const ACROSS: usize = 4;
/// Probability that a shape is of a random class instead of the picture's own: the clutter.
const STRAY: f32 = 0.6;
/// Largest tilt, in radians, from one of the four upright positions.
const TILT: f32 = 0.15;
/// Largest chroma of ground and shapes.
const CHROMA: f32 = 0.05;

/// One shape of a picture.
struct Motif {
    class: usize,
    at: (f32, f32),
    /// Cosine and sine of its turn.
    turn: (f32, f32),
    radius: f32,
    colour: Colour,
}

impl Motif {
    /// A shape of class `own`, or now and then any, in a cell of width `cell` around `middle`.
    fn new(stream: &mut Stream, own: usize, middle: (f32, f32), cell: f32, ground_luma: f32) -> Self {
        let radius = cell * between(stream, 0.42, 0.5);
        let reach = cell * 0.1;
        let at = (middle.0 + between(stream, -reach, reach), middle.1 + between(stream, -reach, reach));
        let angle = stream.below(4) as f32 * core::f32::consts::FRAC_PI_2 + between(stream, -TILT, TILT);
        let contrast = between(stream, 0.35, 0.45);
        let lighter = stream.below(2) == 0;
        let colour = colour(stream, if lighter { ground_luma + contrast } else { ground_luma - contrast }, CHROMA);
        let class = if stream.uniform() < STRAY { stream.below(CLASSES.len() as u32) as usize } else { own };
        Motif { class, at, turn: (libm::cosf(angle), libm::sinf(angle)), radius, colour }
    }

    /// Signed distance in picture coordinates; far away any large number.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let (x, y) = ((x - self.at.0) / self.radius, (y - self.at.1) / self.radius);
        if x * x + y * y > 2.0 {
            return f32::INFINITY;
        }
        let (cos, sin) = self.turn;
        shapes::distance(self.class, x * cos + y * sin, y * cos - x * sin) * self.radius
    }
}

/// Draws a scene: `side * side * channels` bytes, HWC; `channels` is 1 (luma) or 3. The scene is the same at any side but
/// for sampling and noise.
///
/// # Panics
/// When `channels` is neither 1 nor 3.
pub fn draw(scene: Scene, side: usize, channels: usize) -> Vec<u8> {
    assert!(matches!(channels, 1 | 3), "1 or 3 channels");
    let stream = &mut Stream::new(scene.seed, Purpose::Drawn, scene.part as u32, scene.index);
    // Ground and shapes keep to a narrow range of brightness and colour, so that what varies most is shape.
    let ground_luma = between(stream, 0.45, 0.55);
    let ground = colour(stream, ground_luma, CHROMA);
    // A texture with amplitudes that fall with frequency, as in natural pictures.
    let strength = between(stream, 0.05, 0.15);
    let field = [(2, 0.16), (4, 0.09), (8, 0.05)].map(|(cells, size)| Lattice::new(stream, cells, size * strength));
    let cell = 2.0 / ACROSS as f32;
    let motifs: Vec<Motif> = (0..ACROSS * ACROSS)
        .map(|i| {
            let middle = |k: usize| cell * (k as f32 + 0.5) - 1.0;
            let middle = (middle(i % ACROSS), middle(i / ACROSS));
            Motif::new(stream, scene.class(), middle, cell, ground_luma)
        })
        .collect();
    let noise = between(stream, 0.005, 0.03);

    let pixel = 2.0 / side as f32;
    let cover = |distance: f32| (0.5 - distance / pixel).clamp(0.0, 1.0);
    let mut bytes = Vec::with_capacity(side * side * channels);
    for (row, column) in (0..side).flat_map(|r| (0..side).map(move |c| (r, c))) {
        let (u, v) = ((column as f32 + 0.5) / side as f32, (row as f32 + 0.5) / side as f32);
        let (x, y) = (2.0 * u - 1.0, 2.0 * v - 1.0);
        let texture: f32 = field.iter().map(|l| l.at(u, v)).sum();
        let mut here: Colour = ground.map(|g| g + texture);
        for motif in &motifs {
            let share = cover(motif.distance(x, y));
            here.iter_mut().zip(motif.colour).for_each(|(h, o)| *h += share * (o - *h));
        }
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
