//! A TOML document with positions: tables that hand out typed values, and collect every problem on the way.
//!
//! Nothing here knows what the keys mean.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::Span;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::{is_section, lay};
use super::sources::{Place, Sources};

/// One thing that is wrong in a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its place.
    pub place: Place,
    /// The problem and its remedy.
    pub message: String,
}

/// All that is wrong in a configuration, in the order of its sources and their lines; at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { place, message }) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{place}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Problems {
    /// Joins the results of several checks.
    ///
    /// # Errors
    /// All problems of those that found any.
    pub fn joined<const N: usize>(checks: [Result<(), Self>; N]) -> Result<(), Self> {
        let found: Vec<_> = checks.into_iter().filter_map(Result::err).flat_map(|problems| problems.0).collect();
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    /// One problem, with what stands under these sections and this key; else with the file that the others are laid over.
    pub(super) fn of_setting(sources: &Sources, path: &[&str], message: String) -> Self {
        let (table, _) = lay(sources);
        let mut at = 0;
        let mut inner = Some(table.get_ref());
        for name in path {
            let found = inner.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == name));
            let Some((key, value)) = found else { break };
            at = if is_section(value, sources) { key.span().start } else { value.span().start };
            inner = value.get_ref().as_table();
        }
        Self(vec![Problem { place: sources.place(at), message }])
    }
}

/// Sources that are being read.
pub(super) struct Document<'a> {
    sources: &'a Sources,
    problems: RefCell<Vec<(usize, String)>>,
}

impl<'a> Document<'a> {
    pub(super) const fn new(sources: &'a Sources) -> Self {
        Self { sources, problems: RefCell::new(Vec::new()) }
    }

    /// The table of all sources; what is no TOML is a problem.
    pub(super) fn parse(&self) -> Spanned<DeTable<'a>> {
        let (table, faults) = lay(self.sources);
        for (at, message) in faults {
            self.report(at, message);
        }
        table
    }

    pub(super) fn report(&self, at: Range<usize>, message: impl Into<String>) {
        self.problems.borrow_mut().push((at.start, message.into()));
    }

    pub(super) fn finish(self) -> Result<(), Problems> {
        let mut list = self.problems.into_inner();
        if list.is_empty() {
            return Ok(());
        }
        list.sort_by_key(|(at, _)| *at);
        let problem = |(at, message)| Problem { place: self.sources.place(at), message };
        Err(Problems(list.into_iter().map(problem).collect()))
    }
}

/// One table, its keys taken one by one; what is left at the end is unknown.
pub(super) struct Table<'d, 'a> {
    document: &'d Document<'a>,
    /// As people write it, such as `[target.http]`.
    name: String,
    span: Range<usize>,
    table: &'d DeTable<'a>,
    known: RefCell<Vec<&'static str>>,
}

impl<'d, 'a> Table<'d, 'a> {
    pub(super) fn new(document: &'d Document<'a>, name: &str, table: &'d Spanned<DeTable<'a>>) -> Self {
        Self::over(document, name.to_owned(), table.get_ref(), table.span())
    }

    fn over(document: &'d Document<'a>, name: String, table: &'d DeTable<'a>, span: Range<usize>) -> Self {
        Self { document, name, span, table, known: RefCell::default() }
    }

    pub(super) fn rename(&mut self, name: String) {
        self.name = name;
    }

    pub(super) fn report(&self, at: Range<usize>, message: impl Into<String>) {
        self.document.report(at, message);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// A value of any kind.
    pub(super) fn value(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// All keys, for tables whose keys are free.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d str, Range<usize>, &'d Spanned<DeValue<'a>>)> {
        self.table.iter().map(|(name, value)| (name.get_ref().as_ref(), name.span(), value))
    }

    /// Returns the text of an environment variable, in which numbers and flags are texts too.
    fn of_variable<'v>(&self, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        value.get_ref().as_str().filter(|_| self.document.sources.is_variable(value.span().start))
    }

    pub(super) fn wrong_kind(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let message = match self.name.as_str() {
            "" => format!("{key} must be {expected}, not {}", kind(value.get_ref())),
            name => format!("{key} in {name} must be {expected}, not {}", kind(value.get_ref())),
        };
        self.report(value.span(), message);
    }

    /// Reports a value of the right kind that is none of those that it may be, as it is written.
    fn must_be(&self, key: &str, at: Range<usize>, allowed: &str) {
        let found = self.document.sources.text(at.clone());
        self.report(at, format!("{key} in {} must be {allowed}; found {found}", self.name));
    }

