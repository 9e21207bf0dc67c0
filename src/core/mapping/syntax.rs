//! Explanations of syntax errors: the position, and what the author may have meant.

use minijinja::Error;
use minijinja::machinery::{parse_expr, tokenize};

/// Returns the position of the engine's error, with a hint if the text uses the syntax of another language.
pub(super) fn explain(text: &str, error: &Error) -> String {
    let detail = error.detail().unwrap_or("it is not an expression");
    if parse_expr(text).is_ok() {
        return detail.to_owned();
    }
    let offset = error_offset(text);
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let place = if text.contains('\n') { format!("line {line}, column {column}") } else { format!("column {column}") };
    let hint = hint(before, &text[offset..]).map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{place}: {detail}{hint}")
}

/// Returns the offset of the first token after which the text cannot be continued to an expression. Units: bytes.
fn error_offset(text: &str) -> usize {
    let mut end = 0;
    for token in tokenize(text, true, Default::default()) {
        // A character that is not a token comes after the last one.
        let Ok((_, span)) = token else { break };
        let start = span.start_offset as usize;
        let is_wrong = |error: &Error| !error.detail().is_some_and(|detail| detail.contains("end of input"));
        end = span.end_offset as usize;
        if text.get(..end).is_none_or(|part| parse_expr(part).is_err_and(|error| is_wrong(&error))) {
            return if text.is_char_boundary(start) { start } else { 0 };
        }
    }
    let end = if text.is_char_boundary(end) { end } else { 0 };
    text.len() - text[end..].trim_start().len()
}

/// Returns a guess at what was meant where an expression is wrong at `rest`.
fn hint(before: &str, rest: &str) -> Option<&'static str> {
    let begins = format!("{before}{rest}");
    let begins = begins.trim_start();
    if begins.starts_with("{{") || begins.starts_with("{%") {
        return Some("an expression stands without braces, such as \"data.card\"");
    }
    match rest.chars().next()? {
        '=' => Some("\"==\" compares, as in \"data.store == 'Lund'\""),
        '&' => Some("conditions are joined by \"and\""),
        '|' if before.ends_with('|') => Some("conditions are joined by \"or\""),
        '!' => Some("a condition is turned around by \"not\""),
        '$' => Some("a field stands without \"$\", such as \"data.card\""),
        '?' => Some("a choice is written \"data.a if data.b else data.c\""),
        ';' => Some("an expression ends without \";\""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, place: &str, hinted: Option<&str>) {
        let error = parse_expr(text).expect_err(text);
        let said = explain(text, &error);
        assert!(said.starts_with(&format!("{place}: ")), "{text}: {said}");
        assert_eq!(said.contains("; "), hinted.is_some(), "{text}: {said}");
        assert!(said.contains(hinted.unwrap_or_default()), "{text}: {said}");
    }

    #[test]
    fn an_error_names_its_place_and_what_may_have_been_meant() {
        check("data.store = 'Lund'", "column 12", Some("\"==\""));
        check("data.a > 1 && data.b", "column 12", Some("\"and\""));
        check("data.a || data.b", "column 9", Some("\"or\""));
        check("!data.a", "column 1", Some("\"not\""));
        check("$.card", "column 1", Some("without \"$\""));
        check("'ö' ~ $x", "column 7", Some("without \"$\""));
        check("{{ data.card }}", "column 14", Some("without braces"));
        check("data.a ? 1 : 2", "column 8", Some(" if "));
        check("data.a;", "column 7", Some("\";\""));
        check("data.a + * 2", "column 10", None);
        check("data.a +", "column 9", None);
        check("(data.a", "column 8", None);
        check("data.a\n  data.b", "line 2, column 3", None);
        check("'abc", "column 1", None);
        check("", "column 1", None);
    }
}
