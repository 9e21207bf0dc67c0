//! Short forms for tests of an operation.

use crate::core::operation::rule::{self, Rule};
use crate::core::operation::sent::{Decision, Own, Sent, Shown};
use crate::core::operation::value::{ChangeError, Held, Stamp};
use crate::core::timestamp::Timestamp;

pub const HOUR: i64 = 3_600;

/// Applies changes `(time, operand)` in that order; `seq` is the position.
pub fn run(rule: &dyn Rule, changes: &[(i64, &str)]) -> Result<String, ChangeError> {
    let mut held: Option<Held> = None;
    for (seq, (time, operand)) in changes.iter().enumerate() {
        let stamp = Stamp { time: Timestamp::from_millis(*time), seq: seq as i64 };
        if let Some(next) = rule::change(rule, held.as_ref(), operand, stamp)? {
            held = Some(next);
        }
    }
    Ok(held.map(|held| held.value).unwrap_or_default())
}

pub fn check_change(rule: &dyn Rule, changes: &[(i64, &str)], expected: &str) {
    assert_eq!(run(rule, changes).as_deref(), Ok(expected), "{changes:?}");
}

/// Applies a change to a value that an older version stored.
pub fn after(rule: &dyn Rule, value: &str, items: Option<&str>, time: i64, operand: &str) -> Option<String> {
    let stamp = |time, seq| Stamp { time: Timestamp::from_millis(time), seq };
    let held = Held { value: value.to_owned(), stamp: stamp(5, 1), items: items.map(str::to_owned) };
    rule::change(rule, Some(&held), operand, stamp(time, 2)).expect("valid").map(|held| held.value)
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

pub fn own(value: &str) -> Own<'_> {
    Own { value, version: 9, event_time: at(100), items: None }
}

pub fn sent(value: &str, own: &str, seconds: i64) -> Sent {
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

pub fn lost(value: &str, own: &str, seconds: i64) -> Sent {
    Sent { is_lost: true, ..sent(value, own, seconds) }
}

pub fn shown(value: &str, seconds: i64) -> Shown {
    Shown { value: value.to_owned(), modified_at: Some(at(seconds)), is_whole: false }
}

/// Returns a value whose time cannot be read.
pub fn timeless(value: &str) -> Option<Shown> {
    Some(Shown { value: value.to_owned(), modified_at: None, is_whole: false })
}

/// Returns a value that has only the profile's time.
pub fn whole(value: &str, seconds: i64) -> Option<Shown> {
    Some(Shown { is_whole: true, ..shown(value, seconds) })
}

#[allow(clippy::needless_pass_by_value)]
pub fn check(rule: &dyn Rule, own: Own<'_>, sends: &[Sent], shown: Option<Shown>, decision: Decision, value: &str) {
    let merged = rule::merge(rule, own, sends, shown.as_ref(), None, at(20 * HOUR));
    assert_eq!(merged, (decision, value.to_owned()), "{own:?} after {} sends, {shown:?}", sends.len());
}
