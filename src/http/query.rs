//! Parameters of a query: one that is wrong is named, with what was given and what must be.

use std::str::FromStr;

use axum::http::StatusCode;

use super::content::shown;
use super::problem::Problem;

/// Parameters as they were given, in their order.
pub(super) type Parameters = Vec<(String, String)>;

/// Returns the only parameter that a path has, or its default where it is not given.
///
/// # Errors
/// 400 for a value that is none, for one that is given twice, and for another name.
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
