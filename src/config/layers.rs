//! Merges all sources of a configuration into one table, in which later sources override earlier ones.
//!
//! Sections are merged key by key; a list of sections, such as `[[mapping]]`, grows; anything else is a single value,
//! of which the last one counts. A table in braces is a value: a secret from one source is not mixed with that from
//! another.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret_places;
use super::sources::{Source, Sources};

type Value<'a> = Spanned<DeValue<'a>>;

/// An error of TOML syntax, with its position.
pub(super) type Fault = (Range<usize>, String);

/// Merges all sources into one table; its spans are offsets in all of them together.
pub(super) fn lay(sources: &Sources) -> (Spanned<DeTable<'_>>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut all = DeTable::new();
    for source in sources.iter() {
        let (table, errors) = read(source);
        let begin = source.begin;
        let fault = |error: toml::de::Error| {
            let span = error.span().unwrap_or(0..0);
            let hint = hint(&source.text, span.start, error.message());
            (span.start + begin..span.end + begin, format!("{}{hint}", error.message()))
        };
        faults.extend(errors.into_iter().map(fault));
        over(&mut all, moved(table, begin), sources);
    }
    (Spanned::new(0..0, all), faults)
}

/// Guesses what the author of invalid TOML probably meant.
fn hint(text: &str, at: usize, message: &str) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[begin..].lines().next().unwrap_or_default();
    if line.contains(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) {
        return "; quotes must be straight, as in \"acme\"".to_owned();
    }
    if message.contains("escape") && line.contains('\\') {
        return "; a Windows path must be in single quotes, as in 'C:\\Outpost'".to_owned();
    }
    if !message.contains("duplicate") {
        return String::new();
    }
    let is_header = line.trim_start().starts_with('[');
    let name = |line: &str| match is_header {
        true => line.split('#').next().unwrap_or_default().replace(' ', ""),
        false => line.split('=').next().unwrap_or_default().trim().to_owned(),
    };
    let earlier: Vec<(usize, &str)> = before[..begin].lines().enumerate().collect();
    let in_section = earlier.iter().rev().take_while(|(_, line)| is_header || !line.trim_start().starts_with('['));
    let first = in_section.filter(|(_, other)| name(other) == name(line)).last();
    first.map_or_else(String::new, |(index, _)| format!("; the first is in line {}", index + 1))
}

fn read(source: &Source) -> (DeTable<'_>, Vec<toml::de::Error>) {
    match source.variable_path() {
        None => {
            let (table, errors) = DeTable::parse_recoverable(&source.text);
            (table.into_inner(), errors)
        }
        Some(path) => {
            let (value, errors) = variable(&source.text, secret_places::is_secret(&path));
            (nested(path, value, source.text.len()), errors)
        }
    }
}

/// Returns the value of a variable: TOML if it begins like a list, a table or a quoted text, otherwise a text. A secret
/// may begin with anything: it is TOML only if it says where the secret is kept.
fn variable(text: &str, is_secret: bool) -> (Value<'_>, Vec<toml::de::Error>) {
    let is_toml = if is_secret { secret_places::is_table(text) } else { text.starts_with(['[', '{', '"', '\'']) };
    if is_toml {
        return DeValue::parse_recoverable(text);
    }
    (Spanned::new(0..text.len(), DeValue::String(Cow::Borrowed(text))), Vec::new())
}

/// Wraps a variable's value in its sections. They have no position of their own, and get that of its end.
fn nested<'a>(path: Vec<String>, value: Value<'a>, end: usize) -> DeTable<'a> {
    let place = |name| Spanned::new(0..end, Cow::Owned(name));
    let mut names = path.into_iter().rev();
    let mut table = DeTable::new();
    table.extend(names.next().map(|key| (place(key), value)));
    for section in names {
        let inner = std::mem::replace(&mut table, DeTable::new());
        table.insert(place(section), Spanned::new(end..end, DeValue::Table(inner)));
    }
    table
}

/// Returns the same table with shifted spans.
fn moved(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table.into_iter().map(|(key, value)| (moved_span(key, by), moved_value(value, by))).collect()
}

fn moved_value(value: Value<'_>, by: usize) -> Value<'_> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved(table, by)),
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| moved_value(item, by)).collect()),
        other => other,
    };
    moved_span(Spanned::new(span, value), by)
}

fn moved_span<T>(it: Spanned<T>, by: usize) -> Spanned<T> {
    let span = it.span();
    Spanned::new(span.start + by..span.end + by, it.into_inner())
}

/// Merges a table into another one, which it overrides.
fn over<'a>(below: &mut DeTable<'a>, above: DeTable<'a>, sources: &Sources) {
    for (key, value) in above {
        // Keys are compared by name, wherever they are.
        match below.get_mut(&key) {
            Some(held) if is_section(held, sources) && is_section(&value, sources) => {
                if let (DeValue::Table(held), DeValue::Table(value)) = (held.get_mut(), value.into_inner()) {
                    over(held, value, sources);
                }
            }
            Some(held) if are_sections(held, sources) && are_sections(&value, sources) => {
                if let (DeValue::Array(held), DeValue::Array(value)) = (held.get_mut(), value.into_inner()) {
                    value.into_iter().for_each(|item| held.push(item));
                }
            }
            // Replaced with its key, where problems are shown.
            _ => {
                below.remove(&key);
                below.insert(key, value);
            }
        }
    }
}

/// Returns true for a section, such as `[target]`, but not for a table in braces.
pub(super) fn is_section(value: &Value<'_>, sources: &Sources) -> bool {
    value.get_ref().is_table() && !sources.text(value.span()).starts_with('{')
}

/// Returns true for a list of sections, such as those of `[[mapping]]`.
pub(super) fn are_sections(value: &Value<'_>, sources: &Sources) -> bool {
    let items = value.get_ref().as_array();
    items.is_some_and(|items| !items.is_empty() && items.iter().all(|item| is_section(item, sources)))
}
