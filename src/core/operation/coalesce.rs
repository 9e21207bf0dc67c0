//! How one change meets the value that an attribute has: the rule of each operation, as one pure function.
//!
//! Nothing here knows of profiles, versions or disks. Whatever the order in which events arrive, the same
//! events give the same value: `set`, `first` and `append` go by event time, the others commute.

use std::fmt;

use rust_decimal::Decimal;

use crate::core::attribute::{Operation, check_value_length};
use crate::core::limits::{APPEND_ITEMS_MAX, ATTRIBUTE_VALUE_CHARS_MAX};
use crate::core::number::Number;
use crate::core::timestamp::Timestamp;

/// Where a change stands in the order of events: by event time, then by the order of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// When the event happened.
    pub time: Timestamp,
    /// The event's number in the journal.
    pub seq: i64,
}

/// What an attribute holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The value, as Target gets it.
    pub value: String,
    /// The event that decided the value.
    pub stamp: Stamp,
    /// What `append` needs to order its list, as JSON of `[time_ms, seq, item]`; none for other operations.
    pub items: Option<String>,
}

/// Applies one change. `None` says that the attribute stays as it is.
///
/// # Errors
/// [`CoalesceError`], when the operand, the held value or their sum is not what the operation needs.
pub fn coalesce(
    held: Option<&Held>,
    operation: Operation,
    operand: &str,
    stamp: Stamp,
) -> Result<Option<Held>, CoalesceError> {
    check_value_length(operand).map_err(|found| CoalesceError::ValueTooLong { found })?;
    match operation {
        Operation::Set => Ok(set(held, operand, stamp)),
        Operation::First => Ok(first(held, operand, stamp)),
        Operation::Add => add(held, operand, stamp),
        Operation::Max => extreme(held, operand, stamp, |new, old| new > old),
        Operation::Min => extreme(held, operand, stamp, |new, old| new < old),
        Operation::Append => append(held, operand, stamp),
    }
}

fn set(held: Option<&Held>, operand: &str, stamp: Stamp) -> Option<Held> {
    match held {
        Some(held) if held.stamp > stamp => None,
        _ => Some(plain(operand.to_owned(), stamp)),
    }
}

fn first(held: Option<&Held>, operand: &str, stamp: Stamp) -> Option<Held> {
    match held {
        // An empty value cannot be delivered: it would hold the place for ever.
        _ if operand.is_empty() => None,
        Some(held) if held.stamp <= stamp && !held.value.is_empty() => None,
        _ => Some(plain(operand.to_owned(), stamp)),
    }
}

