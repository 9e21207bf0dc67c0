//! Several devices, one customer: what is sent when Target has a value that others may have written. Pure.
//!
//! Target keeps one value of an attribute, with the time when it was written, and the last sender wins. So what is sent is
//! a state that holds the others' part and ours. Whether what Target shows is others' or our own is decided first, by what
//! we sent lately; each operation then says what follows. It is good, not exact: two devices within the time that a write
//! takes to show can miss each other.

use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::Value;

use crate::core::attribute::Operation;
use crate::core::operation::coalesce::{append_list, decimal_text, exact_sum, number};
use crate::core::timestamp::Timestamp;

/// Time within which a write usually shows. Source: Target Profile API, "usually under an hour".
const SHOWS_WITHIN: Duration = Duration::from_secs(60 * 60);

/// Time within which a request whose answer was lost may still be applied.
pub const LATE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// How far the time of a write may seem to lie before the moment when we sent it: clocks that differ by less than a minute are
/// taken as equal, and what is known of Target's comes from the `Date` of its answers, which a cache may have kept.
const CLOCK_ERROR: Duration = Duration::from_secs(120);

/// Age from which an event gives way to a value whose time Target does not tell.
const OLD_EVENT: Duration = Duration::from_secs(15 * 60);

/// A device's own part of an attribute.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Operation by which events change it.
    pub operation: Operation,
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
    /// Whether it was noted before it was sent.
    pub is_noted: bool,
    /// Time of the value that Target showed when it was made; none where nothing was shown.
    pub seen_at: Option<Timestamp>,
    /// Whether its answer was lost, so that nobody knows whether it was applied, or will be.
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
    /// Whether that is the time of the whole profile, since the attribute has none: it was written no later.
    pub is_whole: bool,
}

impl Shown {
    /// Time of the attribute itself.
    const fn own_time(&self) -> Option<Timestamp> {
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

/// Decides what Target shall hold of one attribute.
///
/// `sends` are the last values that this device sent, oldest first; `gave_way_to` is the value of others that ours gave way to
/// while an attempt of ours was lost; `now` is on Target's clock.
#[must_use]
pub fn merge(
    own: Own<'_>,
    sends: &[Sent],
    shown: Option<&Shown>,
    gave_way_to: Option<&Shown>,
    now: Timestamp,
) -> (Decision, String) {
    let is_total = matches!(own.operation, Operation::Add | Operation::Append);
    // But for totals, what was sent and is not ours was theirs, written again.
    let is_ours = |shown: &Shown| is_own_value(sends.iter().filter(|sent| is_total || sent.value == sent.own), shown);
    if let (Some(shown), Some(theirs)) = (shown, gave_way_to)
        && (shown.value == theirs.value || is_ours(shown))
    {
        let (decision, value) = decide(own, sends, Some(theirs).filter(|theirs| !is_ours(theirs)), now);
        let comes_back = decision == Decision::Superseded && shown.value != value;
        return (if comes_back { Decision::Restored } else { decision }, value);
    }
    // What is our own value says nothing of others. Where the time or the number of the value decides, nothing else matters.
    decide(own, sends, shown.filter(|shown| !is_ours(shown)), now)
}

fn decide(own: Own<'_>, sends: &[Sent], others: Option<&Shown>, now: Timestamp) -> (Decision, String) {
    match own.operation {
        Operation::Set => {
            let wins = |theirs| is_newer(theirs, own, now) || is_over_delivered(theirs, own, sends);
            by_time(own, others, others.is_some_and(wins))
        }
        Operation::First => by_time(own, others, others.is_some_and(|theirs| is_older(theirs, own))),
        Operation::Max => by_number(own, others, |theirs, ours| theirs >= ours),
        Operation::Min => by_number(own, others, |theirs, ours| theirs <= ours),
        // A total also goes on from what we sent last, as long as what is shown is not newer than that.
        Operation::Add => add(own, sends, others.filter(|theirs| is_after_ours(sends, theirs, now))),
        Operation::Append => append(own, sends, others.filter(|theirs| is_after_ours(sends, theirs, now))),
    }
}

/// Whether what Target shows is one of the values that we sent: the last one, one before it that a cache still shows, or one
/// that Target applied late.
fn is_own_value<'s>(mut sends: impl Iterator<Item = &'s Sent>, shown: &Shown) -> bool {
    sends.any(|sent| sent.value == shown.value && shown.own_time().is_none_or(|at| sent.may_stand_since(at)))
}

impl Sent {
    /// Whether it may be what Target shows as written at that time.
    #[must_use]
    pub fn may_stand_since(&self, modified_at: Timestamp) -> bool {
        let late = if self.is_lost { LATE_MAX } else { SHOWS_WITHIN };
        let (first, last) = (second(self.at.minus(CLOCK_ERROR)), second(self.at.plus(late)));
        let modified_at = second(modified_at);
        modified_at <= last && (!self.is_noted || modified_at >= first)
    }
}

/// Whether somebody else wrote it after what we know to have sent. A value whose answer was lost may never have been applied,
/// so that what counts is what was seen when it was made.
fn is_after_ours(sends: &[Sent], theirs: &Shown, now: Timestamp) -> bool {
    let Some(last) = sends.last() else { return true };
    let Some(modified_at) = theirs.own_time() else { return now.since(last.at) >= SHOWS_WITHIN };
    let definite = sends.iter().rfind(|sent| !sent.is_lost).map(|sent| second(sent.at));
    let seen = sends.iter().filter(|sent| sent.is_lost).filter_map(|sent| sent.seen_at).map(|at| second(at) + 1).max();
    definite.max(seen).is_none_or(|known| second(modified_at) >= known)
}

/// What we had sent before a value of others was written: it is in theirs, and nothing that came later is.
fn sent_before<'s>(sends: &'s [Sent], theirs: Option<&Shown>) -> Option<&'s Sent> {
    match theirs.and_then(Shown::own_time) {
        Some(modified_at) => sends.iter().rfind(|sent| second(sent.at) <= second(modified_at)),
        None => sends.last(),
    }
}

