//! From a scene to pixels: textured background, clutter, the shape with shading, sensor noise.

use super::{Scene, shapes};
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

/// Something small in the background that is no shape of ours: a line or a blob.
struct Clutter {
    at: (f32, f32),
    turn: (f32, f32),
    half: (f32, f32),
    colour: Colour,
}

impl Clutter {
    fn new(stream: &mut Stream, around: f32) -> Self {
        let at = (between(stream, -1.0, 1.0), between(stream, -1.0, 1.0));
        let angle = between(stream, 0.0, core::f32::consts::TAU);
        let line = stream.below(2) == 0;
        let half = if line {
            (between(stream, 0.2, 0.6), between(stream, 0.02, 0.05))
        } else {
            (between(stream, 0.05, 0.14), between(stream, 0.05, 0.14))
        };
        let luma = around + between(stream, -0.25, 0.25);
        Clutter { at, turn: (libm::cosf(angle), libm::sinf(angle)), half, colour: colour(stream, luma, 0.15) }
    }

    fn distance(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        let along = (dx * self.turn.0 + dy * self.turn.1).abs() - self.half.0;
        let across = (dy * self.turn.0 - dx * self.turn.1).abs() - self.half.1;
        along.max(across)
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
    // Pose, in picture coordinates -1..1.
    let radius = between(stream, 0.42, 0.68);
    let reach = 0.95 - radius;
    let centre = (between(stream, -reach, reach), between(stream, -reach, reach));
    let angle = between(stream, 0.0, core::f32::consts::TAU);
    let (cos, sin) = (libm::cosf(angle), libm::sinf(angle));
    // Colours: at least 0.3 of luma between shape and ground, either way round.
    let ground_luma = between(stream, 0.2, 0.8);
    let contrast = between(stream, 0.3, 0.55);
    let lighter = if ground_luma < 0.35 {
        true
    } else if ground_luma > 0.65 {
        false
    } else {
        stream.below(2) == 0
    };
    let shape_luma = ground_luma + if lighter { contrast } else { -contrast };
    let ground = colour(stream, ground_luma, 0.3);
    let shape = colour(stream, shape_luma, 0.3);
    // Textures with amplitudes that fall with frequency, as in natural pictures.
    let field = |stream: &mut Stream, strength: f32| {
        let strength = between(stream, 0.3, 1.0) * strength;
        [(2, 0.16), (4, 0.09), (8, 0.05)].map(|(cells, amplitude)| Lattice::new(stream, cells, amplitude * strength))
    };
    let ground_field = field(stream, 1.0);
    let shape_field = field(stream, 0.7);
    let tint = colour(stream, 1.0, 0.4);
    let clutter: Vec<Clutter> = (0..2 + stream.below(4)).map(|_| Clutter::new(stream, ground_luma)).collect();
    let noise = between(stream, 0.01, 0.05);

    let pixel = 2.0 / side as f32;
    let cover = |distance: f32| (0.5 - distance / pixel).clamp(0.0, 1.0);
    let mut bytes = Vec::with_capacity(side * side * channels);
    for (row, column) in (0..side).flat_map(|r| (0..side).map(move |c| (r, c))) {
        let (u, v) = ((column as f32 + 0.5) / side as f32, (row as f32 + 0.5) / side as f32);
        let (x, y) = (2.0 * u - 1.0, 2.0 * v - 1.0);
        let value = |field: &[Lattice; 3]| field.iter().map(|l| l.at(u, v)).sum::<f32>();
        let texture = value(&ground_field);
        let mut here: Colour = core::array::from_fn(|c| ground[c] + texture * tint[c]);
        let mut blend = |over: Colour, share: f32| {
            here.iter_mut().zip(over).for_each(|(h, o)| *h += share * (o - *h));
        };
        for thing in &clutter {
            blend(thing.colour, cover(thing.distance(x, y)));
        }
        let (dx, dy) = ((x - centre.0) / radius, (y - centre.1) / radius);
        let distance = shapes::distance(scene.class(), dx * cos + dy * sin, dy * cos - dx * sin) * radius;
        let share = cover(distance);
        if share > 0.0 {
            let shading = value(&shape_field);
            blend(shape.map(|s| s + shading), share);
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
