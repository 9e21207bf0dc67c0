//! What this device sent of an attribute, what Target shows of it, and whose the shown value is.
//!
//! Target keeps one value of an attribute, with the time when it was written, and the last sender wins. So what is sent is
//! a state that holds the others' part and ours. Whether what Target shows is others' or our own is decided first, by what
//! we sent lately; each operation then says what follows. It is good, not exact: two devices within the time that a write
//! takes to show can miss each other.

use std::time::Duration;

use crate::core::timestamp::Timestamp;

/// Time within which a write usually shows. Source: Target Profile API, "usually under an hour".
const SHOWS_WITHIN: Duration = Duration::from_secs(60 * 60);

/// Time within which a request whose answer was lost may still be applied.
pub const LATE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// How far the time of a write may seem to lie before the moment when we sent it: clocks that differ by less than a
/// minute are taken as equal, and what is known of Target's comes from the `Date` of its answers, which a cache may
/// have kept.
const CLOCK_ERROR: Duration = Duration::from_secs(120);

/// A device's own part of an attribute.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Value over this device's events alone.
    pub value: &'a str,
    /// Version of that value: the number of the newest event in it.
    pub version: i64,
    /// Time of the event that decided it, on Target's clock.
    pub event_time: Timestamp,
    /// Items of an `append`, as JSON of `[time_ms, seq, item]`.
    pub items: Option<&'a str>,
}

/// A value that this device sent, or was about to.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// Value as it was sent, with the others' part.
    pub value: String,
    /// This device's own value at that time.
    pub own: String,
    /// Version of the own value: the number of the newest event in it.
    pub version: i64,
    /// Time before it was sent, on Target's clock; or later, where it was not noted then.
    pub at: Timestamp,
    /// True if it was noted before it was sent.
    pub is_noted: bool,
    /// Time of the value that Target showed when it was made; none where nothing was shown.
    pub seen_at: Option<Timestamp>,
    /// True if its answer was lost, so that nobody knows whether it was applied, or will be.
    pub is_lost: bool,
}

// Nobody's values may reach a log.
impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("version", &self.version).field("is_lost", &self.is_lost).finish_non_exhaustive()
    }
}

/// A value as Target shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Value.
    pub value: String,
    /// Time when it was written, on Target's clock, in whole seconds; none where it cannot be read.
    pub modified_at: Option<Timestamp>,
    /// True if that is the time of the whole profile, since the attribute has none: it was written no later.
    pub is_whole: bool,
}

impl Shown {
    /// Time of the attribute itself.
    pub(super) const fn own_time(&self) -> Option<Timestamp> {
        if self.is_whole { None } else { self.modified_at }
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Ours is sent as it is.
    Ours,
    /// Theirs and ours are sent together.
    Together,
    /// Theirs stays, and ours is left out.
    Superseded,
    /// An attribute that this device does not write is carried along in a batch, which would remove it otherwise.
    Carried,
    /// Theirs is written again: ours had given way to it, and an attempt of ours came late over it.
    Restored,
}

impl Decision {
    /// All decisions, by the number under which they are stored.
    pub const ALL: [Self; 5] = [Self::Ours, Self::Together, Self::Superseded, Self::Carried, Self::Restored];

    /// As a clause for a person.
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

    /// The number under which it is stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The decision of a stored number.
    #[must_use]
    pub fn of_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|place| Self::ALL.get(place)).copied()
    }
}

/// Returns whether what Target shows is one of the values that we sent: the last one, one before it that a cache still
/// shows, or one that Target applied late.
pub(super) fn is_own_value<'s>(mut sends: impl Iterator<Item = &'s Sent>, shown: &Shown) -> bool {
    sends.any(|sent| sent.value == shown.value && shown.own_time().is_none_or(|at| sent.may_stand_since(at)))
}

impl Sent {
    /// Returns whether it may be what Target shows as written at that time.
    #[must_use]
    pub fn may_stand_since(&self, modified_at: Timestamp) -> bool {
        let late = if self.is_lost { LATE_MAX } else { SHOWS_WITHIN };
        let (first, last) = (second(self.at.minus(CLOCK_ERROR)), second(self.at.plus(late)));
        let modified_at = second(modified_at);
        modified_at <= last && (!self.is_noted || modified_at >= first)
    }
}

/// Returns whether somebody else wrote it after what we know to have sent. A value whose answer was lost may never have
/// been applied, so that what counts is what was seen when it was made.
pub(super) fn is_after_ours(sends: &[Sent], theirs: &Shown, now: Timestamp) -> bool {
    let Some(last) = sends.last() else { return true };
    let Some(modified_at) = theirs.own_time() else { return now.since(last.at) >= SHOWS_WITHIN };
    let definite = sends.iter().rfind(|sent| !sent.is_lost).map(|sent| second(sent.at));
    let seen = sends.iter().filter(|sent| sent.is_lost).filter_map(|sent| sent.seen_at).map(|at| second(at) + 1).max();
    definite.max(seen).is_none_or(|known| second(modified_at) >= known)
}

/// What we had sent before a value of others was written: it is in theirs, and nothing that came later is.
pub(super) fn sent_before<'s>(sends: &'s [Sent], theirs: Option<&Shown>) -> Option<&'s Sent> {
    match theirs.and_then(Shown::own_time) {
        Some(modified_at) => sends.iter().rfind(|sent| second(sent.at) <= second(modified_at)),
        None => sends.last(),
    }
}

/// A time in whole seconds, which is what Target tells.
pub(super) fn second(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(1_000)
}

/// Value that ours is added to: theirs where somebody wrote after us, else what we sent last.
pub(super) fn base<'v>(last: Option<&'v Sent>, theirs: Option<&'v Shown>) -> Option<&'v str> {
    theirs.map(|theirs| theirs.value.as_str()).or_else(|| last.map(|last| last.value.as_str()))
}

/// The decision to send a total of others and ours; ours alone where there is none.
pub(super) fn together(own: Own<'_>, value: Option<String>) -> (Decision, String) {
    match value {
        Some(value) if value != own.value => (Decision::Together, value),
        _ => (Decision::Ours, own.value.to_owned()),
    }
}

/// The decision that theirs or ours stays alone.
pub(super) fn either(own: Own<'_>, theirs: Option<&Shown>, wins: impl Fn(&Shown) -> bool) -> (Decision, String) {
    match theirs {
        Some(theirs) if wins(theirs) => (Decision::Superseded, theirs.value.clone()),
        _ => (Decision::Ours, own.value.to_owned()),
    }
}
