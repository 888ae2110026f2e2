//! The ten shapes, as signed distances: negative inside, zero on the outline, in units of the shape's radius.

/// Class names; a label is an index into them.
pub const CLASSES: [&str; 10] =
    ["disk", "ring", "square", "triangle", "star", "cross", "crescent", "bars", "dots", "checker"];

/// Signed distance (a lower bound of its size away from the outline) of the point (x, y) to the shape of `class`, which
/// fills most of the unit disk around the origin.
pub(crate) fn distance(class: usize, x: f32, y: f32) -> f32 {
    match class {
        0 => length(x, y) - 0.8,
        1 => (length(x, y) - 0.72).abs() - 0.2,
        2 => x.abs().max(y.abs()) - 0.72,
        3 => triangle(x, y),
        4 => star(x, y),
        5 => bar(x, y, 0.95, 0.26).min(bar(y, x, 0.95, 0.26)),
        6 => (length(x, y) - 0.9).max(0.72 - length(x - 0.42, y)),
        7 => bar(x, y - 0.64, 0.9, 0.18).min(bar(x, y, 0.9, 0.18)).min(bar(x, y + 0.64, 0.9, 0.18)),
        8 => dots(x, y),
        _ => checker(x, y),
    }
}

fn length(x: f32, y: f32) -> f32 {
    libm::sqrtf(x * x + y * y)
}

/// A bar along x: half length `a`, half width `b`.
fn bar(x: f32, y: f32, a: f32, b: f32) -> f32 {
    (x.abs() - a).max(y.abs() - b)
}

/// Equilateral, circumradius 1: three half planes at distance 1/2.
fn triangle(x: f32, y: f32) -> f32 {
    const HALF_SQRT3: f32 = 0.866_025_4;
    let side = HALF_SQRT3 * x.abs() + 0.5 * y;
    side.max(-y) - 0.5
}

/// Five points at radius 1, notches at radius 0.42.
fn star(x: f32, y: f32) -> f32 {
    const SECTOR: f32 = core::f32::consts::PI / 5.0;
    // Fold the angle into half a ray: 0 at a point of the star, SECTOR at a notch.
    let angle = libm::atan2f(y, x).abs();
    let folded = angle - 2.0 * SECTOR * libm::floorf(angle / (2.0 * SECTOR) + 0.5);
    let (r, a) = (length(x, y), folded.abs());
    let (px, py) = (r * libm::cosf(a), r * libm::sinf(a));
    // The edge from the point (1, 0) to the notch 0.42 (cos, sin)(SECTOR).
    let (nx, ny) = (0.42 * libm::cosf(SECTOR), 0.42 * libm::sinf(SECTOR));
    let (ex, ey) = (nx - 1.0, ny);
    ((px - 1.0) * ey - py * ex) / length(ex, ey)
}

/// Six small disks on a circle and one in the middle.
fn dots(x: f32, y: f32) -> f32 {
    const RING: [(f32, f32); 7] = [
        (0.0, 0.0),
        (0.7, 0.0),
        (0.35, 0.606_217_8),
        (-0.35, 0.606_217_8),
        (-0.7, 0.0),
        (-0.35, -0.606_217_8),
        (0.35, -0.606_217_8),
    ];
    RING.iter().map(|(cx, cy)| length(x - cx, y - cy)).fold(f32::INFINITY, f32::min) - 0.24
}

/// Four by four fields of a chessboard, every other one filled.
fn checker(x: f32, y: f32) -> f32 {
    const HALF: f32 = 0.84;
    const FIELD: f32 = HALF / 2.0;
    let (column, row) = (libm::floorf(x / FIELD), libm::floorf(y / FIELD));
    // Distance to the nearest line between fields, negative inside filled fields.
    let line = |v: f32, cell: f32| {
        let within = v - cell * FIELD;
        within.min(FIELD - within)
    };
    let border = line(x, column).min(line(y, row));
    let filled = (column + row) as i32 & 1 == 0;
    (if filled { -border } else { border }).max(x.abs().max(y.abs()) - HALF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_an_inside_within_the_disk_and_nothing_far_outside() {
        for (class, name) in CLASSES.iter().enumerate() {
            let grid = || (-60..=60).flat_map(|i| (-60..=60).map(move |j| (i as f32 / 40.0, j as f32 / 40.0)));
            let inside = grid().filter(|&(x, y)| distance(class, x, y) < 0.0);
            let area = inside.clone().count() as f32 / 1600.0;
            assert!((0.8..2.4).contains(&area), "{name}: area {area}");
            assert!(inside.clone().all(|(x, y)| length(x, y) < 1.2), "{name}");
        }
    }

    #[test]
    fn points_of_the_star_and_corners_of_the_triangle() {
        assert!(distance(4, 0.95, 0.0) < 0.0 && distance(4, -0.95, 0.0) > 0.0);
        assert!(distance(3, 0.0, 0.9) < 0.0 && distance(3, 0.0, -0.55) > 0.0);
    }
}
