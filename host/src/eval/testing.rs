//! Synthetic features and models for the tests of this module.

use super::Features;
use crate::data::{Dataset, Split};
use crate::model::init::busy_parameters;
use crate::model::reference::{noise_pictures, tiny_spec};
use crate::model::{ModelSpec, Weights, pca};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::PatchGrid;

/// Unit Gaussian features.
pub fn noise(seed: u64, rows: usize, dim: usize) -> Features {
    let mut values = vec![0.0; rows * dim];
    Stream::new(seed, Purpose::Vector, 0, 0).fill_gaussian(&mut values);
    Features::new(rows, dim, values).unwrap()
}

/// Gaussian clusters: class i % classes sits at `distance`/2 times a unit-Gaussian centre that no seed changes.
pub fn clusters(seed: u64, rows: usize, dim: usize, classes: usize, distance: f32) -> (Features, Vec<u16>) {
    let centres = noise(0xC0FFEE, classes, dim);
    let mut features = noise(seed, rows, dim);
    let labels: Vec<u16> = (0..rows).map(|i| (i % classes) as u16).collect();
    for (i, row) in features.values_mut().chunks_exact_mut(dim).enumerate() {
        row.iter_mut().zip(centres.row(i % classes)).for_each(|(v, c)| *v += distance / 2.0 * c);
    }
    (features, labels)
}

/// Runs `f` on a pool of `threads` threads.
pub fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// A model in which nothing is zero, at full rank or below it.
pub fn model(rank: u16) -> (Weights, Vec<Vec<u8>>) {
    let mut encoder = tiny_spec().encoder;
    encoder.rank = rank;
    let spec = ModelSpec { encoder, ..tiny_spec() };
    let pictures = noise_pictures(8, 3, 12, 5);
    let grid = PatchGrid::of(&encoder).unwrap();
    let pca = pca::fit(grid, rank.into(), pictures.len(), |i| &pictures[i], 300, 1).unwrap();
    (Weights::new(spec, busy_parameters(&spec, 3), &pca).unwrap(), pictures)
}

/// 128 labelled pictures of 8x8x3 and 64 to test: class 1 is redder, class 0 less red.
pub fn tinted() -> Dataset {
    let split = |count: usize, seed: u64| {
        let mut pictures = noise_pictures(8, 3, count, seed);
        for (i, picture) in pictures.iter_mut().enumerate() {
            let shift = if i % 2 == 1 { 40 } else { -40 };
            picture.iter_mut().step_by(3).for_each(|red| *red = red.saturating_add_signed(shift));
        }
        Split::from_memory(pictures.concat(), 8, 3, Some((0..count).map(|i| (i % 2) as u16).collect()))
    };
    Dataset { test: Some(split(64, 2)), ..Dataset::of_pictures("tinted", split(128, 1)) }
}
