//! The values that this device sent of an attribute, the value that Target shows, and who wrote that value.
//!
//! Target keeps one value of an attribute, with the time of writing, and the last writer wins. So the value that we
//! send combines the others' part and ours. From what we sent lately it is decided first whether the value that Target
//! shows is ours or somebody else's; each operation then decides what follows. This is good but not exact: two devices
//! can miss each other's writes within the time that a write takes to show.

use std::time::Duration;

use crate::core::timestamp::Timestamp;

/// Time within which a write usually shows. Source: Target Profile API, "usually under an hour".
const SHOWS_WITHIN: Duration = Duration::from_secs(60 * 60);

/// Time within which a request whose answer was lost may still be applied.
pub const LATE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// Largest time by which a write may appear to precede our request. Clocks that differ by less than a minute count
/// as equal, and Target's clock is known from the `Date` of its answers, which a cache may have kept.
const CLOCK_ERROR: Duration = Duration::from_secs(120);

/// A device's own part of an attribute.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Value from this device's events only.
    pub value: &'a str,
    /// Version of that value: the number of its newest event.
    pub version: i64,
    /// Time of the event that decided the value, on Target's clock.
    pub event_time: Timestamp,
    /// Items of an `append`, as JSON of `[time_ms, seq, item]`.
    pub items: Option<&'a str>,
}

/// A value that this device sent or was about to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// Value as sent, including the others' part.
    pub value: String,
    /// This device's own value at that time.
    pub own: String,
    /// Version of the own value: the number of its newest event.
    pub version: i64,
    /// Time before it was sent, on Target's clock; a later time if it was not recorded then.
    pub at: Timestamp,
    /// True if it was recorded before it was sent.
    pub is_noted: bool,
    /// Time of the value that Target showed when this one was computed; `None` if it showed none.
    pub seen_at: Option<Timestamp>,
    /// True if the answer was lost, so that it may or may not be applied, perhaps later.
    pub is_lost: bool,
}

// Values are personal data and must not reach a log.
impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("version", &self.version).field("is_lost", &self.is_lost).finish_non_exhaustive()
    }
}

/// A value as Target shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The value itself.
    pub value: String,
    /// Time of writing on Target's clock, in whole seconds; `None` if it cannot be read.
    pub modified_at: Option<Timestamp>,
    /// True if that is the time of the whole profile, because the attribute has none: it was written no later.
    pub is_whole: bool,
}

impl Shown {
    /// Returns the time of the attribute itself.
    pub(super) const fn own_time(&self) -> Option<Timestamp> {
        if self.is_whole { None } else { self.modified_at }
    }
}

/// The decision on which value to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Ours is sent unchanged.
    Ours,
    /// Theirs and ours are combined and sent.
    Together,
    /// Theirs stays; ours is left out.
    Superseded,
    /// An attribute that this device does not write is included in a batch, which would remove it otherwise.
    Carried,
    /// Theirs is written again: ours had given way to it, but a late attempt of ours overwrote it.
    Restored,
}

impl Decision {
    /// All decisions, by the number under which they are stored.
    pub const ALL: [Self; 5] = [Self::Ours, Self::Together, Self::Superseded, Self::Carried, Self::Restored];

    /// Returns the decision as a clause for a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ours => "ours goes out as it is",
            Self::Together => "theirs and ours go out together",
            Self::Superseded => "theirs wins, and ours is left out",
            Self::Carried => "carried along in a batch",
            Self::Restored => "theirs is written again, since an attempt of ours came late over it",
        }
    }

    /// Returns the number under which it is stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// Returns the decision with a stored number.
    #[must_use]
    pub fn of_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|place| Self::ALL.get(place)).copied()
    }
}

/// Returns true if the value that Target shows is one of ours: the last one, an earlier one from a cache, or one that
/// Target applied late.
pub(super) fn is_own_value<'s>(mut sends: impl Iterator<Item = &'s Sent>, shown: &Shown) -> bool {
    sends.any(|sent| sent.value == shown.value && shown.own_time().is_none_or(|at| sent.may_stand_since(at)))
}

impl Sent {
    /// Returns true if Target may show this value as written at `modified_at`.
    #[must_use]
    pub fn may_stand_since(&self, modified_at: Timestamp) -> bool {
        let late = if self.is_lost { LATE_MAX } else { SHOWS_WITHIN };
        let (first, last) = (second(self.at.minus(CLOCK_ERROR)), second(self.at.plus(late)));
        let modified_at = second(modified_at);
        modified_at <= last && (!self.is_noted || modified_at >= first)
    }
}

/// Returns true if somebody else wrote it after the last value that we know was applied. A value whose answer was lost
/// may never have been applied, so the value seen when it was computed counts instead.
pub(super) fn is_after_ours(sends: &[Sent], theirs: &Shown, now: Timestamp) -> bool {
    let Some(last) = sends.last() else { return true };
    let Some(modified_at) = theirs.own_time() else { return now.since(last.at) >= SHOWS_WITHIN };
    let definite = sends.iter().rfind(|sent| !sent.is_lost).map(|sent| second(sent.at));
    let seen = sends.iter().filter(|sent| sent.is_lost).filter_map(|sent| sent.seen_at).map(|at| second(at) + 1).max();
    definite.max(seen).is_none_or(|known| second(modified_at) >= known)
}

/// Returns the last value sent before somebody else's was written: theirs includes it, and nothing that we sent later.
pub(super) fn sent_before<'s>(sends: &'s [Sent], theirs: Option<&Shown>) -> Option<&'s Sent> {
    match theirs.and_then(Shown::own_time) {
        Some(modified_at) => sends.iter().rfind(|sent| second(sent.at) <= second(modified_at)),
        None => sends.last(),
    }
}

/// Returns a time in whole seconds, the precision of Target's times.
pub(super) fn second(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(1_000)
}

/// Returns the value that ours is added to: theirs if somebody wrote after us, otherwise what we sent last.
pub(super) fn base<'v>(last: Option<&'v Sent>, theirs: Option<&'v Shown>) -> Option<&'v str> {
    theirs.map(|theirs| theirs.value.as_str()).or_else(|| last.map(|last| last.value.as_str()))
}

/// Returns the decision to send a total of others and ours; only ours if there is no other.
pub(super) fn together(own: Own<'_>, value: Option<String>) -> (Decision, String) {
    match value {
        Some(value) if value != own.value => (Decision::Together, value),
        _ => (Decision::Ours, own.value.to_owned()),
    }
}

/// Returns the decision to keep either theirs or ours.
pub(super) fn either(own: Own<'_>, theirs: Option<&Shown>, wins: impl Fn(&Shown) -> bool) -> (Decision, String) {
    match theirs {
        Some(theirs) if wins(theirs) => (Decision::Superseded, theirs.value.clone()),
        _ => (Decision::Ours, own.value.to_owned()),
    }
}
