//! Noise levels and loss weights as functions of the time step t in 1..=T.
//!
//! l-DAE (paper A, METHOD.md section 1): sigma_t = sqrt(2)·t/T on unscaled latents, loss weight 1/(1 + sigma²).
//! The earlier stages of METHOD.md section 2 use a variance-preserving mix sqrt(gamma²)·z + sqrt(1 - gamma²)·eps with
//! either DDPM's product of (1 - beta) or a gamma² that falls linearly from 1 to 0.

/// Number of time steps T.
pub const STEPS: u32 = 1000;
/// First and last beta of the linear DDPM schedule (Ho, Jain, Abbeel, 2020, section 4).
const BETA: (f64, f64) = (1e-4, 0.02);

/// Noise level sigma_t = sqrt(2)·t/T of l-DAE.
pub const fn sigma(t: u32) -> f32 {
    (core::f64::consts::SQRT_2 * t as f64 / STEPS as f64) as f32
}

/// Weight 1/(1 + sigma²) of the loss at noise level sigma.
pub const fn loss_weight(sigma: f32) -> f32 {
    1.0 / (1.0 + sigma * sigma)
}

/// gamma² = product of (1 - beta_i), i = 1..=t, with beta linear over T steps (DDPM). 1 at t = 0.
pub const fn alpha_bar_ddpm(t: u32) -> f64 {
    let (mut product, mut i) = (1.0, 0);
    while i < t {
        product *= 1.0 - (BETA.0 + (BETA.1 - BETA.0) * i as f64 / (STEPS - 1) as f64);
        i += 1;
    }
    product
}

/// gamma² = 1 - t/T, falling linearly from 1 to 0 (recipe `ddm-linear-gamma2`).
pub const fn gamma2_linear(t: u32) -> f64 {
    1.0 - t as f64 / STEPS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigma_ends_at_sqrt_two() {
        assert_eq!(sigma(0), 0.0);
        assert_eq!(sigma(STEPS), core::f32::consts::SQRT_2);
        assert_eq!(loss_weight(sigma(0)), 1.0);
        assert!((loss_weight(sigma(STEPS)) - 1.0 / 3.0).abs() < 1e-6);
        // sigma = sqrt(1/3), the single level of the ablation, lies between t = 408 and 409.
        assert!(sigma(408) < (1f32 / 3.0).sqrt() && (1f32 / 3.0).sqrt() < sigma(409));
    }

    #[test]
    fn ddpm_levels() {
        // Independent: exp of the sum of logarithms; the end is DDPM's well-known 4.04e-5.
        let log_sum: f64 = (0..STEPS).map(|i| (1.0 - (1e-4 + (0.02 - 1e-4) * f64::from(i) / 999.0)).ln()).sum();
        assert!((alpha_bar_ddpm(STEPS) / log_sum.exp() - 1.0).abs() < 1e-10);
        assert!((alpha_bar_ddpm(STEPS) - 4.04e-5).abs() < 1e-7);
        assert_eq!(alpha_bar_ddpm(1), 1.0 - 1e-4);
        assert_eq!((gamma2_linear(0), gamma2_linear(STEPS)), (1.0, 0.0));
    }
}
