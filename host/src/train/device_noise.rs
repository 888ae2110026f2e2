//! Latent noise made where it is used: the Philox stream of [`ldae_shared::noise`] in tensor operations, for GPUs.
//!
//! The random words are the host's, bit for bit; the Gaussian values differ from them by the rounding of the device's logarithm, sine and
//! cosine, so that a run on a GPU sees the noise of the run on a CPU. Integers are i64, of which 32 bits are used: a backend's 32-bit
//! products need not wrap, and its shifts need not be of unsigned numbers.

use crate::{Error, Result};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use ldae_shared::noise::philox::{MULTIPLIER, ROUNDS, WEYL};
use ldae_shared::noise::{Purpose, Stream};

const TWO_POW_MINUS_24: f32 = 1.0 / 16_777_216.0;

/// Largest difference from the host's values that [`check`] accepts: values reach 5.8, and GPU sines are good to some 1e-6.
const TOLERANCE: f32 = 1e-4;

type Words = Tensor<2, Int>;

/// High and low 32 bits of c·m, for c below 2³²: in two parts, as the product has 64 bits and i64 a sign.
fn wide_product(c: Words, m: i64) -> (Words, Words) {
    let low = c.clone().mul_scalar(m & 0xFFFF);
    // c·m = upper·2¹⁶ + (the last 16 bits of low); upper stays below 2⁴⁹.
    let upper = c.mul_scalar(m >> 16) + low.clone().bitwise_right_shift_scalar(16);
    let last = low.bitwise_and_scalar(0xFFFF);
    let low = upper.clone().bitwise_and_scalar(0xFFFF).bitwise_left_shift_scalar(16).bitwise_or(last);
    (upper.bitwise_right_shift_scalar(16), low)
}

/// Blocks 0..blocks of the streams of `samples`: four times [B, blocks].
fn words(seed: u64, purpose: Purpose, epoch: u32, samples: &[u32], blocks: usize, device: &Device) -> [Words; 4] {
    let shape = [samples.len(), blocks];
    let row =
        Words::from_data(TensorData::new((0..blocks as i64).collect::<Vec<_>>(), [1, blocks]), (device, DType::I64));
    let column = Words::from_data(
        TensorData::new(samples.iter().map(|&s| i64::from(s)).collect::<Vec<_>>(), [samples.len(), 1]),
        (device, DType::I64),
    );
    let all = |value: u32| Words::full(shape, i64::from(value), (device, DType::I64));
    let [mut c0, mut c1, mut c2, mut c3] = [row.expand(shape), column.expand(shape), all(epoch), all(purpose as u32)];
    let [mut k0, mut k1] = [seed as u32, (seed >> 32) as u32];
    for _ in 0..ROUNDS {
        let (high0, low0) = wide_product(c0, MULTIPLIER[0].into());
        let (high1, low1) = wide_product(c2, MULTIPLIER[1].into());
        c0 = high1.bitwise_xor(c1).bitwise_xor_scalar(i64::from(k0));
        c2 = high0.bitwise_xor(c3).bitwise_xor_scalar(i64::from(k1));
        (c1, c3) = (low1, low0);
        (k0, k1) = (k0.wrapping_add(WEYL[0]), k1.wrapping_add(WEYL[1]));
    }
    [c0, c1, c2, c3]
}

/// Two Gaussian values of two words (Box-Muller, as [`Stream::gaussian`]).
fn pair(a: Words, b: Words) -> [Tensor<2>; 2] {
    let uniform = |w: Words| w.bitwise_right_shift_scalar(8).float().cast(DType::F32).mul_scalar(TWO_POW_MINUS_24);
    let radius = uniform(a).neg().add_scalar(1.0).log().mul_scalar(-2.0).sqrt();
    let angle = uniform(b).mul_scalar(std::f32::consts::TAU);
    [radius.clone() * angle.clone().cos(), radius * angle.sin()]
}

/// Standard normal latent noise [B, N, K] of some samples of an epoch.
pub(super) fn latent_noise(seed: u64, epoch: u32, samples: &[u32], [n, k]: [usize; 2], device: &Device) -> Tensor<3> {
    let (b, count) = (samples.len(), n * k);
    let blocks = count.div_ceil(4);
    let [w0, w1, w2, w3] = words(seed, Purpose::Latent, epoch, samples, blocks, device);
    let ([g0, g1], [g2, g3]) = (pair(w0, w1), pair(w2, w3));
    let values: Tensor<3> = Tensor::stack(vec![g0, g1, g2, g3], 2); // [B, blocks, 4]
    values.reshape([b, 4 * blocks]).narrow(1, 0, count).reshape([b, n, k])
}

/// Compares a device's noise with the host's.
///
/// # Errors
/// The device cannot compute it, or computes something else.
pub(super) fn check(device: &Device) -> Result<()> {
    let (seed, epoch, samples, shape) = (0x9876_5432_10FE_DCBA, 3, [0, 0xFFFF_FFFF], [5, 9]);
    let made = || latent_noise(seed, epoch, &samples, shape, device).try_into_data();
    let failed = |what: String| Error::new(format!("the device makes no noise: {what}"));
    let made =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(made)).map_err(|_| failed("it panicked".into()))?;
    let made = made.map_err(|e| failed(e.to_string()))?;
    let made: Vec<f32> = made.try_to_vec().map_err(|e| failed(format!("{e:?}")))?;
    let mut host = vec![0f32; made.len()];
    for (values, sample) in host.chunks_exact_mut(shape[0] * shape[1]).zip(samples) {
        Stream::new(seed, Purpose::Latent, epoch, sample).fill_gaussian(values);
    }
    let differences = host.iter().zip(&made).map(|(a, b)| (a - b).abs());
    // NaN stays.
    let worst = differences.fold(0.0, |worst: f32, d| if d > worst || d.is_nan() { d } else { worst });
    if worst <= TOLERANCE { Ok(()) } else { Err(failed(format!("it differs by {worst}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::noise::philox4x32_10;

    #[test]
    fn words_are_the_hosts() {
        let device = Device::flex();
        let (seed, epoch, samples, blocks) = (0xFFFF_FFFF_0000_0001, 0xFFFF_FFFE, [0u32, 7, u32::MAX], 6);
        let made = words(seed, Purpose::Latent, epoch, &samples, blocks, &device)
            .map(|w| w.into_data().try_to_vec::<i64>().unwrap());
        for (i, sample) in samples.into_iter().enumerate() {
            for block in 0..blocks {
                let counter = [block as u32, sample, epoch, Purpose::Latent as u32];
                let expected = philox4x32_10(counter, [seed as u32, (seed >> 32) as u32]).map(i64::from);
                assert_eq!([0, 1, 2, 3].map(|w: usize| made[w][i * blocks + block]), expected);
            }
        }
    }

    #[test]
    fn values_are_the_hosts_but_for_rounding() {
        check(&Device::flex()).unwrap();
        let made = latent_noise(5, 2, &[11, 3], [7, 3], &Device::flex()).into_data().try_to_vec::<f32>().unwrap();
        let mut host = [0f32; 42];
        Stream::new(5, Purpose::Latent, 2, 11).fill_gaussian(&mut host[..21]);
        Stream::new(5, Purpose::Latent, 2, 3).fill_gaussian(&mut host[21..]);
        for (a, b) in host.iter().zip(&made) {
            assert!((a - b).abs() < 2e-6, "{a} {b}");
        }
    }
}
