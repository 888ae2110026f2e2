//! The ten shapes, as signed distances: negative inside, zero on the outline, in units of the shape's radius.

/// Class names; a label is an index into them.
pub const CLASSES: [&str; 10] =
    ["disk", "ring", "bar", "triangle", "corner", "cross", "crescent", "stripes", "dots", "checker"];

/// Signed distance (a lower bound of its size away from the outline) of the point (x, y) to the shape of `class`, which
/// fills most of the unit disk around the origin. Details are a quarter of the radius or more, so that a shape of eight
/// pixels can still be told.
pub(crate) fn distance(class: usize, x: f32, y: f32) -> f32 {
    match class {
        0 => length(x, y) - 0.75,
        1 => (length(x, y) - 0.75).abs() - 0.22,
        2 => bar(x, y, 0.95, 0.3),
        3 => triangle(x, y),
        4 => bar(x, y - 0.5, 0.8, 0.27).min(bar(x + 0.53, y, 0.27, 0.77)),
        5 => bar(x, y, 0.95, 0.26).min(bar(y, x, 0.95, 0.26)),
        6 => (length(x, y) - 0.9).max(0.72 - length(x - 0.42, y)),
        7 => bar(x, y - 0.5, 0.85, 0.22).min(bar(x, y + 0.5, 0.85, 0.22)),
        8 => (length(x - 0.55, y) - 0.38).min(length(x + 0.55, y) - 0.38),
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

/// Two by two fields of a chessboard, two of them filled.
fn checker(x: f32, y: f32) -> f32 {
    const HALF: f32 = 0.84;
    // Within the quadrants where x and y have one sign the nearer axis is the border.
    let quadrant = if x * y > 0.0 { -x.abs().min(y.abs()) } else { x.abs().min(y.abs()) };
    quadrant.max(x.abs().max(y.abs()) - HALF)
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
            assert!((0.7..2.4).contains(&area), "{name}: area {area}");
            assert!(inside.clone().all(|(x, y)| length(x, y) < 1.2), "{name}");
        }
    }

    #[test]
    fn the_triangle_points_along_y_and_the_corner_is_open() {
        assert!(distance(3, 0.0, 0.9) < 0.0 && distance(3, 0.0, -0.55) > 0.0);
        assert!(distance(4, -0.5, -0.5) < 0.0 && distance(4, 0.5, 0.5) < 0.0 && distance(4, 0.4, -0.4) > 0.0);
    }
}
