//! The grids that the program brings, and how long each of their cells trains.

use super::grid::{Axis, Grid};
use crate::Result;
use crate::recipe;
use crate::train::TrainOptions;

/// How long a cell trains and on how much, where the options do not say it. Embeddings are the mean token, as in the papers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Budget {
    /// Preset xs with 4x4 patches and rank 16, 10 000 pictures, 6 passes in batches of 32: about a minute a cell on two CPU cores.
    Small,
    /// The same on all pictures, 20 passes.
    Medium,
    /// Preset m, all pictures, 100 passes: for a GPU.
    Large,
}

impl Budget {
    /// What it sets.
    pub fn options(self) -> TrainOptions {
        let common = TrainOptions { pooling: Some("mean".into()), upscale: Some(true), ..TrainOptions::default() };
        let (limit, epochs) = match self {
            Budget::Small => (Some(10_000), 6.0),
            Budget::Medium => (None, 20.0),
            Budget::Large => {
                return TrainOptions { preset: Some("m".into()), epochs: Some(100.0), ..common };
            }
        };
        TrainOptions {
            preset: Some("xs".into()),
            patch: Some(4),
            rank: Some(16),
            // At equal work on CIFAR-10 (60 000 pictures seen, recipe l-dae), the linear probe is 3.7 points better than with batches of
            // 128, and a point better than at the learning rate of the presets, 1e-3.
            batch: Some(32),
            lr: Some(4e-3),
            ema: Some(0.999),
            limit,
            epochs: Some(epochs),
            ..common
        }
    }
}

/// Ranks of the paper's sweep (8 to 128), and one above for large patches.
const RANKS: [u32; 6] = [8, 16, 32, 64, 128, 256];

/// Every recipe of METHOD.md sections 2 and 3, in the order of the road, and what they are compared with.
pub fn road() -> Grid {
    let values = recipe::NAMES.iter().map(|name| toml::Value::String((*name).to_owned())).collect();
    Grid { name: "road".into(), axes: vec![Axis { name: "recipe".into(), values }], seeds: Vec::new() }
}

/// Single noise levels sigma around the paper's sqrt(1/3), up to the largest of its schedule, sqrt(2).
const SIGMAS: [f64; 6] = [0.1, 0.2, 0.4, recipe::SINGLE_SIGMA, 0.8, std::f64::consts::SQRT_2];

/// One noise level at a time.
pub fn noise() -> Grid {
    let values = SIGMAS.iter().map(|&sigma| toml::Value::Float((sigma * 1000.0).round() / 1000.0)).collect();
    Grid { name: "noise".into(), axes: vec![Axis { name: "sigma".into(), values }], seeds: Vec::new() }
}

/// The ranks that patches of these options have, on pictures with `channels` channels; the last is the whole patch.
///
/// # Errors
/// The preset is unknown.
pub fn ranks(options: &TrainOptions, channels: usize) -> Result<Grid> {
    let patch = u32::from(options.patch.unwrap_or(options.preset()?.spec.patch));
    let p = patch * patch * channels as u32;
    let ranks = RANKS.into_iter().filter(|&k| k < p).chain([p]);
    let values = ranks.map(|k| toml::Value::Integer(k.into())).collect();
    Ok(Grid { name: "ranks".into(), axes: vec![Axis { name: "rank".into(), values }], seeds: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_axis_is_a_known_option() {
        for grid in [road(), noise()] {
            for point in grid.points().unwrap() {
                point.options.recipe().unwrap();
            }
        }
        assert_eq!(road().points().unwrap().len(), recipe::NAMES.len());
    }

    #[test]
    fn ranks_end_with_the_whole_patch() {
        let of = |patch, channels| -> Vec<i64> {
            let options = TrainOptions { patch: Some(patch), ..TrainOptions::default() };
            ranks(&options, channels).unwrap().axes[0].values.iter().filter_map(toml::Value::as_integer).collect()
        };
        assert_eq!(of(8, 3), [8, 16, 32, 64, 128, 192]);
        assert_eq!(of(4, 1), [8, 16]);
        assert_eq!(of(16, 3), [8, 16, 32, 64, 128, 256, 768]);
    }
}
