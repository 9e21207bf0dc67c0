//! All sources of a configuration as one table: what a later source says is laid over what the earlier ones said.
//!
//! Sections are laid over each other key by key; a list of sections, as of `[[mapping]]`, grows; everything else is
//! one value, and the last one holds. A table in braces is a value: a secret from one place is not mixed with
//! another's.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret_places;
use super::sources::{Source, Sources};

type Value<'a> = Spanned<DeValue<'a>>;

/// What is no TOML, and where.
pub(super) type Fault = (Range<usize>, String);

/// The table of all sources; its spans are offsets among all of them.
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

/// What somebody probably meant who wrote what is no TOML.
fn hint(text: &str, at: usize, message: &str) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[begin..].lines().next().unwrap_or_default();
    if line.contains(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) {
        return "; quotes must be straight, as in \"acme\"".to_owned();
    }
    if message.contains("escape") && line.contains('\\') {
        return "; a path of Windows must stand in single quotes, as in 'C:\\Outpost'".to_owned();
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

/// The value of a variable: TOML where it begins as a list, a table or a text in quotes does, and else a text. A secret may
/// begin as anything: it is TOML only where it says where the secret is kept.
fn variable(text: &str, is_secret: bool) -> (Value<'_>, Vec<toml::de::Error>) {
    let is_toml = if is_secret { secret_places::is_table(text) } else { text.starts_with(['[', '{', '"', '\'']) };
    if is_toml {
        return DeValue::parse_recoverable(text);
    }
    (Spanned::new(0..text.len(), DeValue::String(Cow::Borrowed(text))), Vec::new())
}

/// The sections around a variable's value. They stand nowhere: at its end.
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

/// The same table with its spans further on.
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

/// Lays one table over another.
fn over<'a>(below: &mut DeTable<'a>, above: DeTable<'a>, sources: &Sources) {
    for (key, value) in above {
        // Keys are compared by their names, wherever they stand.
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
            // With its key, which is where problems are shown.
            _ => {
                below.remove(&key);
                below.insert(key, value);
            }
        }
    }
}

/// Returns whether it is a section, such as `[target]`, and not a table in braces.
pub(super) fn is_section(value: &Value<'_>, sources: &Sources) -> bool {
    value.get_ref().is_table() && !sources.text(value.span()).starts_with('{')
}

/// Returns whether it is a list of sections, such as those of `[[mapping]]`.
pub(super) fn are_sections(value: &Value<'_>, sources: &Sources) -> bool {
    let items = value.get_ref().as_array();
    items.is_some_and(|items| !items.is_empty() && items.iter().all(|item| is_section(item, sources)))
}
