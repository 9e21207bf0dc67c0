//! The state of the way to Target, as a pure state machine. From what happened and when, it decides whether sending is
//! allowed or until when to wait. Clock and random number are arguments; times are monotonic.
//!
//! There are two kinds of wait. Our own backoff can be cut short; a wait that Target asked for ends only with time.

use std::time::Duration;

use crate::core::forwarding::backoff::backoff;
use crate::core::forwarding::pace::Pace;
use crate::core::forwarding::why::Why;
use crate::core::limits::{FAILURES_OFFLINE, NETWORK_CHANGE_MIN, OUTAGE_MIN, RETRY_AFTER_MAX};

/// The state of the link, as `status` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// Nothing has been tried yet.
    Unknown,
    /// The last answer came from Target itself.
    Online,
    /// No answer, or only server errors.
    Offline,
    /// Something between this device and Target answers instead of Target.
    Blocked,
    /// Target rejects our credentials.
    Paused,
}

impl LinkState {
    /// Returns the name used in status and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
        }
    }
}

/// The meaning of one attempt for the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Target itself answered, whether it accepted or refused.
    Answered,
    /// Target asks the whole device to wait; `None` leaves the time to us.
    Throttled(Option<Duration>),
    /// No connection was possible; no other request will get through either.
    Unreachable(Why),
    /// A lost answer or a server error, which may concern this update alone or all.
    Failing(Why),
    /// An answer that is not Target's, or the same refusal for several profiles in a row: not the fault of the updates.
    Foreign(Why),
    /// Target answered 401 or 403.
    Unauthorized(Why),
}

/// Permission to send now, or the time until which to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// As many requests at once as there are connections.
    Send,
    /// One more request: after an outage the rate grows with each success.
    SendOne,
    /// A single request, whose answer decides.
    Probe,
    /// No request before this time since the start of the clock.
    WaitUntil(Duration),
}

/// A time during which nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkWait {
    /// End of the wait, as time since the start of the clock.
    pub until: Duration,
    /// True if Target asked for it, so that only time ends it.
    pub is_told: bool,
}

/// Largest fraction by which a wait that Target asked for is extended at random, so that a whole chain does not come
/// back in the same second.
const TOLD_SPREAD: f64 = 0.1;

impl Permit {
    /// Returns how many requests may start now, with `in_flight` of at most `connections` under way.
    #[must_use]
    pub fn places(self, in_flight: usize, connections: usize) -> usize {
        match self {
            Self::WaitUntil(_) => 0,
            Self::Probe => 1_usize.saturating_sub(in_flight),
            Self::SendOne => connections.saturating_sub(in_flight).min(1),
            Self::Send => connections.saturating_sub(in_flight),
        }
    }
}

/// The state of the link to the receiver of updates, from the answers that came.
#[derive(Clone, Debug)]
pub struct Link {
    state: LinkState,
    reason: Option<Why>,
    failures: u32,
    /// End of our own wait.
    wait_until: Duration,
    /// End of the wait that Target asked for.
    told_until: Duration,
    /// Waits that Target asked for in a row.
    throttles: u32,
    /// Time since which the link is not online, once it has been tried.
    down_since: Option<Duration>,
    pace: Pace,
    /// Last time a network change brought a probe forward.
    network_changed: Option<Duration>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            state: LinkState::Unknown,
            reason: None,
            failures: 0,
            wait_until: Duration::ZERO,
            told_until: Duration::ZERO,
            throttles: 0,
            down_since: None,
            pace: Pace::default(),
            network_changed: None,
        }
    }
}

impl Link {
    /// Returns a link that sends its first probe at `wait_until` and starts slowly, since other devices start in the
    /// same minute.
    #[must_use]
    pub fn after_outage(wait_until: Duration) -> Self {
        Self { wait_until, pace: Pace::gentle(), ..Self::default() }
    }

    /// Returns the state.
    #[must_use]
    pub const fn state(&self) -> LinkState {
        self.state
    }

    /// Returns why the link is not online.
    #[must_use]
    pub const fn reason(&self) -> Option<&Why> {
        self.reason.as_ref()
    }

