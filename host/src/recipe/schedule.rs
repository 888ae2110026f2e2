//! Noise schedules: z_t = gamma_t·z0 + sigma_t·eps for t in 0..=T, T = 1000 (METHOD.md section 2).

use ldae_shared::noise::schedule;
use serde::{Deserialize, Serialize};

/// How much of the clean latent and how much noise is in z_t.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// DDPM: gamma² is the product of (1 - beta) with linear beta, sigma² = 1 - gamma².
    Ddpm,
    /// gamma² falls linearly from 1 to 0, sigma² = 1 - gamma².
    Gamma2Linear,
    /// The l-DAE's: gamma = 1, sigma = sqrt(2)·t/T.
    SigmaLinear,
    /// gamma = 1 and this one sigma, whatever t is.
    Single(f64),
}

/// sigma of recipe `l-dae-single-sigma`, sqrt(1/3) (reading: METHOD.md section 2).
pub const SINGLE_SIGMA: f64 = 0.577_350_269_189_625_8;

impl Schedule {
    /// Share of the clean latent at time step t.
    pub fn gamma(self, t: u32) -> f64 {
        match self {
            Schedule::Ddpm => schedule::alpha_bar_ddpm(t).sqrt(),
            Schedule::Gamma2Linear => schedule::gamma2_linear(t).sqrt(),
            Schedule::SigmaLinear | Schedule::Single(_) => 1.0,
        }
    }

    /// Amplitude of the noise at time step t.
    pub fn sigma(self, t: u32) -> f64 {
        match self {
            Schedule::Ddpm => (1.0 - schedule::alpha_bar_ddpm(t)).sqrt(),
            Schedule::Gamma2Linear => (1.0 - schedule::gamma2_linear(t)).sqrt(),
            Schedule::SigmaLinear => schedule::sigma(t).into(),
            Schedule::Single(sigma) => sigma,
        }
    }

    /// Weight of a loss on clean targets: gamma²/(gamma² + sigma²), which is gamma² where variance is preserved and
    /// 1/(1 + sigma²) where gamma is 1.
    pub fn clean_weight(self, t: u32) -> f64 {
        let (gamma, sigma) = (self.gamma(t), self.sigma(t));
        gamma * gamma / (gamma * gamma + sigma * sigma)
    }

    /// The only time step of a single-level schedule: where l-DAE's sigma is nearest to it.
    pub fn only_step(self) -> Option<u32> {
        let steps = f64::from(schedule::STEPS);
        match self {
            Schedule::Single(sigma) => {
                Some((sigma * steps / std::f64::consts::SQRT_2).round().clamp(1.0, steps) as u32)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variance_is_preserved_or_gamma_is_one() {
        for t in [0, 1, 10, 500, 1000] {
            for schedule in [Schedule::Ddpm, Schedule::Gamma2Linear] {
                let (gamma, sigma) = (schedule.gamma(t), schedule.sigma(t));
                assert!((gamma * gamma + sigma * sigma - 1.0).abs() < 1e-12);
                assert!((schedule.clean_weight(t) - gamma * gamma).abs() < 1e-12);
            }
            assert_eq!((Schedule::SigmaLinear.gamma(t), Schedule::Single(0.5).gamma(t)), (1.0, 1.0));
        }
        assert_eq!(Schedule::Gamma2Linear.gamma(750), 0.5);
        assert!((Schedule::SigmaLinear.clean_weight(1000) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(Schedule::Single(0.5).sigma(7), 0.5);
        assert_eq!(Schedule::Single(SINGLE_SIGMA).only_step(), Some(408));
        assert_eq!(Schedule::Ddpm.only_step(), None);
    }
}
