//! Several devices, one customer: what is sent when Target has a value that others may have written. Pure.
//!
//! Target keeps one value of an attribute, with the time when it was written, and the last sender wins. So what is sent is
//! a state that holds the others' part and ours. It is good, not exact: two devices within the time that a write takes to
//! show can miss each other. Source: contract, section 6.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::attribute::Operation;
use crate::coalesce::{append_list, decimal_text, number};
use crate::timestamp::Timestamp;

/// What this device holds of an attribute.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// How events change it.
    pub operation: Operation,
    /// The value over this device's events alone.
    pub value: &'a str,
    /// The time of the event that decided it, on Target's clock.
    pub event_time: Timestamp,
    /// What `append` knows of its items, as JSON of `[time_ms, seq, item]`.
    pub items: Option<&'a str>,
}

/// What this device sent last, or was about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What was sent.
    pub value: String,
    /// This device's own value at that time.
    pub own: String,
    /// Its version: the number of the newest event in it.
    pub version: i64,
    /// When, on Target's clock.
    pub at: Timestamp,
}

/// What Target shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The value.
    pub value: String,
    /// When it was written, on Target's clock, in whole seconds. None is unknown, and so may be later than anything of ours.
    pub modified_at: Option<Timestamp>,
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
}

impl Decision {
    /// All decisions, by the number under which they are stored.
    pub const ALL: [Self; 4] = [Self::Ours, Self::Together, Self::Superseded, Self::Carried];

