//! Pooling of tokens [N, E] into one vector, in float, as NUMERICS.md rule 9 does it in integers.
//!
//! Mean: E components. Mean and standard deviation (population, over tokens): 2·E. Grid: means over the four quarters
//! of the token grid, top left, top right, bottom left, bottom right: 4·E; with an odd side the middle row and column
//! belong to the top and the left, so a 1×1 grid has no quarters and is refused.

use crate::{Error, Result};
use ldae_shared::spec::Pooling;

/// All poolings, in the order reports show them.
pub const ALL: [Pooling; 3] = [Pooling::Mean, Pooling::MeanStd, Pooling::Grid2x2];

/// Refuses a pooling that a grid of `side`×`side` tokens does not have.
///
/// # Errors
/// 2×2 grid pooling of a single token.
pub fn check(pooling: Pooling, side: usize) -> Result<()> {
    if pooling == Pooling::Grid2x2 && side < 2 {
        return Err(Error::new("a single token cannot be pooled over a 2x2 grid")
            .hint("use --pooling mean, or a smaller --patch when training"));
    }
    Ok(())
}

/// Pools `tokens` [side·side, width], row-major over the grid, into `out` [pooling.factor()·width]. Sums are in f64.
///
/// # Panics
/// When the lengths do not fit, or for a pooling that [`check`] refuses.
pub fn pool(tokens: &[f32], side: usize, pooling: Pooling, out: &mut [f32]) {
    let width = tokens.len() / (side * side);
    assert_eq!(tokens.len(), side * side * width, "tokens of another grid");
    assert_eq!(out.len(), pooling.factor() as usize * width, "room for another embedding");
    let all = || tokens.chunks_exact(width);
    match pooling {
        Pooling::Mean => mean(all(), out),
        Pooling::MeanStd => {
            let (means, deviations) = out.split_at_mut(width);
            mean(all(), means);
            for (c, (m, d)) in means.iter().zip(deviations).enumerate() {
                let sum: f64 = all().map(|t| (f64::from(t[c]) - f64::from(*m)).powi(2)).sum();
                *d = (sum / (side * side) as f64).sqrt() as f32;
            }
        }
        Pooling::Grid2x2 => {
            assert!(side > 1, "a single token has no quarters");
            for (quarter, out) in out.chunks_exact_mut(width).enumerate() {
                let inside = |(i, _): &(usize, &[f32])| quarter_of(i / side, i % side, side) == quarter;
                mean(all().enumerate().filter(inside).map(|(_, t)| t), out);
            }
        }
    }
}

/// Number of the quarter that a token lies in, 0 to 3.
fn quarter_of(row: usize, column: usize, side: usize) -> usize {
    let half = side.div_ceil(2);
    2 * usize::from(row >= half) + usize::from(column >= half)
}

fn mean<'a>(tokens: impl Iterator<Item = &'a [f32]>, out: &mut [f32]) {
    let mut sums = vec![0f64; out.len()];
    let mut count = 0u32;
    for token in tokens {
        sums.iter_mut().zip(token).for_each(|(s, &v)| *s += f64::from(v));
        count += 1;
    }
    out.iter_mut().zip(&sums).for_each(|(o, s)| *o = (s / f64::from(count)) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled(tokens: &[f32], side: usize, pooling: Pooling) -> Vec<f32> {
        let width = tokens.len() / (side * side);
        let mut out = vec![f32::NAN; width * pooling.factor() as usize];
        pool(tokens, side, pooling, &mut out);
        out
    }

    #[test]
    fn two_by_two_tokens_by_hand() {
        let tokens = [1.0, 10.0, 3.0, 10.0, 5.0, 20.0, 7.0, 20.0]; // width 2
        assert_eq!(pooled(&tokens, 2, Pooling::Mean), [4.0, 15.0]);
        assert_eq!(pooled(&tokens, 2, Pooling::MeanStd), [4.0, 15.0, 5f32.sqrt(), 5.0]);
        assert_eq!(pooled(&tokens, 2, Pooling::Grid2x2), tokens);
    }

    #[test]
    fn the_middle_of_an_odd_grid_is_top_left() {
        let tokens: Vec<f32> = (0..9).map(|i| i as f32).collect();
        assert_eq!(pooled(&tokens, 3, Pooling::Grid2x2), [2.0, 3.5, 6.5, 8.0]);
        assert!(check(Pooling::Grid2x2, 1).is_err());
        assert!(check(Pooling::Mean, 1).is_ok() && check(Pooling::Grid2x2, 2).is_ok());
    }
}