    pub(super) fn text(&self, key: &'static str) -> Option<Spanned<&'d str>> {
        let value = self.value(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Spanned::new(value.span(), text)),
            None => {
                self.wrong_kind(key, value, "a text in quotes");
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn one_of<'w, const N: usize>(&self, key: &'static str, words: [&'w str; N]) -> Option<&'w str> {
        let text = self.text(key)?;
        let word = words.into_iter().find(|word| word == text.get_ref());
        if word.is_none() {
            self.must_be(key, text.span(), &words.map(|word| format!("\"{word}\"")).join(" or "));
        }
        word
    }

    /// One character of ASCII.
    pub(super) fn character(&self, key: &'static str) -> Option<u8> {
        let text = self.text(key)?;
        match text.get_ref().as_bytes() {
            [byte] if byte.is_ascii() => Some(*byte),
            _ => {
                self.must_be(key, text.span(), "one character, such as \";\" or \"\\t\"");
                None
            }
        }
    }

    pub(super) fn required_text(&self, key: &'static str) -> Option<Spanned<&'d str>> {
        if self.table.iter().all(|(name, _)| name.get_ref() != key) {
            self.known.borrow_mut().push(key);
            self.report(self.span(), format!("{key} is missing in {}", self.name));
            return None;
        }
        self.text(key)
    }

    pub(super) fn path(&self, key: &'static str) -> Option<PathBuf> {
        let text = self.text(key)?;
        if text.get_ref().is_empty() {
            self.must_be(key, text.span(), "a path");
            return None;
        }
        Some(PathBuf::from(text.into_inner()))
    }

    pub(super) fn integer(&self, key: &'static str, allowed: Range<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let number = match (value.get_ref().as_integer(), self.of_variable(value)) {
            (Some(integer), _) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            // As TOML has them: the digits may be in groups.
            (None, Some(text)) => text.trim().replace('_', "").parse().ok(),
            (None, None) => {
                self.wrong_kind(key, value, "a whole number");
                return None;
            }
        };
        let number = number.filter(|number| allowed.contains(number));
        if number.is_none() {
            let (least, most) = (allowed.start, allowed.end - 1);
            self.must_be(key, value.span(), &format!("a whole number from {least} to {most}"));
        }
        number
    }

    pub(super) fn duration(&self, key: &'static str, allowed: Range<Duration>) -> Option<Duration> {
        let text = self.text(key)?;
        let Some(duration) = parse_duration(text.get_ref()) else {
            self.must_be(key, text.span(), "a duration such as \"30s\" or \"5m\"");
            return None;
        };
        if !allowed.contains(&duration) {
            let (least, most) = (allowed.start, allowed.end);
            self.must_be(key, text.span(), &format!("at least {least:?} and below {most:?}"));
            return None;
        }
        Some(duration)
    }

    /// True or false.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let of_variable = || self.of_variable(value).and_then(|text| text.parse().ok());
        let flag = value.get_ref().as_bool().or_else(of_variable);
        if flag.is_none() {
            self.wrong_kind(key, value, "true or false");
        }
        flag
    }

    /// A size such as `64KiB` or `1GiB`. Units: bytes.
    pub(super) fn size(&self, key: &'static str, allowed: RangeInclusive<u64>) -> Option<u64> {
        let text = self.text(key)?;
        let Ok(ByteSize(bytes)) = text.get_ref().parse() else {
            self.must_be(key, text.span(), "a size such as \"64KiB\" or \"1GiB\"");
            return None;
        };
        if !allowed.contains(&bytes) {
            let (least, most) = (ByteSize(*allowed.start()), ByteSize(*allowed.end()));
            self.must_be(key, text.span(), &format!("from {least} to {most}"));
            return None;
        }
        Some(bytes)
    }

    pub(super) fn texts(&self, key: &'static str) -> Vec<Spanned<&'d str>> {
        self.value(key).map_or_else(Vec::new, |value| self.list(key, value))
    }

    /// The texts under a key that is free.
    pub(super) fn texts_of(&self, key: &str) -> Vec<Spanned<&'d str>> {
        let value = self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value);
        value.map_or_else(Vec::new, |value| self.list(key, value))
    }

    fn list(&self, key: &str, value: &'d Spanned<DeValue<'a>>) -> Vec<Spanned<&'d str>> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_kind(key, value, "a list of texts");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in array {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Spanned::new(item.span(), text)),
                None => self.wrong_kind(key, item, "a list of texts"),
            }
        }
        texts
    }

    pub(super) fn table(&self, key: &'static str) -> Option<Table<'d, 'a>> {
        let value = self.value(key)?;
        let name = match self.name.as_str() {
            "" => format!("[{key}]"),
            outer => match outer.strip_suffix(']') {
                Some(outer) => format!("{outer}.{key}]"),
                None => format!("{key} of {outer}"),
            },
        };
        match value.get_ref().as_table() {
            Some(table) => Some(Table::over(self.document, name, table, value.span())),
            None => {
                self.wrong_kind(key, value, "a section");
                None
            }
        }
    }

    pub(super) fn tables(&self, key: &'static str) -> Vec<Table<'d, 'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let items = value.get_ref().as_array().map(|array| array.iter().collect()).unwrap_or_else(|| vec![value]);
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref().as_table() {
                Some(table) => tables.push(Table::over(self.document, format!("[[{key}]]"), table, item.span())),
                None => self.wrong_kind(key, item, "a section written as [[…]]"),
            }
        }
        tables
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for (key, span, _) in self.entries().filter(|(key, ..)| !known.contains(key)) {
            let place = if self.name.is_empty() { "at the top".to_owned() } else { format!("in {}", self.name) };
            let hint = nearest(key, &known).map_or_else(
                || format!("; known are {}", known.join(", ")),
                |nearest| format!("; did you mean \"{nearest}\"?"),
            );
            self.report(span, format!("unknown key \"{key}\" {place}{hint}"));
        }
    }
}

fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |name: &str| strsim::damerau_levenshtein(&key.to_lowercase(), &name.to_lowercase());
    let nearest = known.iter().min_by_key(|name| distance(name))?;
    (distance(nearest) <= nearest.len().max(key.len()).div_ceil(3)).then_some(nearest)
}

/// A duration with units, such as `10s` or `1h 30m`; a day is 24 hours.
fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("1d"), Some(Duration::from_secs(86_400)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("30"), None);
        assert_eq!(parse_duration("-1s"), None);
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("identiy", &["name", "identity"]), Some("identity"));
        assert_eq!(nearest("client-code", &["client_code"]), Some("client_code"));
        assert_eq!(nearest("colour", &["name", "identity"]), None);
    }
}