    /// As a clause for a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ours => "ours was sent as it is",
            Self::Together => "theirs and ours were sent together",
            Self::Superseded => "theirs wins, and ours was left out",
            Self::Carried => "carried along in a batch",
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
#[must_use]
pub fn merge(own: Own<'_>, sent: Option<&Sent>, shown: Option<&Shown>) -> (Decision, String) {
    let theirs = shown.filter(|shown| !is_ours(sent, shown));
    match own.operation {
        Operation::Set => by_time(own, theirs, |theirs| theirs > own.event_time),
        Operation::First => by_time(own, theirs, |theirs| theirs <= own.event_time),
        Operation::Max => by_number(own, theirs, |theirs, ours| theirs >= ours),
        Operation::Min => by_number(own, theirs, |theirs, ours| theirs <= ours),
        Operation::Add => add(own, sent, theirs),
        Operation::Append => append(own, sent, theirs),
    }
}

/// Whether what Target shows is what we sent, or older than that: a write takes up to a day to show.
fn is_ours(sent: Option<&Sent>, shown: &Shown) -> bool {
    let second = |time: Timestamp| time.as_millis().div_euclid(1_000);
    let is_older = |sent: &Sent| shown.modified_at.is_some_and(|at| second(at) < second(sent.at));
    sent.is_some_and(|sent| sent.value == shown.value || is_older(sent))
}

fn by_time(own: Own<'_>, theirs: Option<&Shown>, wins: impl Fn(Timestamp) -> bool) -> (Decision, String) {
    match theirs {
        Some(theirs) if wins(theirs.modified_at.unwrap_or(Timestamp::from_millis(i64::MAX))) => {
            (Decision::Superseded, theirs.value.clone())
        }
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
fn add(own: Own<'_>, sent: Option<&Sent>, theirs: Option<&Shown>) -> (Decision, String) {
    let base = theirs.map(|theirs| theirs.value.as_str()).or_else(|| sent.map(|sent| sent.value.as_str()));
    let sum = || {
        let delivered = sent.map_or(Some(Decimal::ZERO), |sent| number(&sent.own))?;
        let undelivered = number(own.value)?.checked_sub(delivered)?;
        number(base?)?.checked_add(undelivered).map(decimal_text)
    };
    together(own, sum())
}

/// The list that Target has, with those of our items after it that are not in it.
fn append(own: Own<'_>, sent: Option<&Sent>, theirs: Option<&Shown>) -> (Decision, String) {
    let base = theirs.map(|theirs| theirs.value.as_str()).or_else(|| sent.map(|sent| sent.value.as_str()));
    let list = || {
        let after = sent.map_or(0, |sent| sent.version);
        let items: Vec<(i64, i64, Value)> = serde_json::from_str(own.items?).ok()?;
        let new = items.iter().filter(|(_, seq, _)| *seq > after).filter_map(|(_, _, item)| item.as_str());
        let held = base?.split(',').filter(|item| !item.is_empty());
        Some(append_list(held.chain(new).collect()))
    };
    together(own, list())
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

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn own(operation: Operation, value: &str) -> Own<'_> {
        Own { operation, value, event_time: at(100), items: None }
    }

    fn sent(value: &str, own: &str, seconds: i64) -> Sent {
        Sent { value: value.to_owned(), own: own.to_owned(), version: 5, at: at(seconds) }
    }

    fn shown(value: &str, seconds: i64) -> Shown {
        Shown { value: value.to_owned(), modified_at: Some(at(seconds)) }
    }

    #[allow(clippy::needless_pass_by_value)] // So that a row of the table is a line.
    fn check(own: Own<'_>, sent: Option<Sent>, shown: Option<Shown>, decision: Decision, value: &str) {
        let found = merge(own, sent.as_ref(), shown.as_ref());
        assert_eq!(found, (decision, value.to_owned()), "{own:?} {sent:?} {shown:?}");
    }

    #[test]
    fn of_set_the_newer_stays() {
        let ours = own(Operation::Set, "Lund");
        check(ours, None, None, Decision::Ours, "Lund");
        check(ours, None, Some(shown("Malmö", 99)), Decision::Ours, "Lund");
        check(ours, None, Some(shown("Malmö", 100)), Decision::Ours, "Lund");
        check(ours, None, Some(shown("Malmö", 101)), Decision::Superseded, "Malmö");
        // What we wrote late ourselves is not somebody else's.
        check(ours, Some(sent("Ystad", "Ystad", 200)), Some(shown("Ystad", 200)), Decision::Ours, "Lund");
        check(ours, Some(sent("Ystad", "Ystad", 200)), Some(shown("Malmö", 150)), Decision::Ours, "Lund");
        check(ours, Some(sent("Ystad", "Ystad", 200)), Some(shown("Malmö", 201)), Decision::Superseded, "Malmö");
    }

    #[test]
    fn of_first_the_older_stays() {
        let ours = own(Operation::First, "Lund");
        check(ours, None, None, Decision::Ours, "Lund");
        check(ours, None, Some(shown("Malmö", 100)), Decision::Superseded, "Malmö");
        check(ours, None, Some(shown("Malmö", 101)), Decision::Ours, "Lund");
        check(ours, Some(sent("Ystad", "Ystad", 50)), Some(shown("Ystad", 50)), Decision::Ours, "Lund");
    }

    #[test]
    fn of_max_and_min_the_better_number_stays() {
        check(own(Operation::Max, "9"), None, Some(shown("10", 1)), Decision::Superseded, "10");
        check(own(Operation::Max, "9"), None, Some(shown("8.5", 1)), Decision::Ours, "9");
        check(own(Operation::Max, "9"), None, Some(shown("many", 1)), Decision::Ours, "9");
        check(own(Operation::Min, "9"), None, Some(shown("10", 1)), Decision::Ours, "9");
        check(own(Operation::Min, "9"), None, Some(shown("8.5", 1)), Decision::Superseded, "8.5");
    }

    #[test]
    fn to_a_sum_comes_what_was_not_delivered() {
        let ours = own(Operation::Add, "7");
        check(ours, None, None, Decision::Ours, "7");
        check(ours, None, Some(shown("5", 1)), Decision::Together, "12");
        check(ours, None, Some(shown("many", 1)), Decision::Ours, "7");
        // Five of ours are in what we sent; nobody wrote since.
        check(ours, Some(sent("5", "5", 200)), Some(shown("5", 200)), Decision::Ours, "7");
        check(ours, Some(sent("15", "5", 200)), Some(shown("15", 200)), Decision::Together, "17");
        // Our write does not show yet.
        check(ours, Some(sent("15", "5", 200)), Some(shown("10", 150)), Decision::Together, "17");
        check(ours, Some(sent("15", "5", 200)), None, Decision::Together, "17");
        // Somebody wrote after us, on top of it.
        check(ours, Some(sent("15", "5", 200)), Some(shown("18", 201)), Decision::Together, "20");
        // What was sent before a crash, and arrived, is not added again.
        check(ours, Some(sent("17", "7", 200)), Some(shown("17", 201)), Decision::Together, "17");
        let most = "79228162514264337593543950335";
        check(own(Operation::Add, most), None, Some(shown(most, 1)), Decision::Ours, most);
    }

    #[test]
    fn to_a_list_come_the_items_that_were_not_delivered() {
        let ours = Own { items: Some(r#"[[1,4,"a"],[2,6,"b"]]"#), ..own(Operation::Append, "a,b") };
        check(ours, None, None, Decision::Ours, "a,b");
        check(ours, None, Some(shown("x", 1)), Decision::Together, "x,a,b");
        check(ours, Some(sent("x,a", "a", 200)), Some(shown("x,a", 200)), Decision::Together, "x,a,b");
        check(ours, Some(sent("x,a", "a", 200)), Some(shown("x,a,y", 201)), Decision::Together, "x,a,y,b");
        check(ours, Some(sent("x,a", "a", 200)), Some(shown("x", 100)), Decision::Together, "x,a,b");
    }

    #[test]
    fn a_write_of_unknown_time_is_newer_than_ours() {
        let theirs = || Some(Shown { value: "9".to_owned(), modified_at: None });
        check(own(Operation::Set, "7"), None, theirs(), Decision::Superseded, "9");
        check(own(Operation::First, "7"), None, theirs(), Decision::Ours, "7");
        check(own(Operation::Add, "7"), Some(sent("5", "5", 200)), theirs(), Decision::Together, "11");
    }

    #[test]
    fn a_write_in_the_second_of_ours_is_theirs_unless_it_says_what_ours_said() {
        let ours = own(Operation::Add, "7");
        check(ours, Some(sent("5", "5", 200)), Some(shown("8", 200)), Decision::Together, "10");
    }
}
