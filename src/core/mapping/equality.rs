//! Equality of values in expressions.

use minijinja::{Error, State, Value};

use super::filter_error::FilterError;
use super::values::{
    NOTATION, THOUSANDS, is_bool, is_doubtful, is_number, is_of_table, is_text, may_be_written_otherwise, number_in,
    number_of,
};

/// Returns true if two values are equal. A text equals a number if it is that number.
///
/// # Errors
/// A text that may be two numbers, or is one in another notation, is compared with a number; or a text is compared with true or false, which would silently be
/// unequal, or a number, of which 1 would silently be true.
pub(super) fn are_equal(state: &State<'_, '_>, a: &Value, b: &Value) -> Result<bool, Error> {
    if is_text(a) && is_number(b) || is_number(a) && is_text(b) {
        if [a, b].into_iter().any(|value| value.as_str().is_some_and(|text| is_doubtful(state, text))) {
            return Err(FilterError::new(THOUSANDS).into());
        }
        if is_of_table(state) && [a, b].into_iter().any(|value| value.as_str().is_some_and(may_be_written_otherwise)) {
            return Err(FilterError::new(NOTATION).into());
        }
        let number = |value| number_of(value).or_else(|| value.as_str().and_then(|text| number_in(state, text)));
        return Ok(number(a).is_some_and(|a| number(b) == Some(a)));
    }
    let other = if is_bool(a) { b } else { a };
    Err(match is_bool(a) || is_bool(b) {
        true if is_text(other) => against_truth("text", "\"true\""),
        true if is_number(other) => against_truth("number", "1"),
        _ => return Ok(a == b),
    })
}

/// Returns true if a value equals one of the others.
///
/// # Errors
/// As for [`are_equal`], where none is the same.
pub(super) fn is_among(
    state: &State<'_, '_>,
    value: &Value,
    others: impl Iterator<Item = Value>,
) -> Result<bool, Error> {
    let mut failed = Ok(false);
    for other in others {
        match are_equal(state, value, &other) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => failed = Err(error),
        }
    }
    failed
}

fn against_truth(what: &str, such: &str) -> Error {
    let words = format!("a {what} is compared with true or false; compare it with a {what}, such as == {such}");
    FilterError::new(&words).into()
}
