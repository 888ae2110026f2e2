//! Drop path (stochastic depth; Huang et al., arXiv 1603.09382): in training a picture passes by a block's attention or MLP with a
//! probability that rises linearly over the blocks to 0.1 (METHOD.md section 1; the rise is timm's), and what is left is scaled up.

use ldae_shared::noise::{Purpose, Stream};

/// Probability in the last block.
const LAST: f32 = 0.1;

/// For each of `depth` blocks the factors of attention and MLP for each picture, [B, 2]: 0 where the branch is dropped, else
/// 1/(1 − probability).
pub fn factors(depth: usize, seed: u64, epoch: u32, samples: &[u32]) -> Vec<Vec<f32>> {
    let mut streams: Vec<Stream> =
        samples.iter().map(|&sample| Stream::new(seed, Purpose::DropPath, epoch, sample)).collect();
    let block = |l: usize| {
        let dropped = LAST * l as f32 / depth.saturating_sub(1).max(1) as f32;
        let factor = |stream: &mut Stream| if stream.uniform() < dropped { 0.0 } else { 1.0 / (1.0 - dropped) };
        streams.iter_mut().flat_map(|stream| [factor(stream), factor(stream)]).collect()
    };
    (0..depth).map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_dropped_at_their_rates() {
        let samples: Vec<u32> = (0..20_000).collect();
        let made = factors(3, 1, 4, &samples);
        assert!(made[0].iter().all(|f| *f == 1.0));
        for (block, rate) in [(1, 0.05f64), (2, 0.1)] {
            let dropped = made[block].iter().filter(|f| **f == 0.0).count() as f64 / 40_000.0;
            // Five standard errors.
            assert!((dropped - rate).abs() < 5.0 * (rate * (1.0 - rate) / 40_000.0).sqrt(), "{dropped}");
            let mean = made[block].iter().map(|f| f64::from(*f)).sum::<f64>() / 40_000.0;
            assert!((mean - 1.0).abs() < 0.01, "{mean}");
        }
        assert_eq!(made[2][20..22], factors(3, 1, 4, &[10])[2]);
        assert_ne!(made, factors(3, 1, 5, &samples));
        assert_eq!(factors(1, 1, 0, &[5, 6]), [vec![1.0; 4]]);
    }
}
