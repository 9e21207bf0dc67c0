//! Numbers, texts and truth as values of the engine. A number that a binary float cannot hold becomes a value of its own.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr, ValueKind};
use minijinja::{State, Value};

use crate::core::number::Number;

/// Bound below which all whole numbers are exact binary floats.
const FLOAT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// A number that is neither a binary float nor an integer of the engine.
#[derive(Debug)]
struct ExactNumber(Number);

impl Object for ExactNumber {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Returns a number as expressions see it: a plain one where that has the same digits.
///
/// Each number has only one form, so that the engine's `==` and `in` are right.
#[must_use]
pub fn value_of(number: Number) -> Value {
    let float = number.to_float();
    let is_plain = !number.is_whole() || float.abs() < FLOAT_INTEGER_MAX;
    if is_plain && Number::of_float(float).as_ref() == Some(&number) {
        return Value::from(float);
    }
    number.to_integer().map_or_else(|| Value::from_object(ExactNumber(number)), Value::from)
}

/// Returns true if a number is a binary float as a value, and so may be written as one in an expression.
pub(super) fn is_float(number: &Number) -> bool {
    let value = value_of(number.clone());
    value.is_number() && !value.is_integer()
}

/// Returns the number in a value; `None` if the value is not a finite number.
#[must_use]
pub fn number_of(value: &Value) -> Option<Number> {
    match value.kind() {
        ValueKind::Number if value.is_integer() => Number::parse(&value.to_string()),
        ValueKind::Number => Number::of_float(f64::try_from(value.clone()).ok()?),
        ValueKind::Plain => exact(value).cloned(),
        _ => None,
    }
}

/// Returns the number that is stored as a value of its own.
#[must_use]
pub fn exact(value: &Value) -> Option<&Number> {
    value.downcast_object_ref::<ExactNumber>().map(|exact| &exact.0)
}

/// Clause for a text that is not taken as a number, see [`may_be_thousands`].
pub(super) const THOUSANDS: &str = "a text such as 1.500 of a table is taken as a number, and may be thousands or a fraction; \
     name the column in `numbers`, or add a 0 to a fraction, as in `data.litres ~ '0'`";

/// Clause for a text that is compared with a number, see [`may_be_written_otherwise`].
pub(super) const NOTATION: &str = "a text such as 1,5 or 1 500 of a table is compared with a number, and is not written as a plain one; \
     name the column in `numbers`";

/// Variable that is true where the event is of a table, or may be.
pub(super) const OF_TABLE: &str = "_of_table";

/// Returns the number written in a text: the cells of a table are texts. `None` if the text is no number, or may be two.
pub(super) fn number_in(state: &State<'_, '_>, text: &str) -> Option<Number> {
    if is_doubtful(state, text) { None } else { Number::parse(text.trim()) }
}

/// Returns true for a text such as `1.500` of an event that may be of a table.
pub(super) fn is_doubtful(state: &State<'_, '_>, text: &str) -> bool {
    may_be_thousands(text) && is_of_table(state)
}

/// Returns true if the event may be of a table.
pub(super) fn is_of_table(state: &State<'_, '_>) -> bool {
    state.lookup(OF_TABLE).is_some_and(|of_table| of_table.is_true())
}

/// Returns true for a text that is no plain number and may be one in another notation, such as `1,5`, `1 500`, `5,-`, `(30.00)`, `-5`
/// with a long minus, or `5 €`.
pub(super) fn may_be_written_otherwise(text: &str) -> bool {
    let is_sign = |next: char| {
        next.is_whitespace()
            || matches!(next, '-' | '+' | '\u{2212}' | '\u{2013}' | '(' | ')' | '$' | '€' | '£' | '¥' | '%')
    };
    let digits = text.trim_matches(is_sign);
    let is_part = |next: char| next.is_ascii_digit() || next.is_whitespace() || ".,'’".contains(next);
    digits.contains(|next: char| next.is_ascii_digit())
        && digits.chars().all(is_part)
        && Number::parse(text.trim()).is_none()
}

/// Returns true for a text with one point before its last three digits, such as `1.500`: in a table of half of the world it is 1500.
/// A program writes its numbers in one way.
#[must_use]
pub fn may_be_thousands(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['-', '+']);
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    digits.split_once('.').is_some_and(|(whole, rest)| {
        rest.len() == 3
            && matches!(whole.len(), 1..=3)
            && !whole.starts_with('0')
            && is_digits(whole)
            && is_digits(rest)
    })
}

pub(super) fn is_number(value: &Value) -> bool {
    value.is_number() || exact(value).is_some()
}

pub(super) fn is_text(value: &Value) -> bool {
    value.as_str().is_some()
}

pub(super) fn is_bool(value: &Value) -> bool {
    value.kind() == ValueKind::Bool
}

/// Returns true if the engine orders a number as its digits do: no whole number lies between a fraction and its float.
pub(super) fn is_float_or_small(value: &Value) -> bool {
    value.is_number() && f64::try_from(value.clone()).is_ok_and(|float| float.abs() < FLOAT_INTEGER_MAX)
}

pub(super) fn small_integer(value: &Value) -> Option<i64> {
    if value.is_integer() { i64::try_from(value.clone()).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_may_be_thousands_is_told_from_one_that_is_not() {
        for text in ["1.500", "-12.345", "+999.000", " 1.005 "] {
            assert!(may_be_thousands(text), "{text}");
        }
        for text in
            ["1,5", "1 500", "1.500,00", "5,-", "(30.00)", "12,50-", "\u{2212}5", "5 €", "$5", "1'500.00", "1\u{a0}500"]
        {
            assert!(may_be_written_otherwise(text), "{text}");
        }
        for text in ["1.5", " -5 ", "1e3", "A5", "", "-", "5-6", "2026-11-24", "5 kg"] {
            assert!(!may_be_written_otherwise(text), "{text}");
        }
        for text in ["1.50", "1.5000", "0.500", "1500.000", "01.500", ".500", "1500", "1.5e3"] {
            assert!(!may_be_thousands(text), "{text}");
        }
    }
}
