//! Synthetic features for the tests of this module.

use super::Features;
use ldae_shared::noise::{Purpose, Stream};

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