fn add(held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, CoalesceError> {
    let step = operand_number(operand)?;
    let Some(held) = held else {
        return Ok(Some(plain(decimal_text(step), stamp)));
    };
    let sum = exact_sum(held_number(held)?, step).ok_or(CoalesceError::SumTooLarge)?;
    Ok(Some(plain(decimal_text(sum), held.stamp.max(stamp))))
}

fn extreme(
    held: Option<&Held>,
    operand: &str,
    stamp: Stamp,
    wins: impl Fn(Decimal, Decimal) -> bool,
) -> Result<Option<Held>, CoalesceError> {
    let new = operand_number(operand)?;
    match held {
        Some(held) if !wins(new, held_number(held)?) => Ok(None),
        _ => Ok(Some(plain(decimal_text(new), stamp))),
    }
}

type Item = (i64, i64, String);

fn append(held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, CoalesceError> {
    if operand.contains(',') {
        return Err(CoalesceError::CommaInItem);
    }
    if operand.is_empty() {
        return Ok(None);
    }
    let mut items = held.map(held_items).unwrap_or_default();
    let item: Item = (stamp.time.as_millis(), stamp.seq, operand.to_owned());
    let place = items.partition_point(|(time, seq, _)| (*time, *seq) <= (item.0, item.1));
    items.insert(place, item);
    while items.len() > APPEND_ITEMS_MAX || list_chars(&items) > ATTRIBUTE_VALUE_CHARS_MAX {
        items.remove(0);
    }
    let newest = items.last().map_or(stamp, |(time, seq, _)| Stamp { time: Timestamp::from_millis(*time), seq: *seq });
    let value = items.iter().map(|(_, _, item)| item.as_str()).collect::<Vec<_>>().join(",");
    let items = serde_json::to_string(&items).expect("numbers and strings are JSON");
    Ok(Some(Held { value, stamp: newest, items: Some(items) }))
}

/// The list with its order. A value that another operation left behind is taken as items of its own time.
fn held_items(held: &Held) -> Vec<Item> {
    let stored = held.items.as_deref().and_then(|items| serde_json::from_str(items).ok());
    let mut items: Vec<Item> = stored.unwrap_or_else(|| {
        let at = (held.stamp.time.as_millis(), held.stamp.seq);
        held.value.split(',').map(|item| (at.0, at.1, item.to_owned())).collect()
    });
    // An older version took empty items in.
    items.retain(|(_, _, item)| !item.is_empty());
    items
}

/// A list as `append` keeps it: the last items that fit, separated by commas.
#[must_use]
pub fn append_list(mut items: Vec<&str>) -> String {
    items.drain(..items.len().saturating_sub(APPEND_ITEMS_MAX));
    while items.iter().map(|item| item.chars().count() + 1).sum::<usize>() > ATTRIBUTE_VALUE_CHARS_MAX + 1 {
        items.remove(0);
    }
    items.join(",")
}

fn list_chars(items: &[Item]) -> usize {
    items.iter().map(|(_, _, item)| item.chars().count() + 1).sum::<usize>().saturating_sub(1)
}

fn plain(value: String, stamp: Stamp) -> Held {
    Held { value, stamp, items: None }
}

fn operand_number(operand: &str) -> Result<Decimal, CoalesceError> {
    number(operand).ok_or(CoalesceError::OperandNotANumber)
}

fn held_number(held: &Held) -> Result<Decimal, CoalesceError> {
    number(&held.value).ok_or(CoalesceError::HeldNotANumber)
}

/// A decimal number of at most 28 digits.
#[must_use]
pub fn number(text: &str) -> Option<Decimal> {
    Number::parse(text.trim())?.to_decimal()
}

/// The sum without a digit lost; none if it has more than 28 of them.
#[must_use]
pub fn exact_sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let sum = a.checked_add(b)?;
    // The decimal type gives up places, without a word, when there is no room for all.
    if sum.scale() == a.scale().max(b.scale()) {
        return Some(sum);
    }
    Number::from(a).plus(&Number::from(b))?.to_decimal()
}

/// A decimal without needless zeros: `99.50` is `99.5`, and there is no `-0`.
#[must_use]
pub fn decimal_text(number: Decimal) -> String {
    number.normalize().to_string()
}

/// Why a change cannot be made. No message repeats a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoalesceError {
    /// The operand of `add`, `max` or `min` is not a plain decimal number.
    OperandNotANumber,
    /// The attribute holds something that is no number, since another operation made it.
    HeldNotANumber,
    /// The sum has more than 28 digits.
    SumTooLarge,
    /// An item of `append` holds the comma that separates items.
    CommaInItem,
    /// The value has more than [`ATTRIBUTE_VALUE_CHARS_MAX`] characters.
    ValueTooLong {
        /// How many it has.
        found: usize,
    },
}

impl fmt::Display for CoalesceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OperandNotANumber => f.write_str("the value is not a decimal number of at most 28 digits"),
            Self::HeldNotANumber => f.write_str(
                "the profile holds a value that is not a number; use another attribute name after changing an operation",
            ),
            Self::SumTooLarge => f.write_str("the sum has more than 28 digits"),
            Self::CommaInItem => f.write_str("the item holds a comma, which separates items; replace it in the mapping"),
            Self::ValueTooLong { found } => {
                write!(f, "the value has {found} characters, at most {ATTRIBUTE_VALUE_CHARS_MAX}; shorten it in the mapping")
            }
        }
    }
}

