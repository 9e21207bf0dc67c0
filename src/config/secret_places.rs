//! The positions of secrets in the configuration, so that none is shown or mistaken for something else.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys of a table that says where a secret is kept.
pub(super) const SOURCES: [&str; 4] = ["env", "file", "credential", "dpapi"];

/// Settings that are secrets, by section and key.
const SECRETS: [&[&str]; 10] = [
    &["hub", "database", "url"],
    &["hub", "token"],
    &["hub", "proxy"],
    &["hub", "proxy_password"],
    &["target", "token"],
    &["target", "http", "proxy"],
    &["target", "http", "proxy_password"],
    &["privacy", "key"],
    &["store", "key"],
    &["store", "old_key"],
];

/// Returns true if a text is a table of texts, as one that says where a secret is kept, rather than a secret that
/// begins with a brace.
pub(super) fn is_table(text: &str) -> bool {
    let (value, errors) = DeValue::parse_recoverable(text);
    let table = value.get_ref().as_table();
    let is_text = |value: &Spanned<DeValue<'_>>| value.get_ref().is_str();
    errors.is_empty() && table.is_some_and(|table| !table.is_empty() && table.values().all(is_text))
}

/// Returns true if all keys of a table say where a secret is kept.
pub(super) fn is_source(table: &DeTable<'_>) -> bool {
    table.keys().all(|key| SOURCES.contains(&key.get_ref().as_ref()))
}

/// Returns true if the setting at this path is a secret.
pub(super) fn is_secret(path: &[String]) -> bool {
    SECRETS.iter().any(|secret| secret.iter().copied().eq(path.iter().map(String::as_str)))
}

/// Returns a configuration file without its secrets and comments. A file that cannot be parsed is left out as a whole.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return "# the configuration is not valid TOML, and may hold secrets\n".to_owned();
    }
    without_comments(&cut(text, 0, spans(table.get_ref())))
}

/// Returns valid TOML without its comments, which may contain anything about anybody; line numbers stay the same.
pub(super) fn without_comments(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(next) = rest.chars().next() {
        if next == '#' {
            kept.truncate(kept.trim_end_matches([' ', '\t']).len());
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
            continue;
        }
        let length = if matches!(next, '"' | '\'') { text_length(rest, next) } else { next.len_utf8() };
        kept.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    kept
}

/// Returns the length of the quoted text at the beginning, including the quotes. Units: bytes.
fn text_length(text: &str, quote: char) -> usize {
    let is_long = text.chars().take(3).filter(|next| *next == quote).count() == 3;
    let quotes = if is_long { 3 } else { 1 };
    let (mut at, mut found) = (quotes, 0);
    let mut characters = text[quotes..].chars();
    while let Some(next) = characters.next() {
        at += next.len_utf8();
        found = if next == quote { found + 1 } else { 0 };
        if next == '\\' && quote == '"' {
            at += characters.next().map_or(0, char::len_utf8);
        }
        if found == quotes {
            // Up to two quotes before the end of a multi-line text belong to it.
            let more = text[at..].chars().take(2).take_while(|next| is_long && *next == quote).count();
            return at + more;
        }
    }
    at
}

/// Returns the positions of secrets in a table, in whichever way its sections are written. The name of a file or of a
/// variable is not secret.
pub(super) fn spans(table: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for path in SECRETS {
        let (key, sections) = path.split_last().expect("a path has a key");
        let mut inner = Some(table);
        for section in sections {
            inner = inner
                .and_then(|table| table.iter().find(|(name, _)| name.get_ref() == *section))
                .and_then(|(_, value)| value.get_ref().as_table());
        }
        let value = inner.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == *key));
        if let Some((_, value)) = value
            && matches!(value.get_ref(), DeValue::String(_))
        {
            spans.push(value.span());
        }
    }
    spans
}

/// Removes spans from a text. They are offsets in a larger text, in which this one starts at `begin`.
pub(super) fn cut(text: &str, begin: usize, mut spans: Vec<Range<usize>>) -> String {
    spans.retain(|span| begin <= span.start && span.end <= begin + text.len());
    spans.sort_by_key(|span| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    spans.into_iter().for_each(|span| text.replace_range(span.start - begin..span.end - begin, "\"(removed)\""));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_out_and_the_rest_stays_as_written() {
        let text = "# c\n[target]\nclient_code = \"acme\" # d\ntoken = \"s3cret\"\n[target.http]\nproxy = 'http://u:p@x'\n[privacy]\nkey = \"00\"\n";
        assert_eq!(
            without_secrets(text),
            "\n[target]\nclient_code = \"acme\"\ntoken = \"(removed)\"\n[target.http]\nproxy = \"(removed)\"\n[privacy]\nkey = \"(removed)\"\n"
        );
        assert_eq!(without_secrets("[target]\ntoken = { env = \"T\" }\n"), "[target]\ntoken = { env = \"T\" }\n");
        assert!(!without_secrets("[target]\ntoken = \"s3cret\"\n = \n").contains("s3cret"));
    }

    #[test]
    fn comments_are_cut_out_and_what_looks_like_one_in_a_text_is_not() {
        let check = |text: &str, expected: &str| assert_eq!(without_comments(text), expected, "{text}");
        check("a = 1 # of Asa\r\n# more\nb = 2", "a = 1\n\nb = 2");
        check(r##"a = "x # y" # z"##, r##"a = "x # y""##);
        check(r##"a = "x \" # y" # z"##, r##"a = "x \" # y""##);
        check(r##"a = 'x \' # z"##, r##"a = 'x \'"##);
        check(r##"a = "" # z"##, r##"a = """##);
        check("a = \"\"\"x\n# y \"\" z\"\"\"\"\" # z", "a = \"\"\"x\n# y \"\" z\"\"\"\"\"");
        check("a = '''x # y\\''' # z", "a = '''x # y\\'''");
        check("a = [ # one\n 1, # two\n]", "a = [\n 1,\n]");
    }
}
