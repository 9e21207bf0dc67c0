//! The rules of expressions for values taken as a text, and as true or false.
//!
//! The engine writes null as "none" and an object as its JSON where a filter needs a text, and takes each text but the empty one
//! as true. So `rewrite` puts the filters of this file before those, and in the place of `~`.

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::filter_error::FilterError;
use super::values::exact;

/// The filter that makes a text of what another filter needs one of.
pub(super) const TEXT: &str = "_text";

/// The filter that takes the place of `~`.
pub(super) const JOIN: &str = "_join";

/// The filter that lets through what may count as true or false.
pub(super) const TRUTH: &str = "_truth";

/// The filters that take a text.
pub(super) const OF_TEXTS: [&str; 6] = ["lower", "upper", "trim", "replace", "split", "hmac"];

/// Adds them.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(
        TEXT,
        |value: Value| if value.as_str().is_some() { Ok(value) } else { text(&value).map(Value::from) },
    );
    environment.add_filter(JOIN, |a: Value, b: Value| Ok::<_, Error>(text(&a)? + &text(&b)?));
    environment.add_filter(TRUTH, |value: Value| match check_truth(&value) {
        Ok(()) => Ok(value),
        Err(words) => Err(Error::from(FilterError::new(words))),
    });
}

/// The text that a value is, or that a number is written as.
fn text(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let kind = value.kind();
    if !matches!(kind, ValueKind::String | ValueKind::Number) && exact(value).is_none() {
        let found = if kind == ValueKind::Bool { "true or false" } else { kind_name(kind) };
        let words = format!(
            "a text is needed, and there is {found}; use a `when`, or choose a text, as in `'x' if … else 'y'`"
        );
        return Err(FilterError::new(&words).into());
    }
    text_of(value).map_err(|words| FilterError::new(&words).into())
}

/// Refuses a text: "false" and "0" would be true.
///
/// # Errors
/// A clause for a person.
pub(super) fn check_truth(value: &Value) -> Result<(), &'static str> {
    match value.kind() {
        ValueKind::String => Err("a text is used as true or false; compare it, such as == \"true\" or != \"\""),
        _ => Ok(()),
    }
}

/// Refuses all but true and false: 1 may be how some software writes true, or the number of a choice.
///
/// # Errors
/// A clause for a person.
pub(super) fn check_consent(value: &Value) -> Result<(), String> {
    check_truth(value)?;
    let kind = match value.kind() {
        ValueKind::Bool => return Ok(()),
        _ if value.is_number() || exact(value).is_some() => "a number",
        kind => kind_name(kind),
    };
    Err(format!("it must be true or false, and is {kind}; compare it, such as == 1"))
}

/// Returns the text of a scalar, as every attribute reaches Target.
///
/// # Errors
/// A clause that names the kind of a value without a text.
pub fn text_of(value: &Value) -> Result<String, String> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number if value.is_integer() => Ok(value.to_string()),
        ValueKind::Number => f64::try_from(value.clone())
            .ok()
            .filter(|number| number.is_finite())
            .map(float_text)
            .ok_or_else(|| "the number is not finite".to_owned()),
        kind => exact(value)
            .map(ToString::to_string)
            .ok_or_else(|| format!("the value is {}, which has no text; choose a field of it", kind_name(kind))),
    }
}

/// Writes a float as the shortest decimal that is read as the same float, which is how it was written. There is no
/// `-0`.
fn float_text(number: f64) -> String {
    if number == 0.0 { "0".to_owned() } else { number.to_string() }
}

fn kind_name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::None => "null",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "an object",
        _ => "not a scalar",
    }
}