/// A time in whole seconds, which is what Target tells.
fn second(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(1_000)
}

fn is_newer(theirs: &Shown, own: Own<'_>, now: Timestamp) -> bool {
    match theirs.modified_at {
        Some(modified_at) => second(modified_at) > second(own.event_time),
        None => now.since(own.event_time) >= OLD_EVENT,
    }
}

/// Whether theirs stands where ours had been delivered: within a second, the event's time alone does not tell.
fn is_over_delivered(theirs: &Shown, own: Own<'_>, sends: &[Sent]) -> bool {
    let delivered = sends.last().filter(|last| !last.is_lost && last.version == own.version);
    let is_since = |sent: &Sent| theirs.own_time().is_some_and(|at| second(at) >= second(sent.at));
    delivered.is_some_and(is_since)
}

fn is_older(theirs: &Shown, own: Own<'_>) -> bool {
    theirs.modified_at.is_none_or(|modified_at| second(modified_at) <= second(own.event_time))
}

fn by_time(own: Own<'_>, theirs: Option<&Shown>, wins: bool) -> (Decision, String) {
    match theirs {
        Some(theirs) if wins => (Decision::Superseded, theirs.value.clone()),
        _ => (Decision::Ours, own.value.to_owned()),
    }
}

fn by_number(own: Own<'_>, theirs: Option<&Shown>, wins: impl Fn(Decimal, Decimal) -> bool) -> (Decision, String) {
    match (theirs, number(own.value)) {
        // What is no number there is nothing to compare with.
        (Some(theirs), Some(ours)) if number(&theirs.value).is_some_and(|theirs| wins(theirs, ours)) => {
            (Decision::Superseded, theirs.value.clone())
        }
        _ => (Decision::Ours, own.value.to_owned()),
    }
}

/// What Target has of others and of us until now, and the part of our sum that is not in it.
fn add(own: Own<'_>, sends: &[Sent], theirs: Option<&Shown>) -> (Decision, String) {
    let sum = || {
        let base = number(base(sends.last(), theirs)?)?;
        let delivered = sent_before(sends, theirs).map_or(Some(Decimal::ZERO), |sent| number(&sent.own))?;
        let undelivered = exact_sum(number(own.value)?, -delivered)?;
        exact_sum(base, undelivered).map(decimal_text)
    };
    together(own, sum())
}

/// The list that Target has, with those of our items after it that are not in it.
fn append(own: Own<'_>, sends: &[Sent], theirs: Option<&Shown>) -> (Decision, String) {
    let last = sends.last();
    // A list that is ours alone is in the order of its events.
    if theirs.is_none() && last.is_none_or(|last| last.value == last.own) {
        return (Decision::Ours, own.value.to_owned());
    }
    let list = || {
        let after = sent_before(sends, theirs).map_or(0, |sent| sent.version);
        let items: Vec<(i64, i64, Value)> = serde_json::from_str(own.items?).ok()?;
        let new = items.iter().filter(|(_, seq, _)| *seq > after).filter_map(|(_, _, item)| item.as_str());
        let held = base(last, theirs)?.split(',').chain(new).filter(|item| !item.is_empty());
        Some(append_list(held.collect()))
    };
    together(own, list())
}

