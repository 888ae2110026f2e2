//! GELU, SiLU and softmax on slices. Plain f32 arithmetic without branches, so that the compiler uses
//! vector instructions and every machine computes the same. An embedding (width 96, 6 blocks, 64 tokens) takes 2.1 ms with
//! it and took 6.7 ms with the libm crate's exponential, most of that in GELU.

use crate::exp::exp;

/// x / (1 + e^-x).
pub(super) fn silu(x: &mut [f32]) {
    x.iter_mut().for_each(|v| *v /= 1.0 + exp(-*v));
}

/// The tanh form of GELU: 0.5·x·(1 + tanh u) = x / (1 + e^-2u) with u = sqrt(2/π)·(x + 0.044715·x³).
pub(super) fn gelu(x: &mut [f32]) {
    const TWICE_ROOT: f32 = 1.595_769; // 2·sqrt(2/π)
    x.iter_mut().for_each(|v| *v /= 1.0 + exp(-TWICE_ROOT * (*v + 0.044_715 * *v * *v * *v)));
}

/// Softmax over the whole slice.
pub(super) fn softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter_mut().for_each(|l| *l = exp(*l - max));
    let factor = 1.0 / logits.iter().sum::<f32>();
    logits.iter_mut().for_each(|l| *l *= factor);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_follow_their_definitions() {
        for i in -400..400 {
            let x = f64::from(i) * 0.02;
            let tanh = ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh();
            let (mut g, mut s) = ([x as f32], [x as f32]);
            gelu(&mut g);
            silu(&mut s);
            assert!((f64::from(g[0]) - 0.5 * x * (1.0 + tanh)).abs() < 1e-6, "gelu {x}");
            assert!((f64::from(s[0]) - x / (1.0 + (-x).exp())).abs() < 1e-6, "silu {x}");
        }
        // Far out, where x³ leaves the range of the exponential.
        let mut far = [-1e4f32, 1e4];
        gelu(&mut far);
        assert!(far[0].abs() < 1e-30 && far[1] == 1e4);
    }

    #[test]
    fn softmax_sums_to_one() {
        let mut row = [1000.0, 999.0, -1000.0];
        softmax(&mut row);
        let e = (-1f32).exp();
        assert!((row[0] - 1.0 / (1.0 + e)).abs() < 1e-6 && row[2] < 1e-30);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
