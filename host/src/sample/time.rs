//! The time steps that a sampler visits.

use crate::recipe::Schedule;
use crate::{Error, Result};
use ldae_shared::noise::schedule::STEPS;

/// `count` + 1 time steps, falling, evenly spaced from the last usable one to 0.
///
/// The last usable one is T, or T − 1 where nothing of the latent is left at T (gamma = 0): from pure noise alone an estimate of
/// eps does not say what z0 is.
///
/// # Errors
/// There are more steps than time steps, none, or the schedule has a single level.
pub fn time_steps(schedule: Schedule, count: u32) -> Result<Vec<u32>> {
    if schedule.only_step().is_some() {
        return Err(Error::new("a schedule with a single noise level cannot be sampled from")
            .hint("sample from a run with several noise levels, for instance recipe l-dae"));
    }
    let last = if schedule.gamma(STEPS) > 0.0 { STEPS } else { STEPS - 1 };
    if count == 0 || count > last {
        return Err(
            Error::new(format!("cannot sample in {count} steps")).hint(format!("choose --steps from 1 to {last}"))
        );
    }
    // Rounded to the nearest: distinct, since the spacing is at least 1.
    let at = |i: u32| (u64::from(last) * u64::from(count - i) + u64::from(count) / 2) / u64::from(count);
    Ok((0..=count).map(|i| at(i) as u32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_fall_from_the_last_usable_to_zero() {
        assert_eq!(time_steps(Schedule::SigmaLinear, 4).unwrap(), [1000, 750, 500, 250, 0]);
        assert_eq!(time_steps(Schedule::Gamma2Linear, 1).unwrap(), [999, 0]);
        for count in [3, 7, 300, 999, 1000] {
            let steps = time_steps(Schedule::Ddpm, count).unwrap();
            assert_eq!((steps.len(), steps[0], steps[count as usize]), (count as usize + 1, 1000, 0));
            assert!(steps.windows(2).all(|w| w[0] > w[1]), "{count}");
        }
    }

    #[test]
    fn what_cannot_be_sampled_is_refused() {
        assert!(time_steps(Schedule::Ddpm, 0).is_err());
        assert!(time_steps(Schedule::Gamma2Linear, 1000).is_err());
        assert!(time_steps(Schedule::Single(0.5), 10).unwrap_err().to_string().contains("single noise level"));
    }
}
