//! Fixed embeddings of position and time; neither is trained.

use super::TIME_FEATURES;

/// 2-D sin-cos positions [N, W] of a square grid, row-major tokens (the convention of MAE and DiT).
///
/// The first half of a vector encodes the column, the second half the row; each half holds the sines, then the cosines,
/// of `coordinate / 10000^(i/q)`, i = 0..q, with q = W/4 rounded down. When W is even but no multiple of 4, the last value
/// of each half stays zero. Computed in f64.
///
/// # Panics
/// When the width is odd.
pub fn positions(grid: usize, width: usize) -> Vec<f32> {
    assert!(width.is_multiple_of(2), "positions need an even width");
    let (half, quarter) = (width / 2, width / 4);
    let mut table = vec![0.0; grid * grid * width];
    for (token, vector) in table.chunks_exact_mut(width).enumerate() {
        let (column_part, row_part) = vector.split_at_mut(half);
        for (part, coordinate) in [(column_part, token % grid), (row_part, token / grid)] {
            for i in 0..quarter {
                let angle = coordinate as f64 / 10_000f64.powf(i as f64 / quarter as f64);
                part[i] = angle.sin() as f32;
                part[quarter + i] = angle.cos() as f32;
            }
        }
    }
    table
}

/// DiT's time features: 128 cosines, then 128 sines, of t·exp(-ln(10000)·i/128).
pub fn time_features(t: f32) -> [f32; TIME_FEATURES] {
    let half = TIME_FEATURES / 2;
    let mut features = [0.0; TIME_FEATURES];
    for i in 0..half {
        let angle = f64::from(t) * (-(10_000f64.ln()) * i as f64 / half as f64).exp();
        features[i] = angle.cos() as f32;
        features[half + i] = angle.sin() as f32;
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of MAE's `get_2d_sincos_pos_embed(8, 2)`, worked out by hand: token 1 is column 1, row 0.
    #[test]
    fn known_positions() {
        let table = positions(2, 8);
        let (s, c) = (1f32.sin(), 1f32.cos());
        let (s2, c2) = (0.01f32.sin(), 0.01f32.cos());
        assert_eq!(&table[8..16], &[s, s2, c, c2, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(&table[16..24], &[0.0, 0.0, 1.0, 1.0, s, s2, c, c2]);
    }

    #[test]
    fn tokens_differ_for_any_even_width() {
        for width in [4, 6, 10, 96] {
            let table = positions(4, width);
            let rows: Vec<_> = table.chunks_exact(width).collect();
            for i in 0..rows.len() {
                assert!(rows[i + 1..].iter().all(|other| *other != rows[i]), "width {width}");
            }
        }
    }

    #[test]
    fn time_zero_is_ones_and_zeros() {
        let f = time_features(0.0);
        assert!(f[..128].iter().all(|&v| v == 1.0) && f[128..].iter().all(|&v| v == 0.0));
        assert_eq!(time_features(10.0)[0], 10f32.cos());
    }
}
