//! How long to wait after a failure: exponential, capped, with full jitter. Pure; chance is an argument.

use std::time::Duration;

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};

/// The wait after that many failures in a row.
///
/// `chance` is a number from 0 up to 1. Full jitter: the wait is anywhere between the shortest wait and the
/// doubled one, so that devices that failed together do not come back together.
/// Limits: from [`BACKOFF_MIN`] to [`BACKOFF_MAX`].
#[must_use]
pub fn backoff(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let ceiling = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    ceiling.mul_f64(chance.clamp(0.0, 1.0)).max(BACKOFF_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_its_cap_and_never_falls_below_a_second() {
        let ceilings: Vec<u64> = [0, 1, 2, 3, 8, 9, 10, u32::MAX].map(|n| backoff(n, 1.0).as_secs()).into();
        assert_eq!(ceilings, [1, 1, 2, 4, 128, 256, 300, 300]);
        assert_eq!(backoff(20, 0.0), BACKOFF_MIN);
        assert_eq!(backoff(20, 0.5), BACKOFF_MAX / 2);
    }
}
