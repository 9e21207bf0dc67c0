//! What to do next, decided purely.

use std::time::Duration;

use crate::link::Permit;

/// What the forwarder does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start up to that many deliveries.
    Send(usize),
    /// Nothing before this time.
    WaitUntil(Duration),
    /// Nothing until something happens.
    Idle,
}

/// Decides.
///
/// `in_flight` requests of at most `connections` are on their way; `quota_left` more fit into the quota, and when
/// none does, `quota_opens` says when one will.
#[must_use]
pub fn plan(permit: Permit, in_flight: usize, connections: usize, quota_left: u64, quota_opens: Duration) -> Step {
    let places = match permit {
        Permit::WaitUntil(time) => return Step::WaitUntil(time),
        Permit::Probe => 1_usize.saturating_sub(in_flight),
        Permit::SendOne => connections.saturating_sub(in_flight).min(1),
        Permit::Send => connections.saturating_sub(in_flight),
    };
    if places == 0 {
        return Step::Idle;
    }
    match usize::try_from(quota_left).unwrap_or(usize::MAX).saturating_sub(in_flight) {
        // What is in flight will be counted soon, and then the oldest use is known.
        0 if in_flight > 0 => Step::Idle,
        0 => Step::WaitUntil(quota_opens),
        left => Step::Send(places.min(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(9);
    const OPENS: Duration = Duration::from_secs(99);

    fn check(permit: Permit, in_flight: usize, quota_left: u64, expected: Step) {
        assert_eq!(plan(permit, in_flight, 4, quota_left, OPENS), expected, "{permit:?} {in_flight} {quota_left}");
    }

    #[test]
    fn as_many_as_there_are_connections_and_one_probe() {
        check(Permit::Send, 0, u64::MAX, Step::Send(4));
        check(Permit::Send, 3, u64::MAX, Step::Send(1));
        check(Permit::Send, 4, u64::MAX, Step::Idle);
        check(Permit::SendOne, 3, u64::MAX, Step::Send(1));
        check(Permit::SendOne, 4, u64::MAX, Step::Idle);
        check(Permit::Probe, 0, u64::MAX, Step::Send(1));
        check(Permit::Probe, 1, u64::MAX, Step::Idle);
        check(Permit::WaitUntil(LATER), 0, u64::MAX, Step::WaitUntil(LATER));
    }

    #[test]
    fn never_more_than_the_quota_has_left_counting_what_is_in_flight() {
        check(Permit::Send, 0, 2, Step::Send(2));
        check(Permit::Send, 2, 3, Step::Send(1));
        check(Permit::Send, 2, 2, Step::Idle);
        check(Permit::Send, 0, 0, Step::WaitUntil(OPENS));
    }
}