impl std::error::Error for CoalesceError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies changes `(time, operand)` in that order; seq is the position.
    fn run(operation: Operation, changes: &[(i64, &str)]) -> Result<String, CoalesceError> {
        let mut held: Option<Held> = None;
        for (seq, (time, operand)) in changes.iter().enumerate() {
            let stamp = Stamp { time: Timestamp::from_millis(*time), seq: seq as i64 };
            if let Some(next) = coalesce(held.as_ref(), operation, operand, stamp)? {
                held = Some(next);
            }
        }
        Ok(held.map(|held| held.value).unwrap_or_default())
    }

    fn check(operation: Operation, changes: &[(i64, &str)], expected: &str) {
        assert_eq!(run(operation, changes).as_deref(), Ok(expected), "{} {changes:?}", operation.name());
    }

    #[test]
    fn set_keeps_the_newest_by_event_time_and_the_later_recorded_of_equals() {
        check(Operation::Set, &[(1, "a"), (2, "b")], "b");
        check(Operation::Set, &[(2, "b"), (1, "a")], "b");
        check(Operation::Set, &[(2, "b"), (2, "c")], "c");
    }

    #[test]
    fn first_keeps_the_oldest_by_event_time() {
        check(Operation::First, &[(2, "b"), (1, "a"), (3, "c")], "a");
        check(Operation::First, &[(1, "a"), (1, "b")], "a");
    }

    #[test]
    fn add_is_exact_and_without_needless_zeros() {
        check(Operation::Add, &[(1, "0.1"), (2, "0.2")], "0.3");
        check(Operation::Add, &[(1, "99.50"), (2, "0.50")], "100");
        check(Operation::Add, &[(1, "5"), (2, "-5.0")], "0");
    }

    #[test]
    fn a_sum_that_needs_more_than_28_digits_is_refused_and_never_rounded() {
        assert_eq!(run(Operation::Add, &[(1, "1000"), (2, "1e-28")]), Err(CoalesceError::SumTooLarge));
        assert_eq!(run(Operation::Add, &[(1, "1000"), (2, "-1e-28")]), Err(CoalesceError::SumTooLarge));
        let (large, half) = ("7922816251426433759354395033", ".5");
        let most = format!("{large}{half}");
        assert_eq!(run(Operation::Add, &[(1, &most), (2, "0.05")]), Err(CoalesceError::SumTooLarge));
        check(Operation::Add, &[(1, &most), (2, "0.5")], "7922816251426433759354395034");
        check(Operation::Add, &[(1, "0.9999999999999999999999999999"), (2, "1e-28")], "1");
        check(Operation::Add, &[(1, "1e-28"), (2, "-1e-28")], "0");
        check(Operation::Add, &[(1, "0"), (2, "1.5e1")], "15");
        check(Operation::Add, &[(1, "1.000000000000000000000000000000000"), (2, "1")], "2");
    }

    #[test]
    fn max_and_min_compare_all_digits() {
        check(Operation::Max, &[(1, "1"), (2, "1.0000000000000000000000000001")], "1.0000000000000000000000000001");
        check(Operation::Max, &[(1, "12345678901234567.88"), (2, "12345678901234567.89")], "12345678901234567.89");
        check(Operation::Min, &[(1, "0"), (2, "-1e-28")], "-0.0000000000000000000000000001");
        assert_eq!(run(Operation::Max, &[(1, "1e-29")]), Err(CoalesceError::OperandNotANumber));
    }

    /// Applies a change to a value that an older version stored.
    fn after(value: &str, items: Option<&str>, operation: Operation, time: i64, operand: &str) -> Option<String> {
        let stamp = |time, seq| Stamp { time: Timestamp::from_millis(time), seq };
        let held = Held { value: value.to_owned(), stamp: stamp(5, 1), items: items.map(str::to_owned) };
        coalesce(Some(&held), operation, operand, stamp(time, 2)).expect("valid").map(|held| held.value)
    }

    #[test]
    fn first_ignores_an_empty_value_so_that_the_next_is_delivered() {
        check(Operation::First, &[(1, ""), (2, "Lund")], "Lund");
        check(Operation::First, &[(2, "Lund"), (1, ""), (3, "Ystad")], "Lund");
        assert_eq!(run(Operation::First, &[(1, "")]).as_deref(), Ok(""));
        for time in [4, 5, 6] {
            assert_eq!(after("", None, Operation::First, time, "Lund").as_deref(), Some("Lund"), "{time}");
            assert_eq!(after("", None, Operation::First, time, ""), None, "{time}");
        }
    }

    #[test]
    fn append_adds_no_empty_item_and_drops_those_that_are_held() {
        check(Operation::Append, &[(1, ""), (2, "Lund")], "Lund");
        check(Operation::Append, &[(1, "Lund"), (2, ""), (3, "Ystad")], "Lund,Ystad");
        check(Operation::Append, &[(1, " "), (2, "Lund")], " ,Lund");
        let items = r#"[[1,1,""],[2,1,"Lund"],[3,1,""]]"#;
        assert_eq!(after(",Lund,", Some(items), Operation::Append, 6, "Ystad").as_deref(), Some("Lund,Ystad"));
        assert_eq!(after(",Lund", None, Operation::Append, 6, "Ystad").as_deref(), Some("Lund,Ystad"));
        assert_eq!(after(",Lund,", Some(items), Operation::Append, 6, "").as_deref(), None);
        assert_eq!(run(Operation::Append, &[(1, ",")]), Err(CoalesceError::CommaInItem));
    }

    #[test]
    fn add_refuses_what_it_cannot_add() {
        assert_eq!(run(Operation::Add, &[(1, "many")]), Err(CoalesceError::OperandNotANumber));
        assert_eq!(run(Operation::Add, &[(1, "")]), Err(CoalesceError::OperandNotANumber));
        let most = "79228162514264337593543950335";
        assert_eq!(run(Operation::Add, &[(1, most), (2, most)]), Err(CoalesceError::SumTooLarge));
    }

    #[test]
    fn max_and_min_compare_numbers_and_not_texts() {
        check(Operation::Max, &[(1, "9"), (2, "10"), (3, "2")], "10");
        check(Operation::Min, &[(1, "9"), (2, "10"), (3, "2.0")], "2");
    }

    #[test]
    fn append_orders_by_event_time_and_keeps_the_newest_items() {
        check(Operation::Append, &[(2, "b"), (1, "a"), (3, "c")], "a,b,c");
        let many: Vec<(i64, &str)> = (0..60).map(|time| (time, "x")).collect();
        assert_eq!(run(Operation::Append, &many).expect("valid").split(',').count(), APPEND_ITEMS_MAX);
        assert_eq!(run(Operation::Append, &[(1, "a,b")]), Err(CoalesceError::CommaInItem));
    }

    #[test]
    fn append_never_grows_beyond_what_target_takes() {
        let long = "y".repeat(2_000);
        let value = run(Operation::Append, &[(1, &long), (2, &long), (3, &long)]).expect("valid");
        assert_eq!(value.split(',').count(), 2);
    }

    #[test]
    fn a_value_of_5000_characters_passes_and_one_of_5001_does_not() {
        assert!(run(Operation::Set, &[(1, &"ö".repeat(5_000))]).is_ok());
        assert_eq!(run(Operation::Set, &[(1, &"ö".repeat(5_001))]), Err(CoalesceError::ValueTooLong { found: 5_001 }));
    }
}
