//! Query parameters. An invalid one is named, with the value given and what is required.

use std::str::FromStr;

use axum::http::StatusCode;

use super::content::shown;
use super::problem::Problem;

/// Parameters as given, in order.
pub(super) type Parameters = Vec<(String, String)>;

/// Returns the only parameter of a path, or its default.
///
/// # Errors
/// 400 for an invalid value, a repeated parameter, or another name.
pub(super) fn only<T: FromStr + Default>(given: &Parameters, name: &str, must_be: &str) -> Result<T, Problem> {
    let invalid = |detail: String| {
        let title = "a query parameter is not what it must be";
        Err(Problem::new(StatusCode::BAD_REQUEST, "urn:outpost:problem:invalid-parameter", title, detail))
    };
    if let Some((other, _)) = given.iter().find(|(other, _)| other != name) {
        return invalid(format!("this path has no query parameter \"{}\"; it has {name}", shown(other)));
    }
    match given.as_slice() {
        [] => Ok(T::default()),
        [(_, value)] => match value.parse() {
            Ok(value) => Ok(value),
            Err(_) => invalid(format!("the query parameter {name} must be {must_be}; found \"{}\"", shown(value))),
        },
        more => invalid(format!("the query parameter {name} must be given once; found {} times", more.len())),
    }
}
