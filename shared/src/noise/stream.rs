//! Streams of random samples keyed by seed, purpose, epoch and sample.
//!
//! A stream is Philox4x32-10 with key = seed and counter = [block, sample, epoch, purpose]; blocks of four words are
//! drawn in order. Gaussian samples are Box-Muller in f32 through the `libm` crate alone (pure Rust, no fused
//! multiply-add, no platform library), so every target draws the same bits.

use super::philox4x32_10;

const TWO_POW_MINUS_24: f32 = 1.0 / 16_777_216.0;

/// What random numbers are for. Streams of different purposes never share a counter. The codes are part of the contract
/// between host and device: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Order of the samples in an epoch.
    Order = 1,
    /// Random crops and flips.
    Augment = 2,
    /// Noise level t of a training sample.
    TimeStep = 3,
    /// Noise on the PCA latents.
    Latent = 4,
    /// Initial weights; the sample is the index of the tensor.
    Init = 5,
    /// Pictures that the program draws.
    Drawn = 6,
    /// Choice of calibration pictures.
    Calibration = 7,
    /// Linear probe: order and initial weights.
    Probe = 8,
    /// Test vectors of the artifact.
    Vector = 9,
    /// Choice of patches for the PCA.
    Patches = 10,
    /// Tokens that a masked autoencoder hides.
    Mask = 11,
    /// Reparameterisation noise of a tokenizer's training.
    Tokenizer = 12,
    /// Noise that a sampler starts from (epoch 0) and adds at its n-th step (epoch n).
    Sample = 13,
    /// Residual branches that fine-tuning drops.
    DropPath = 14,
}

/// A sequence of random samples; a pure function of its four keys. At most 2^34 words are drawn before it repeats.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    /// Counter of the next block.
    counter: [u32; 4],
    words: [u32; 4],
    /// Words of `words` already used.
    used: u8,
    /// Second sample of a Box-Muller pair.
    spare: Option<f32>,
}

impl Stream {
    /// The stream of one sample.
    pub const fn new(seed: u64, purpose: Purpose, epoch: u32, sample: u32) -> Self {
        Stream {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, sample, epoch, purpose as u32],
            words: [0; 4],
            used: 4,
            spare: None,
        }
    }

    /// The same stream from its block `block` on. Streams that begin far apart serve several uses of one sample.
    #[must_use]
    pub const fn at_block(mut self, block: u32) -> Self {
        self.counter[0] = block;
        self.used = 4;
        self.spare = None;
        self
    }

    /// Next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used >= 4 {
            self.words = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let word = self.words[self.used as usize & 3];
        self.used += 1;
        word
    }

    /// Uniform on [0, 1), a multiple of 2^-24 (every value exact in f32).
    pub fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * TWO_POW_MINUS_24
    }

    /// Uniform on 0..n without bias (Lemire, "Fast random integer generation in an interval", 2019). 0 when n is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let mut product = self.next_u32() as u64 * n as u64;
        if (product as u32) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u32) < threshold {
                product = self.next_u32() as u64 * n as u64;
            }
        }
        (product >> 32) as u32
    }

    /// Standard normal sample; two words give two samples. At most sqrt(2·24·ln 2) = 5.77 in magnitude.
    pub fn gaussian(&mut self) -> f32 {
        if let Some(sample) = self.spare.take() {
            return sample;
        }
        // 1 - u lies in (0, 1], so that the logarithm is finite.
        let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - self.uniform()));
        let (sine, cosine) = libm::sincosf(core::f32::consts::TAU * self.uniform());
        self.spare = Some(radius * sine);
        radius * cosine
    }

    /// Fills `out` with the next samples of [`Stream::gaussian`].
    pub fn fill_gaussian(&mut self, out: &mut [f32]) {
        for value in out {
            *value = self.gaussian();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn words_are_the_philox_blocks_in_order() {
        let mut stream = Stream::new(0x0123_4567_89ab_cdef, Purpose::Latent, 7, 9);
        for block in 0..3 {
            let expected = philox4x32_10([block, 9, 7, 4], [0x89ab_cdef, 0x0123_4567]);
            assert_eq!([(); 4].map(|()| stream.next_u32()), expected);
        }
        assert_eq!(stream.at_block(7).next_u32(), philox4x32_10([7, 9, 7, 4], [0x89ab_cdef, 0x0123_4567])[0]);
    }

    #[test]
    fn gaussian_moments() {
        const COUNT: usize = 1 << 18;
        let mut samples = vec![0.0f32; COUNT];
        Stream::new(1, Purpose::Latent, 0, 0).fill_gaussian(&mut samples);
        let moment = |k: i32| samples.iter().map(|&x| f64::from(x).powi(k)).sum::<f64>() / COUNT as f64;
        // Five standard errors of each moment: sqrt(1, 2, 15, 96) / sqrt(COUNT).
        let error = 5.0 / (COUNT as f64).sqrt();
        assert!(moment(1).abs() < error);
        assert!((moment(2) - 1.0).abs() < 2f64.sqrt() * error);
        assert!(moment(3).abs() < 15f64.sqrt() * error);
        assert!((moment(4) - 3.0).abs() < 96f64.sqrt() * error);
        // The two samples of a pair are independent.
        let pairs = samples.chunks_exact(2).map(|p| f64::from(p[0] * p[1])).sum::<f64>() / (COUNT / 2) as f64;
        assert!(pairs.abs() < 2f64.sqrt() * error);
        let beyond_two = samples.iter().filter(|x| x.abs() > 2.0).count() as f64 / COUNT as f64;
        assert!((beyond_two - 0.0455).abs() < 0.003);
    }

    const PINNED: u64 = 0x5f49_e941_db2a_cf85;

    /// Pins the bits: a target or a libm version that draws others fails here.
    #[test]
    fn gaussian_bits_are_pinned() {
        let mut stream = Stream::new(42, Purpose::Latent, 3, 5);
        let mut hash = 0xcbf2_9ce4_8422_2325u64; // FNV-1a
        for _ in 0..10_000 {
            for byte in stream.gaussian().to_bits().to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        assert_eq!(hash, PINNED, "gaussian bits changed: {hash:#018x}");
    }

    #[test]
    fn uniform_is_below_one_and_covers() {
        let mut stream = Stream::new(3, Purpose::Order, 0, 0);
        let values: Vec<f32> = (0..100_000).map(|_| stream.uniform()).collect();
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)));
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 5.0 * (1.0f64 / 12.0).sqrt() / 1e5f64.sqrt());
    }

    #[test]
    fn below_is_even() {
        assert_eq!(Stream::new(1, Purpose::Order, 0, 0).below(0), 0);
        for n in [1u32, 2, 7, 1000, 0x8000_0001] {
            let mut stream = Stream::new(4, Purpose::Order, 0, n);
            let buckets = n.min(7);
            let mut counts = [0u32; 7];
            for _ in 0..70_000 {
                let value = stream.below(n);
                assert!(value < n);
                counts[(u64::from(value) * u64::from(buckets) / u64::from(n)) as usize] += 1;
            }
            let expected = 70_000.0 / f64::from(buckets);
            for &count in &counts[..buckets as usize] {
                assert!((f64::from(count) - expected).abs() < 6.0 * expected.sqrt(), "n {n}: {counts:?}");
            }
        }
    }
}
