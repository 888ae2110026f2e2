//! The order in which an epoch visits the pictures: a pure function of seed, epoch and count, so any number of workers
//! sees the same batches.

use ldae_shared::noise::{Purpose, Stream};

/// A permutation of `0..n`: Fisher-Yates driven by the Philox stream (seed, `Order`, epoch, 0).
///
/// # Panics
/// When `n` does not fit in 32 bits.
pub fn order(seed: u64, epoch: u32, n: usize) -> Vec<u32> {
    permutation(Stream::new(seed, Purpose::Order, epoch, 0), n)
}

/// A uniformly drawn permutation of `0..n`.
///
/// # Panics
/// When `n` does not fit in 32 bits.
pub fn permutation(mut stream: Stream, n: usize) -> Vec<u32> {
    let count = u32::try_from(n).expect("at most 2^32 - 1 things");
    let mut order: Vec<u32> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last as usize, stream.below(last + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rayon::prelude::*;

    proptest! {
        #[test]
        fn is_a_permutation(seed: u64, epoch: u32, n in 0usize..2000) {
            let mut sorted = order(seed, epoch, n);
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..n as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn differs_by_seed_and_epoch() {
        assert_ne!(order(1, 0, 100), order(1, 1, 100));
        assert_ne!(order(1, 0, 100), order(2, 0, 100));
    }

    #[test]
    fn is_the_same_on_any_worker() {
        let here = order(7, 3, 5000);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let there: Vec<Vec<u32>> = pool.install(|| (0..16).into_par_iter().map(|_| order(7, 3, 5000)).collect());
        assert!(there.iter().all(|o| *o == here));
    }

    /// Every place is reached about equally often: 4000 shuffles of 8, expected 500 a cell, deviation about 21.
    #[test]
    fn is_unbiased() {
        let mut cells = [[0u32; 8]; 8];
        for epoch in 0..4000 {
            for (place, &item) in order(5, epoch, 8).iter().enumerate() {
                cells[place][item as usize] += 1;
            }
        }
        assert!(cells.iter().flatten().all(|&c| (390..610).contains(&c)), "{cells:?}");
    }
}