    /// Decides whether a request may be sent now.
    #[must_use]
    pub fn permit(&self, now: Duration) -> Permit {
        let wait_until = self.wait_until.max(self.told_until);
        if now < wait_until {
            return Permit::WaitUntil(wait_until);
        }
        match (self.state, self.pace.next()) {
            (LinkState::Online, None) => Permit::Send,
            (LinkState::Online, Some(next)) if now < next => Permit::WaitUntil(next),
            (LinkState::Online, Some(_)) => Permit::SendOne,
            _ => Permit::Probe,
        }
    }

    /// Returns the present wait, if there is one; the pause between two paced requests does not count.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Option<LinkWait> {
        let until = self.wait_until.max(self.told_until);
        (now < until).then_some(LinkWait { until, is_told: self.told_until >= self.wait_until })
    }

    /// Notes that a request is being sent.
    pub fn sent(&mut self, now: Duration) {
        self.pace.sent(now);
    }

    /// Notes that the device's network has changed, so Target may be reachable again. Returns true if that brings a
    /// probe forward. A wait that Target asked for continues.
    pub fn network_changed(&mut self, now: Duration) -> bool {
        let is_down = matches!(self.state, LinkState::Offline | LinkState::Blocked);
        let is_recent = self.network_changed.is_some_and(|at| now.saturating_sub(at) < NETWORK_CHANGE_MIN);
        if !is_down || is_recent || now < self.told_until {
            return false;
        }
        self.network_changed = Some(now);
        self.failures = 0;
        self.wait_until = now;
        true
    }

    /// Ends our own wait, because somebody asked for a try now. Returns true if that brings a probe forward. A wait
    /// that Target asked for continues.
    pub fn try_now(&mut self, now: Duration) -> bool {
        let waited = now < self.wait_until;
        self.failures = 0;
        self.wait_until = self.wait_until.min(now);
        waited && now >= self.told_until
    }

    /// Notes that requests now go another way (a changed proxy or endpoint), which makes earlier failures to reach
    /// Target void. Returns true if that brings a probe forward. A wait that Target asked for continues, and so does
    /// the one at start.
    pub fn way_changed(&mut self, now: Duration) -> bool {
        if matches!(self.state, LinkState::Online | LinkState::Unknown) {
            return false;
        }
        // Target's own refusal of the credentials stays valid until it answers otherwise.
        if self.state != LinkState::Paused {
            (self.state, self.reason) = (LinkState::Unknown, None);
        }
        self.try_now(now)
    }

    /// Notes that there are new credentials. Returns true if that brings a probe forward. A wait that Target asked for
    /// continues.
    pub fn credentials_changed(&mut self, now: Duration) -> bool {
        if self.state != LinkState::Paused {
            return false;
        }
        self.failures = 0;
        self.wait_until = now;
        now >= self.told_until
    }

    /// Applies the result of one attempt. `chance` is from 0 up to 1. Returns true if the state or the reason changed.
    pub fn observe(&mut self, signal: Signal, now: Duration, chance: f64) -> bool {
        let before = (self.state, self.reason.clone());
        match signal {
            Signal::Answered => self.answered(now),
            Signal::Throttled(asked) => self.throttled(asked, now, chance),
            Signal::Unreachable(reason) => self.fail(LinkState::Offline, reason, now, chance),
            Signal::Foreign(reason) => self.fail(LinkState::Blocked, reason, now, chance),
            Signal::Unauthorized(reason) => self.fail(LinkState::Paused, reason, now, chance),
            Signal::Failing(reason) => self.failing(reason, now, chance),
        }
        before != (self.state, self.reason.clone())
    }

    fn answered(&mut self, now: Duration) {
        match self.down_since.take() {
            Some(since) if now.saturating_sub(since) >= OUTAGE_MIN => self.pace = Pace::gentle(),
            _ => self.pace.answered(),
        }
        // An answer that was under way when another one was told to wait does not end that wait, nor the count of waits
        // in a row.
        if now >= self.told_until {
            self.throttles = 0;
        }
        self.state = LinkState::Online;
        self.reason = None;
        self.failures = 0;
    }

    /// Waits at least as long as asked, and at least as long as our own backoff after as many refusals: a server that
    /// says "0", or names a time in the past, would otherwise be asked without pause.
    ///
    /// Limits: the requested time is capped at [`RETRY_AFTER_MAX`]. The random extension comes on top, at most a tenth,
    /// since anything below would be less than asked.
    fn throttled(&mut self, asked: Option<Duration>, now: Duration, chance: f64) {
        // Requests that were in flight together are refused together, which counts as one refusal.
        if now >= self.told_until {
            self.throttles = self.throttles.saturating_add(1);
        }
        let wait = backoff(self.throttles, chance).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX));
        let spread = wait.mul_f64(TOLD_SPREAD * chance.clamp(0.0, 1.0));
        // Target itself answered, so the way to it works.
        self.state = LinkState::Online;
        self.reason = None;
        self.told_until = self.told_until.max(now.saturating_add(wait).saturating_add(spread));
    }

    fn failing(&mut self, reason: Why, now: Duration, chance: f64) {
        if self.state == LinkState::Online && self.failures + 1 < FAILURES_OFFLINE {
            self.failures += 1;
        } else {
            self.fail(LinkState::Offline, reason, now, chance);
        }
    }

    fn fail(&mut self, state: LinkState, reason: Why, now: Duration, chance: f64) {
        // Requests that were in flight together fail together, which counts as one failure rather than one per
        // connection.
        let waits_already = self.state == state && now < self.wait_until;
        self.state = state;
        self.reason = Some(reason);
        self.down_since.get_or_insert(now);
        if !waits_already {
            self.failures = self.failures.saturating_add(1);
            self.wait_until = self.wait_until.max(now.saturating_add(backoff(self.failures, chance)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::forwarding::why::Cause;

    const SECOND: Duration = Duration::from_secs(1);

    fn why(words: &str) -> Why {
        Why::new(Cause::Connection, words)
    }

    fn after(signals: Vec<Signal>) -> Link {
        let mut link = Link::default();
        for signal in signals {
            link.observe(signal, Duration::ZERO, 1.0);
        }
        link
    }

    fn unreachable() -> Signal {
        Signal::Unreachable(why("refused"))
    }

    #[test]
    fn there_are_as_many_places_as_connections_and_one_for_a_probe() {
        let check = |permit: Permit, in_flight, places| assert_eq!(permit.places(in_flight, 4), places, "{permit:?}");
        check(Permit::Send, 0, 4);
        check(Permit::Send, 3, 1);
        check(Permit::Send, 4, 0);
        check(Permit::SendOne, 3, 1);
        check(Permit::SendOne, 4, 0);
        check(Permit::Probe, 0, 1);
        check(Permit::Probe, 1, 0);
        check(Permit::WaitUntil(SECOND), 0, 0);
    }

    #[test]
    fn the_first_request_goes_alone() {
        assert_eq!(Link::default().permit(Duration::ZERO), Permit::Probe);
        assert_eq!(after(vec![Signal::Answered]).permit(Duration::ZERO), Permit::Send);
    }

    #[test]
    fn an_unreachable_target_is_offline_at_once_and_probed_after_the_backoff() {
        let link = after(vec![Signal::Answered, unreachable()]);
        assert_eq!((link.state(), link.reason()), (LinkState::Offline, Some(&why("refused"))));
        assert_eq!(link.permit(Duration::ZERO), Permit::WaitUntil(SECOND));
        assert_eq!(link.permit(SECOND), Permit::Probe);
    }

    #[test]
    fn server_errors_take_the_link_offline_only_when_they_repeat() {
        let failing = || Signal::Failing(why("500"));
        assert_eq!(after(vec![Signal::Answered, failing(), failing()]).state(), LinkState::Online);
        assert_eq!(after(vec![Signal::Answered, failing(), failing(), failing()]).state(), LinkState::Offline);
        assert_eq!(after(vec![Signal::Answered, failing(), Signal::Answered, failing()]).state(), LinkState::Online);
        assert_eq!(after(vec![failing()]).state(), LinkState::Offline);
    }

    #[test]
    fn who_wants_it_tried_now_lifts_our_own_wait_and_not_targets() {
        let mut link = after(vec![unreachable(), unreachable()]);
        let wait = link.wait(Duration::ZERO).expect("a wait");
        assert!(!wait.is_told && wait.until > Duration::ZERO);
        assert!(link.try_now(Duration::ZERO));
        assert_eq!((link.wait(Duration::ZERO), link.permit(Duration::ZERO)), (None, Permit::Probe));
        assert_eq!(link.reason(), Some(&why("refused")), "what was found holds until the next answer");
        let mut told = after(vec![Signal::Throttled(Some(SECOND * 60)), unreachable()]);
        assert!(!told.try_now(Duration::ZERO));
        assert!(told.wait(Duration::ZERO).expect("a wait").is_told);
    }

    #[test]
    fn a_wait_that_is_just_over_needs_no_lifting_and_holds_nothing_up() {
        let mut link = after(vec![unreachable()]);
        let until = link.wait(Duration::ZERO).expect("a wait").until;
        assert!(!link.try_now(until));
        let mut told = after(vec![unreachable(), Signal::Throttled(Some(9 * SECOND)), unreachable()]);
        let until = told.wait(Duration::ZERO).expect("a wait").until;
        assert!(told.network_changed(until));
    }

    #[test]
    fn of_another_way_nothing_is_known() {
        let mut link = after(vec![Signal::Foreign(why("portal"))]);
        assert!(link.way_changed(Duration::ZERO));
        assert_eq!((link.state(), link.reason()), (LinkState::Unknown, None));
        let mut link = after(vec![Signal::Answered]);
        assert!(!link.way_changed(Duration::ZERO));
        assert_eq!(link.state(), LinkState::Online);
    }

    #[test]
    fn foreign_answers_block_and_refused_credentials_pause_until_an_answer() {
        let mut link = after(vec![Signal::Foreign(why("portal"))]);
        assert_eq!(link.state(), LinkState::Blocked);
        link.observe(Signal::Unauthorized(why("401")), SECOND, 1.0);
        assert_eq!(link.state(), LinkState::Paused);
        link.observe(Signal::Answered, SECOND, 1.0);
        assert_eq!((link.state(), link.reason()), (LinkState::Online, None));
    }

    /// Returns the wait after these signals, all at time zero and with the same chance.
    fn told_wait(signals: impl IntoIterator<Item = Signal>, chance: f64) -> Duration {
        let mut link = Link::default();
        for signal in signals {
            link.observe(signal, Duration::ZERO, chance);
        }
        match link.permit(Duration::ZERO) {
            Permit::WaitUntil(time) => time,
            permit => panic!("{permit:?}"),
        }
    }

    #[test]
    fn a_throttled_device_waits_as_told_up_to_an_hour_and_a_tenth_more() {
        let wait = |asked, chance| told_wait([Signal::Throttled(Some(asked))], chance);
        assert_eq!(wait(7 * SECOND, 0.0), 7 * SECOND);
        assert_eq!(wait(100 * SECOND, 0.5), 105 * SECOND);
        assert_eq!(wait(Duration::MAX, 0.0), RETRY_AFTER_MAX);
        assert_eq!(wait(Duration::MAX, 1.0), RETRY_AFTER_MAX + RETRY_AFTER_MAX / 10);
    }

    #[test]
    fn a_wait_of_nothing_is_our_own_backoff_for_so_many_refusals_in_a_row() {
        for asked in [None, Some(Duration::ZERO)] {
            let mut link = after(vec![Signal::Answered]);
            let mut now = Duration::ZERO;
            let waits = [1_u64, 1, 4, 16, 64, 75, 75].map(|expected| {
                link.observe(Signal::Throttled(asked), now, 0.0);
                let Permit::WaitUntil(until) = link.permit(now) else { panic!("it waits") };
                let waited = until - now;
                now = until;
                (waited.as_secs(), expected)
            });
            assert!(waits.iter().all(|(waited, expected)| waited == expected), "{waits:?}");
        }
    }

    #[test]
    fn ten_minutes_of_retry_after_0_cost_at_most_fifteen_rounds() {
        let mut link = after(vec![Signal::Answered]);
        let (mut now, mut rounds) = (Duration::ZERO, 0);
        while now <= 600 * SECOND {
            match link.permit(now) {
                Permit::WaitUntil(time) => now = time,
                _ => {
                    rounds += 1;
                    // Four connections are refused together: one refusal, not four.
                    (0..4).for_each(|_| _ = link.observe(Signal::Throttled(Some(Duration::ZERO)), now, 0.0));
                }
            }
        }
        assert!(rounds <= 15, "{rounds} rounds");
    }

    #[test]
    fn refusals_of_requests_in_flight_together_count_once() {
        let four = || std::iter::repeat_n(Signal::Throttled(None), 4);
        assert_eq!(told_wait(four(), 0.0), SECOND);
        let longer = four().chain([Signal::Throttled(Some(9 * SECOND)), Signal::Throttled(None)]);
        assert_eq!(told_wait(longer, 0.0), 9 * SECOND);
    }

    #[test]
    fn an_answer_on_its_way_does_not_lift_the_wait_of_another_nor_end_the_row() {
        let mut link = after(vec![Signal::Answered]);
        let throttle = |link: &mut Link, now| {
            link.observe(Signal::Throttled(None), now, 0.0);
            match link.permit(now) {
                Permit::WaitUntil(until) => until - now,
                permit => panic!("{permit:?}"),
            }
        };
        assert_eq!(throttle(&mut link, Duration::ZERO), SECOND);
        assert_eq!(throttle(&mut link, 10 * SECOND), SECOND);
        link.observe(Signal::Answered, 10 * SECOND + SECOND / 2, 0.0);
        assert_eq!(link.permit(10 * SECOND + SECOND / 2), Permit::WaitUntil(11 * SECOND));
        assert_eq!(throttle(&mut link, 20 * SECOND), 4 * SECOND);
        // An answer after the wait does end it.
        link.observe(Signal::Answered, 30 * SECOND, 0.0);
        assert_eq!(throttle(&mut link, 40 * SECOND), SECOND);
    }

    #[test]
    fn a_told_wait_is_lifted_by_nothing_but_time() {
        let told = || {
            let mut link = after(vec![Signal::Answered]);
            link.observe(Signal::Throttled(Some(100 * SECOND)), Duration::ZERO, 0.0);
            link
        };
        let waits = |link: &Link| link.permit(2 * SECOND) == Permit::WaitUntil(100 * SECOND);

        let mut link = told();
        link.observe(unreachable(), SECOND, 0.0);
        assert!(link.state() == LinkState::Offline && waits(&link), "it went offline meanwhile");
        assert!(!link.network_changed(2 * SECOND));
        assert!(waits(&link), "the network changed");
        assert_eq!(link.permit(100 * SECOND), Permit::Probe);

        let mut link = told();
        link.observe(Signal::Unauthorized(why("401")), SECOND, 0.0);
        assert!(!link.credentials_changed(2 * SECOND));
        assert!(waits(&link), "there are new credentials");
        assert_eq!(link.permit(100 * SECOND), Permit::Probe);

        let mut link = told();
        link.observe(Signal::Answered, SECOND, 0.0);
        assert!(waits(&link), "an answer came");
    }

    #[test]
    fn what_target_asks_for_does_not_count_as_failures_and_the_other_way_round() {
        let failing = || Signal::Failing(why("500"));
        let link =
            after(vec![Signal::Answered, failing(), Signal::Throttled(None), Signal::Throttled(None), failing()]);
        assert_eq!(link.state(), LinkState::Online);
        let link = after(vec![Signal::Answered, unreachable(), unreachable(), Signal::Throttled(Some(SECOND / 2))]);
        // Of our own waits the second is the larger one, by the random extension.
        assert_eq!(link.permit(Duration::ZERO), Permit::WaitUntil(SECOND + SECOND / 10));
    }

    #[test]
    fn after_a_long_outage_sending_begins_with_one_at_a_time_and_after_a_short_one_at_once() {
        let mut link = after(vec![unreachable()]);
        link.observe(Signal::Answered, OUTAGE_MIN - SECOND, 1.0);
        assert_eq!(link.permit(OUTAGE_MIN), Permit::Send);
        link.observe(unreachable(), OUTAGE_MIN, 1.0);
        link.observe(Signal::Answered, OUTAGE_MIN * 2, 1.0);
        assert_eq!(link.permit(OUTAGE_MIN * 2), Permit::SendOne);
        link.sent(OUTAGE_MIN * 2);
        let Permit::WaitUntil(next) = link.permit(OUTAGE_MIN * 2) else { panic!("the next request waits") };
        assert_eq!(link.permit(next), Permit::SendOne);
    }

    #[test]
    fn a_device_that_starts_with_a_backlog_waits_for_its_turn() {
        let mut link = Link::after_outage(7 * SECOND);
        assert_eq!(link.permit(SECOND), Permit::WaitUntil(7 * SECOND));
        assert!(!link.network_changed(SECOND), "its network comes up while it waits");
        assert_eq!(link.permit(7 * SECOND), Permit::Probe);
        link.observe(Signal::Answered, 7 * SECOND, 1.0);
        assert_eq!(link.permit(7 * SECOND), Permit::SendOne);
    }

    #[test]
    fn a_change_of_the_network_brings_a_probe_forward_but_not_one_after_the_other() {
        let mut link = after(vec![unreachable()]);
        for _ in 0..9 {
            link.observe(unreachable(), SECOND, 1.0);
        }
        assert!(link.network_changed(2 * SECOND));
        assert_eq!(link.permit(2 * SECOND), Permit::Probe);
        link.observe(unreachable(), 2 * SECOND, 1.0);
        assert_eq!(link.permit(2 * SECOND), Permit::WaitUntil(3 * SECOND));
        assert!(!link.network_changed(3 * SECOND));
        assert!(link.network_changed(2 * SECOND + NETWORK_CHANGE_MIN));
    }

    #[test]
    fn new_credentials_bring_a_probe_forward_where_the_old_ones_were_refused() {
        let mut link = after(vec![Signal::Unauthorized(why("401"))]);
        assert!(link.credentials_changed(Duration::ZERO));
        assert_eq!(link.permit(Duration::ZERO), Permit::Probe);
        assert!(!after(vec![unreachable()]).credentials_changed(Duration::ZERO));
    }

    #[test]
    fn a_change_of_the_network_lifts_no_wait_that_target_asked_for_and_no_pause() {
        assert!(!after(vec![Signal::Throttled(Some(7 * SECOND))]).network_changed(SECOND));
        assert!(!after(vec![Signal::Throttled(Some(7 * SECOND)), unreachable()]).network_changed(SECOND));
        assert!(!after(vec![Signal::Unauthorized(why("401"))]).network_changed(SECOND));
    }

    #[test]
    fn ten_minutes_of_outage_cost_at_most_fifteen_requests() {
        // Four connections fail at once; then there is one probe at a time. The random number is the worst possible.
        for signal in [unreachable(), Signal::Failing(why("500")), Signal::Foreign(why("portal"))] {
            let mut link = after(vec![Signal::Answered]);
            let (mut now, mut requests) = (Duration::ZERO, 0);
            while now <= 600 * SECOND {
                match link.permit(now) {
                    Permit::WaitUntil(time) => now = time,
                    _ => {
                        requests += if requests == 0 { 4 } else { 1 };
                        link.observe(signal.clone(), now, 0.0);
                    }
                }
            }
            assert!(requests <= 15, "{requests} requests");
        }
    }

    #[test]
    fn what_fails_together_counts_once() {
        let link = after(vec![Signal::Answered, unreachable(), unreachable(), unreachable(), unreachable()]);
        assert_eq!(link.permit(Duration::ZERO), Permit::WaitUntil(SECOND));
    }

    #[test]
    fn a_change_is_told_once() {
        let mut link = Link::default();
        assert!(link.observe(unreachable(), Duration::ZERO, 0.5));
        assert!(!link.observe(unreachable(), Duration::ZERO, 0.5));
        assert!(link.observe(Signal::Answered, Duration::ZERO, 0.5));
    }
}
