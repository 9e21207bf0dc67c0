//! What is known of the way to Target, as a pure state machine: told what happened and when, it says whether
//! sending is allowed, or until when to wait. Clock and chance are arguments; times are monotonic.
//!
//! There are two waits. Our own, the backoff, is ours to lift. The one that Target asked for is lifted by nothing but time.

use std::time::Duration;

use crate::core::forwarding::backoff::backoff;
use crate::core::forwarding::pace::Pace;
use crate::core::limits::{FAILURES_OFFLINE, NETWORK_CHANGE_MIN, OUTAGE_MIN, RETRY_AFTER_MAX};

/// The state of the link, as `status` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// Nothing was tried yet.
    Unknown,
    /// The last answer was Target's own.
    Online,
    /// No answer, or only server errors.
    Offline,
    /// Something between here and Target answers in its place.
    Blocked,
    /// Target does not accept our credentials.
    Paused,
}

impl LinkState {
    /// The name in status and metrics.
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

/// What one attempt says of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Target answered in its own words, yes or no.
    Answered,
    /// Target asks the whole device to wait; none is "as long as you think right".
    Throttled(Option<Duration>),
    /// No connection could be made: nothing else will get through either.
    Unreachable(String),
    /// A lost answer or a server error: perhaps this update alone, perhaps all.
    Failing(String),
    /// An answer that is not Target's, or one refusal for several profiles in a row: it is not about the updates.
    Foreign(String),
    /// 401 or 403.
    Unauthorized(String),
}

/// Permission to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// As many at once as there are connections.
    Send,
    /// One more: after an outage the pace grows by success.
    SendOne,
    /// One request alone, whose answer decides.
    Probe,
    /// Nothing before this much time has passed since the start of the clock.
    WaitUntil(Duration),
}

/// Time for which nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkWait {
    /// Time of its end since the start of the clock.
    pub until: Duration,
    /// True if Target asked for it: nothing but time lifts it.
    pub is_told: bool,
}

/// The largest part by which a wait that Target asked for is spread, so that a whole chain does not come back in one
/// second.
const TOLD_SPREAD: f64 = 0.1;

impl Permit {
    /// Requests that may be sent now, when `in_flight` of at most `connections` are on their way.
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

/// The state machine.
#[derive(Clone, Debug)]
pub struct Link {
    state: LinkState,
    reason: Option<String>,
    failures: u32,
    /// Until when we wait of our own accord.
    wait_until: Duration,
    /// Until when Target has told us to wait.
    told_until: Duration,
    /// Number of times in a row that Target has told us to wait.
    throttles: u32,
    /// Since when it is not online, once it was tried.
    down_since: Option<Duration>,
    pace: Pace,
    /// When a change of the network last brought a probe forward.
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
    /// A link whose first probe waits until then, and which begins gently: other devices start in the same minute.
    #[must_use]
    pub fn after_outage(wait_until: Duration) -> Self {
        Self { wait_until, pace: Pace::gentle(), ..Self::default() }
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> LinkState {
        self.state
    }

    /// Why it is not online, in words for a person.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Returns whether to send now.
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

    /// Returns until when nothing is sent, if that is so; a pause between two requests is none.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Option<LinkWait> {
        let until = self.wait_until.max(self.told_until);
        (now < until).then_some(LinkWait { until, is_told: self.told_until >= self.wait_until })
    }

    /// A request is sent now.
    pub fn sent(&mut self, now: Duration) {
        self.pace.sent(now);
    }

    /// Notes that the device's network has changed: what was out of reach may be there. Tells whether that brings a
    /// probe forward. A wait that Target asked for goes on.
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

    /// Somebody wants it tried now: our own wait is over. Tells whether that brings a probe forward; a wait that Target asked
    /// for goes on.
    pub fn try_now(&mut self, now: Duration) -> bool {
        let waited = now < self.wait_until;
        self.failures = 0;
        self.wait_until = self.wait_until.min(now);
        waited && now >= self.told_until
    }

    /// Notes that it may be reached in another way from now on: that nobody or a stranger answered says nothing any more. Tells
    /// whether that brings a probe forward; a wait that Target asked for goes on, and so does that of the start.
    pub fn way_changed(&mut self, now: Duration) -> bool {
        if matches!(self.state, LinkState::Online | LinkState::Unknown) {
            return false;
        }
        // What Target itself said of the credentials holds until it says another thing.
        if self.state != LinkState::Paused {
            (self.state, self.reason) = (LinkState::Unknown, None);
        }
        self.try_now(now)
    }

    /// Notes that there are new credentials. Tells whether that brings a probe forward. A wait that Target asked for
    /// goes on.
    pub fn credentials_changed(&mut self, now: Duration) -> bool {
        if self.state != LinkState::Paused {
            return false;
        }
        self.failures = 0;
        self.wait_until = now;
        now >= self.told_until
    }

    /// Takes in what an attempt said. `chance` is from 0 up to 1. Tells whether state or reason changed.
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
        // An answer that was on its way while another was told to wait lifts nothing, and ends no row.
        if now >= self.told_until {
            self.throttles = 0;
        }
        self.state = LinkState::Online;
        self.reason = None;
        self.failures = 0;
    }

