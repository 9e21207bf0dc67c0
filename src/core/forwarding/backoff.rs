//! Waiting time after a failure: exponential, capped, with jitter. Pure; the random number is an argument.

use std::time::Duration;

use crate::core::limits::{BACKOFF_MAX, BACKOFF_MIN};

/// Returns the wait after `failures` failures in a row.
///
/// `chance` is a random number from 0 up to 1. The ceiling grows fourfold with each failure. The wait is somewhere in
/// its upper three quarters, so that devices that failed together do not come back together; leaving out the lowest
/// quarter keeps an unlucky device from trying more than 11 times in ten minutes.
/// Limits: from [`BACKOFF_MIN`] to [`BACKOFF_MAX`].
#[must_use]
pub fn backoff(failures: u32, chance: f64) -> Duration {
    let ceiling = BACKOFF_MIN.saturating_mul(4_u32.saturating_pow(failures.saturating_sub(1))).min(BACKOFF_MAX);
    ceiling.mul_f64(0.25 + 0.75 * chance.clamp(0.0, 1.0)).max(BACKOFF_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_grows_fourfold_up_to_its_cap() {
        let ceilings: Vec<u64> = [0, 1, 2, 3, 5, 6, u32::MAX].map(|n| backoff(n, 1.0).as_secs()).into();
        assert_eq!(ceilings, [1, 1, 4, 16, 256, 300, 300]);
    }

    #[test]
    fn the_wait_is_in_the_upper_three_quarters_and_never_below_a_second() {
        assert_eq!(backoff(1, 0.0), BACKOFF_MIN);
        assert_eq!(backoff(20, 0.0), BACKOFF_MAX / 4);
        assert_eq!(backoff(20, 1.0), BACKOFF_MAX);
    }
}
