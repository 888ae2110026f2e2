//! The grids that the program brings, and how long each of their cells trains.

use super::grid::{Axis, Grid};
use crate::Result;
use crate::train::TrainOptions;

/// How long a cell trains and on how much, where the options do not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Budget {
    /// Preset xs, 10 000 pictures, 20 passes: about two minutes a cell on two CPU cores.
    Small,
    /// Preset xs, all pictures, 30 passes.
    Medium,
    /// Preset m, all pictures, 100 passes: for a GPU.
    Large,
}

impl Budget {
    /// What it sets.
    pub fn options(self) -> TrainOptions {
        let (preset, limit, epochs) = match self {
            Budget::Small => ("xs", Some(10_000), 20.0),
            Budget::Medium => ("xs", None, 30.0),
            Budget::Large => ("m", None, 100.0),
        };
        TrainOptions {
            preset: Some(preset.to_owned()),
            limit,
            epochs: Some(epochs),
            upscale: Some(true),
            ..TrainOptions::default()
        }
    }
}

/// Every recipe of METHOD.md sections 2 and 3, in the order of the road, and what they are compared with.
const ROAD: [&str; 19] = [
    "dit-baseline",
    "dit-uncond",
    "dit-no-perceptual",
    "dit-conv-vae",
    "ddm-linear-gamma2",
    "tok-patch-vae",
    "tok-patch-ae",
    "tok-patch-pca",
    "predict-clean",
    "no-input-scaling",
    "image-input",
    "image-output",
    "l-dae",
    "l-dae-single-sigma",
    "dae-pixel",
    "semantic-ddm",
    "mae",
    "moco-v3",
    "supervised",
];

/// Ranks of the paper's sweep (8 to 128), and one above for large patches.
const RANKS: [u32; 6] = [8, 16, 32, 64, 128, 256];

/// All recipes.
pub fn road() -> Grid {
    let values = ROAD.iter().map(|name| toml::Value::String((*name).to_owned())).collect();
    Grid { name: "road".into(), axes: vec![Axis { name: "recipe".into(), values }], seeds: Vec::new() }
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