    /// Waits at least as long as told, and at least as long as our own backoff for so many refusals in a row: a server
    /// that says "0", or names a time that is past, would be asked without end.
    ///
    /// Limits: what is asked is capped at [`RETRY_AFTER_MAX`]; the spread comes on top, since spreading below would be
    /// less than told, so that the wait is never more than a tenth above that.
    fn throttled(&mut self, asked: Option<Duration>, now: Duration, chance: f64) {
        // Requests that were in flight together are refused together: that is one refusal.
        if now >= self.told_until {
            self.throttles = self.throttles.saturating_add(1);
        }
        let wait = backoff(self.throttles, chance).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX));
        let spread = wait.mul_f64(TOLD_SPREAD * chance.clamp(0.0, 1.0));
        // Target itself spoke, so that the way to it is good.
        self.state = LinkState::Online;
        self.reason = None;
        self.told_until = self.told_until.max(now.saturating_add(wait).saturating_add(spread));
    }

    fn failing(&mut self, reason: String, now: Duration, chance: f64) {
        if self.state == LinkState::Online && self.failures + 1 < FAILURES_OFFLINE {
            self.failures += 1;
        } else {
            self.fail(LinkState::Offline, reason, now, chance);
        }
    }

    fn fail(&mut self, state: LinkState, reason: String, now: Duration, chance: f64) {
        // Requests that were in flight together fail together: that is one failure, not one per connection.
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

    const SECOND: Duration = Duration::from_secs(1);

    fn after(signals: Vec<Signal>) -> Link {
        let mut link = Link::default();
        for signal in signals {
            link.observe(signal, Duration::ZERO, 1.0);
        }
        link
    }

    fn unreachable() -> Signal {
        Signal::Unreachable("refused".into())
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
        assert_eq!((link.state(), link.reason()), (LinkState::Offline, Some("refused")));
        assert_eq!(link.permit(Duration::ZERO), Permit::WaitUntil(SECOND));
        assert_eq!(link.permit(SECOND), Permit::Probe);
    }

    #[test]
    fn server_errors_take_the_link_offline_only_when_they_repeat() {
        let failing = || Signal::Failing("500".into());
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
        assert_eq!(link.reason(), Some("refused"), "what was found holds until the next answer");
        let mut told = after(vec![Signal::Throttled(Some(SECOND * 60)), unreachable()]);
        assert!(!told.try_now(Duration::ZERO));
        assert!(told.wait(Duration::ZERO).expect("a wait").is_told);
    }

    #[test]
    fn of_another_way_nothing_is_known() {
        let mut link = after(vec![Signal::Foreign("portal".into())]);
        assert!(link.way_changed(Duration::ZERO));
        assert_eq!((link.state(), link.reason()), (LinkState::Unknown, None));
        let mut link = after(vec![Signal::Answered]);
        assert!(!link.way_changed(Duration::ZERO));
        assert_eq!(link.state(), LinkState::Online);
    }

    #[test]
    fn foreign_answers_block_and_refused_credentials_pause_until_an_answer() {
        let mut link = after(vec![Signal::Foreign("portal".into())]);
        assert_eq!(link.state(), LinkState::Blocked);
        link.observe(Signal::Unauthorized("401".into()), SECOND, 1.0);
        assert_eq!(link.state(), LinkState::Paused);
        link.observe(Signal::Answered, SECOND, 1.0);
        assert_eq!((link.state(), link.reason()), (LinkState::Online, None));
    }

    /// The wait after these signals at zero, each with the same chance.
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
        link.observe(Signal::Unauthorized("401".into()), SECOND, 0.0);
        assert!(!link.credentials_changed(2 * SECOND));
        assert!(waits(&link), "there are new credentials");
        assert_eq!(link.permit(100 * SECOND), Permit::Probe);

        let mut link = told();
        link.observe(Signal::Answered, SECOND, 0.0);
        assert!(waits(&link), "an answer came");
    }

    #[test]
    fn what_target_asks_for_does_not_count_as_failures_and_the_other_way_round() {
        let failing = || Signal::Failing("500".into());
        let link =
            after(vec![Signal::Answered, failing(), Signal::Throttled(None), Signal::Throttled(None), failing()]);
        assert_eq!(link.state(), LinkState::Online);
        let link = after(vec![Signal::Answered, unreachable(), unreachable(), Signal::Throttled(Some(SECOND / 2))]);
        // The second of our own is the larger one by the spread.
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
        assert!(matches!(link.permit(OUTAGE_MIN * 2), Permit::WaitUntil(_)));
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
    }

    #[test]
    fn new_credentials_bring_a_probe_forward_where_the_old_ones_were_refused() {
        let mut link = after(vec![Signal::Unauthorized("401".into())]);
        assert!(link.credentials_changed(Duration::ZERO));
        assert_eq!(link.permit(Duration::ZERO), Permit::Probe);
        assert!(!after(vec![unreachable()]).credentials_changed(Duration::ZERO));
    }

    #[test]
    fn a_change_of_the_network_lifts_no_wait_that_target_asked_for_and_no_pause() {
        assert!(!after(vec![Signal::Throttled(Some(7 * SECOND))]).network_changed(SECOND));
        assert!(!after(vec![Signal::Throttled(Some(7 * SECOND)), unreachable()]).network_changed(SECOND));
        assert!(!after(vec![Signal::Unauthorized("401".into())]).network_changed(SECOND));
    }

    #[test]
    fn ten_minutes_of_outage_cost_at_most_fifteen_requests() {
        // Four connections fail at once; then there is one probe after the other. Chance is at its worst.
        for signal in [unreachable(), Signal::Failing("500".into()), Signal::Foreign("portal".into())] {
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