/// The value that ours is added to: theirs where somebody wrote after us, else what we sent last.
fn base<'v>(last: Option<&'v Sent>, theirs: Option<&'v Shown>) -> Option<&'v str> {
    theirs.map(|theirs| theirs.value.as_str()).or_else(|| last.map(|last| last.value.as_str()))
}

fn together(own: Own<'_>, value: Option<String>) -> (Decision, String) {
    match value {
        Some(value) if value != own.value => (Decision::Together, value),
        _ => (Decision::Ours, own.value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn own(operation: Operation, value: &str) -> Own<'_> {
        Own { operation, value, version: 9, event_time: at(100), items: None }
    }

    fn sent(value: &str, own: &str, seconds: i64) -> Sent {
        Sent {
            value: value.to_owned(),
            own: own.to_owned(),
            version: 5,
            at: at(seconds),
            is_noted: true,
            seen_at: None,
            is_lost: false,
        }
    }

    fn lost(value: &str, own: &str, seconds: i64) -> Sent {
        Sent { is_lost: true, ..sent(value, own, seconds) }
    }

    fn shown(value: &str, seconds: i64) -> Shown {
        Shown { value: value.to_owned(), modified_at: Some(at(seconds)), is_whole: false }
    }

    #[allow(clippy::needless_pass_by_value)]
    fn check(own: Own<'_>, sends: &[Sent], shown: Option<Shown>, decision: Decision, value: &str) {
        let shown = shown.as_ref();
        let merged = merge(own, sends, shown, None, at(20 * HOUR));
        assert_eq!(merged, (decision, value.to_owned()), "{own:?} after {} sends, {shown:?}", sends.len());
    }

    #[test]
    fn of_a_set_the_newer_stays() {
        let ours = own(Operation::Set, "Lund");
        check(ours, &[], None, Decision::Ours, "Lund");
        check(ours, &[], Some(shown("Malmö", 99)), Decision::Ours, "Lund");
        check(ours, &[], Some(shown("Malmö", 100)), Decision::Ours, "Lund");
        check(ours, &[], Some(shown("Malmö", 101)), Decision::Superseded, "Malmö");
        check(ours, &[sent("Ystad", "Ystad", 50)], Some(shown("Malmö", 101)), Decision::Superseded, "Malmö");
        check(ours, &[sent("Ystad", "Ystad", 50)], Some(shown("Ystad", 50)), Decision::Ours, "Lund");
        // By the event, and not by when we sent something last.
        check(ours, &[sent("Ystad", "Ystad", 150)], Some(shown("Malmö", 120)), Decision::Superseded, "Malmö");
    }

    #[test]
    fn a_set_of_the_second_in_which_ours_was_delivered_stays() {
        let ours = own(Operation::Set, "Lund");
        let sends = |version, is_lost| [Sent { version, is_lost, ..sent("Lund", "Lund", 100) }];
        check(ours, &sends(9, false), Some(shown("Malmö", 100)), Decision::Superseded, "Malmö");
        check(ours, &sends(9, false), Some(shown("Malmö", 99)), Decision::Ours, "Lund");
        // It may never have been applied, or is an older one that says the same.
        check(ours, &sends(9, true), Some(shown("Malmö", 100)), Decision::Ours, "Lund");
        check(ours, &sends(8, false), Some(shown("Malmö", 100)), Decision::Ours, "Lund");
    }

    #[test]
    fn a_late_set_is_not_left_out_for_our_own_write_whose_answer_was_lost() {
        check(
            own(Operation::Set, "Lund"),
            &[lost("Ystad", "Ystad", 200)],
            Some(shown("Ystad", 200)),
            Decision::Ours,
            "Lund",
        );
    }

    #[test]
    fn what_somebody_else_set_hours_later_is_theirs_though_it_says_what_ours_said() {
        let late = Own { event_time: at(3_000), ..own(Operation::Set, "Lund") };
        let sends = [sent("Ystad", "Ystad", 100)];
        check(late, &sends, Some(shown("Ystad", 8_000)), Decision::Superseded, "Ystad");
        check(late, &sends, Some(shown("Ystad", 3_500)), Decision::Ours, "Lund");
    }

    #[test]
    fn of_first_the_older_stays() {
        let ours = own(Operation::First, "Lund");
        check(ours, &[], Some(shown("Malmö", 100)), Decision::Superseded, "Malmö");
        check(ours, &[], Some(shown("Malmö", 101)), Decision::Ours, "Lund");
        check(ours, &[sent("Ystad", "Ystad", 50)], Some(shown("Ystad", 50)), Decision::Ours, "Lund");
    }

    #[test]
    fn of_max_and_min_the_better_number_stays() {
        check(own(Operation::Max, "9"), &[], Some(shown("10", 1)), Decision::Superseded, "10");
        check(own(Operation::Max, "9"), &[], Some(shown("8.5", 1)), Decision::Ours, "9");
        check(own(Operation::Max, "9"), &[], Some(shown("many", 1)), Decision::Ours, "9");
        check(own(Operation::Min, "9"), &[], Some(shown("10", 1)), Decision::Ours, "9");
        check(own(Operation::Min, "9"), &[], Some(shown("8.5", 1)), Decision::Superseded, "8.5");
    }

    #[test]
    fn to_a_sum_comes_what_was_not_delivered() {
        let ours = own(Operation::Add, "7");
        check(ours, &[], None, Decision::Ours, "7");
        check(ours, &[], Some(shown("5", 1)), Decision::Together, "12");
        check(ours, &[], Some(shown("many", 1)), Decision::Ours, "7");
        // Five of ours are in what we sent; nobody wrote since.
        check(ours, &[sent("5", "5", 200)], Some(shown("5", 200)), Decision::Ours, "7");
        check(ours, &[sent("15", "5", 200)], Some(shown("15", 200)), Decision::Together, "17");
        // Our write does not show yet.
        check(ours, &[sent("15", "5", 200)], Some(shown("10", 150)), Decision::Together, "17");
        check(ours, &[sent("15", "5", 200)], None, Decision::Together, "17");
        // Somebody wrote after us, on top of it.
        check(ours, &[sent("15", "5", 200)], Some(shown("18", 201)), Decision::Together, "20");
        // What was sent before a crash, and arrived, is not added again.
        check(ours, &[sent("17", "7", 200)], Some(shown("17", 201)), Decision::Together, "17");
        let most = "79228162514264337593543950335";
        check(own(Operation::Add, most), &[], Some(shown(most, 1)), Decision::Ours, most);
    }

    #[test]
    fn a_cache_that_shows_one_of_our_older_values_loses_no_count() {
        let sends = [sent("15", "5", 200), sent("16", "6", 200), sent("17", "7", 201)];
        for stale in [shown("15", 200), shown("16", 200), shown("15", 201), shown("16", 201)] {
            check(own(Operation::Add, "8"), &sends, Some(stale), Decision::Together, "18");
        }
    }

    #[test]
    fn a_lost_write_that_is_applied_after_a_newer_one_is_known_as_ours_and_put_right() {
        let sends = [lost("15", "5", 200), sent("16", "6", 260)];
        check(own(Operation::Add, "6"), &sends, Some(shown("15", HOUR)), Decision::Together, "16");
        // Hours later the same number is somebody's.
        check(own(Operation::Add, "6"), &sends, Some(shown("15", 10 * HOUR)), Decision::Together, "15");
    }

    #[test]
    fn what_ours_gave_way_to_is_written_again_where_a_lost_attempt_of_ours_came_over_it() {
        let (ours, theirs) = (own(Operation::Max, "9"), shown("10", 300));
        let sends = [lost("9", "9", 200)];
        let decide = |sends: &[Sent], now: Shown| merge(ours, sends, Some(&now), Some(&theirs), at(20 * HOUR));
        assert_eq!(decide(&sends, theirs.clone()), (Decision::Superseded, "10".to_owned()));
        assert_eq!(decide(&sends, shown("9", HOUR)), (Decision::Restored, "10".to_owned()));
        // Written again by us, it is theirs still.
        let again = [lost("9", "9", 200), sent("10", "9", 300)];
        assert_eq!(decide(&again, shown("10", HOUR)), (Decision::Superseded, "10".to_owned()));
        assert_eq!(decide(&again, shown("9", 2 * HOUR)), (Decision::Restored, "10".to_owned()));
        // Somebody wrote since.
        assert_eq!(decide(&sends, shown("12", HOUR)), (Decision::Superseded, "12".to_owned()));
        assert_eq!(decide(&sends, shown("3", HOUR)), (Decision::Ours, "9".to_owned()));
    }

    #[test]
    fn the_same_number_that_others_wrote_before_our_attempt_is_theirs() {
        // The web site counted one visit, and so did we, half an hour later; our attempt never arrived.
        let sends = [sent("2", "2", 100), Sent { seen_at: Some(at(100)), ..lost("3", "3", 3_600) }];
        check(own(Operation::Add, "3"), &sends, Some(shown("3", 1_800)), Decision::Together, "4");
        // Within the error of what we know of Target's clock it may be ours.
        check(own(Operation::Add, "3"), &sends, Some(shown("3", 3_500)), Decision::Ours, "3");
    }

    #[test]
    fn a_lost_attempt_is_no_reason_to_undo_what_others_wrote_before_it() {
        // Theirs was written after we read, and before our attempt, which may never have been applied.
        let attempt = Sent { seen_at: Some(at(100)), ..lost("15", "5", 200) };
        check(
            own(Operation::Add, "5"),
            std::slice::from_ref(&attempt),
            Some(shown("13", 150)),
            Decision::Together,
            "18",
        );
        // What we had read ourselves is not newer.
        check(
            own(Operation::Add, "5"),
            std::slice::from_ref(&attempt),
            Some(shown("10", 100)),
            Decision::Together,
            "15",
        );
        // What came after the attempt may hold it: it is never counted twice.
        check(own(Operation::Add, "6"), &[attempt], Some(shown("18", 250)), Decision::Together, "19");
    }

    #[test]
    fn a_time_that_cannot_be_read_is_not_1970() {
        let unknown = |value: &str| Some(Shown { value: value.to_owned(), modified_at: None, is_whole: false });
        check(own(Operation::Set, "Lund"), &[], unknown("Malmö"), Decision::Superseded, "Malmö");
        check(own(Operation::First, "Lund"), &[], unknown("Malmö"), Decision::Superseded, "Malmö");
        check(own(Operation::Add, "7"), &[sent("5", "5", 200)], unknown("9"), Decision::Together, "11");
        check(own(Operation::Add, "7"), &[sent("5", "5", 200)], unknown("5"), Decision::Ours, "7");
        // Ours may not show yet.
        check(own(Operation::Add, "7"), &[sent("5", "5", 20 * HOUR - 60)], unknown("9"), Decision::Ours, "7");
        // The profile's own time says at most when others' was written, and nothing of ours.
        let whole = |value: &str| Some(Shown { is_whole: true, ..shown(value, 19 * HOUR) });
        check(own(Operation::Add, "7"), &[sent("5", "5", 200)], whole("5"), Decision::Ours, "7");
        check(own(Operation::First, "Lund"), &[], whole("Malmö"), Decision::Ours, "Lund");
        check(own(Operation::Set, "Lund"), &[], whole("Malmö"), Decision::Superseded, "Malmö");
        let fresh = Own { event_time: at(20 * HOUR - 60), ..own(Operation::Set, "Lund") };
        check(fresh, &[], unknown("Malmö"), Decision::Ours, "Lund");
    }

    #[test]
    fn to_a_list_come_the_items_that_were_not_delivered() {
        let ours = Own { items: Some(r#"[[1,4,"a"],[2,6,"b"]]"#), ..own(Operation::Append, "a,b") };
        check(ours, &[], None, Decision::Ours, "a,b");
        check(ours, &[], Some(shown("x", 1)), Decision::Together, "x,a,b");
        check(ours, &[sent("x,a", "a", 200)], Some(shown("x,a", 200)), Decision::Together, "x,a,b");
        check(ours, &[sent("x,a", "a", 200)], Some(shown("x,a,y", 201)), Decision::Together, "x,a,y,b");
        check(ours, &[sent("x,a", "a", 200)], Some(shown("x", 100)), Decision::Together, "x,a,b");
        // Ours alone, and one came late: the list is in the order of its events.
        check(ours, &[sent("b", "b", 200)], Some(shown("b", 200)), Decision::Ours, "a,b");
    }

    #[test]
    fn a_write_in_the_second_of_ours_is_theirs_unless_it_says_what_ours_said() {
        check(own(Operation::Add, "7"), &[sent("5", "5", 200)], Some(shown("8", 200)), Decision::Together, "10");
    }
}
