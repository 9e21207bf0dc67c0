//! The filters and tests available in expressions; the engine's others are left out.

use jiff::tz::TimeZone;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, filters, tests};

use super::arithmetic;
use super::filter_error::FilterError;
use super::hash::{Encoding, HashKey};
use super::texts;
use crate::core::timestamp::has_plain_offset;

/// Names of all filters.
pub const FILTERS: [&str; 12] =
    ["lower", "upper", "trim", "default", "date", "round", "replace", "split", "first", "last", "length", "hmac"];

/// Names of all tests.
pub const TESTS: [&str; 3] = ["defined", "undefined", "none"];

/// Adds filters and tests to an empty environment.
pub fn install(environment: &mut Environment<'static>, key: Option<HashKey>) {
    environment.add_filter("lower", filters::lower);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("default", filters::default);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("split", filters::split);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("date", date);
    arithmetic::install(environment);
    texts::install(environment);
    if let Some(key) = key {
        environment.add_filter("hmac", move |text: &str| key.hash(text, Encoding::Hex));
    }
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("none", tests::is_none);
}

// By value, because the engine passes arguments that way.
#[allow(clippy::needless_pass_by_value)]
/// Implements `time | date("%F", tz="Europe/Stockholm")`: formats an RFC 3339 time as `strftime` does, in UTC by
/// default.
fn date(time: &str, format: &str, options: Kwargs) -> Result<String, Error> {
    let zone = match options.get::<Option<&str>>("tz")? {
        Some(name) => TimeZone::get(name).map_err(|_| {
            FilterError::new(&format!("\"{name}\" is not a time zone; use a name such as Europe/Stockholm"))
        })?,
        None => TimeZone::UTC,
    };
    options.assert_all_used()?;
    let parsed = time.parse::<jiff::Timestamp>().ok().filter(|_| has_plain_offset(time));
    let time = parsed.ok_or_else(|| FilterError::new("the date filter needs an RFC 3339 time"))?;
    jiff::fmt::strtime::format(format, &time.to_zoned_datetime(zone))
        .map_err(|_| FilterError::new(&format!("\"{format}\" is not a date format; use one such as %Y-%m-%d")).into())
}
