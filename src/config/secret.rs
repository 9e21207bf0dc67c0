//! Where a secret comes from: the configuration itself, the environment, a file, systemd or Windows. It is never shown.

use std::ops::Range;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Table;
use crate::adobe::TokenSource;
use crate::device::rights::{SecretError, open_secret};

/// What a secret may be, for people.
const KINDS: &str = "a text, { env = \"NAME\" }, { file = \"path\" }, { credential = \"name\" } of systemd or { dpapi = \"path\" } of Windows";

/// Where secrets stand in the configuration.
const SECRETS: [&[&str]; 6] = [
    &["target", "token"],
    &["target", "http", "proxy"],
    &["target", "http", "proxy_password"],
    &["privacy", "key"],
    &["store", "key"],
    &["store", "old_key"],
];

/// A secret, if it is there and can be read.
pub(super) fn read(section: &Table<'_, '_>, key: &'static str) -> Option<SecretString> {
    let value = section.value(key)?;
    if let Some(text) = value.get_ref().as_str() {
        return Some(SecretString::from(text));
    }
    if value.get_ref().as_table().is_none() {
        section.wrong_kind(key, value, KINDS);
        return None;
    }
    let source = section.table(key)?;
    let [env, file, credential, dpapi] = ["env", "file", "credential", "dpapi"].map(|name| source.text(name));
    let secret = match (env, file, credential, dpapi) {
        (Some(name), None, None, None) => of_environment(name.get_ref()),
        (None, Some(path), None, None) => of_file(Path::new(path.get_ref())),
        (None, None, Some(name), None) => of_systemd(name.get_ref()),
        (None, None, None, Some(path)) => of_windows(Path::new(path.get_ref())),
        _ => Err(format!("it is one of {KINDS}")),
    };
    source.finish();
    match secret {
        Ok(secret) => Some(secret),
        Err(message) => {
            section.report(value.span(), format!("{key} in {}: {message}", section.name()));
            None
        }
    }
}

/// A token: a secret that may change in its file while the agent runs.
pub(super) fn token(section: &Table<'_, '_>, key: &'static str) -> Option<TokenSource> {
    let secret = read(section, key)?;
    let file = section.value(key).and_then(|value| value.get_ref().as_table()?.get("file"));
    let path = file.map(Spanned::get_ref).and_then(|path| path.as_str());
    Some(path.map_or(TokenSource::Text(secret), |path| TokenSource::File(PathBuf::from(path))))
}

fn of_environment(name: &str) -> Result<SecretString, String> {
    std::env::var(name).map(|text| trimmed(&text)).map_err(|_| format!("the environment variable {name} is not set"))
}

/// What a file holds that nobody else may read.
///
/// # Errors
/// A clause for a person: the file cannot be read, or others can read or change it.
pub fn of_file(path: &Path) -> Result<SecretString, String> {
    let unread = |error| format!("the file {} cannot be read: {error}", path.display());
    let file = open_secret(path).map_err(|error| match error {
        SecretError::File(error) => unread(error),
        SecretError::Rights(words) => words,
    })?;
    std::io::read_to_string(file).map(|text| trimmed(&text)).map_err(unread)
}

/// Source: systemd.exec(5), `LoadCredential=`.
fn of_systemd(name: &str) -> Result<SecretString, String> {
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Err("a credential has a plain name, as in LoadCredential= of the unit".to_owned());
    }
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        format!(
            "there is no credential {name}, since systemd has not started this; add LoadCredential={name}:… to the unit"
        )
    })?;
    let path = Path::new(&dir).join(name);
    std::fs::read_to_string(&path)
        .map(|text| trimmed(&text))
        .map_err(|error| format!("the file {} cannot be read: {error}", path.display()))
}

#[cfg(windows)]
fn of_windows(path: &Path) -> Result<SecretString, String> {
    let shown = path.display();
    let sealed = std::fs::read(path).map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
    let opened = windows_dpapi::decrypt_data(&sealed, windows_dpapi::Scope::Machine, None);
    let opened = opened.map_err(|error| format!("the file {shown} was not protected on this device: {error}"))?;
    let text = String::from_utf8(opened).map_err(|_| format!("what the file {shown} holds is not UTF-8"))?;
    Ok(trimmed(&text))
}

#[cfg(not(windows))]
fn of_windows(_path: &Path) -> Result<SecretString, String> {
    Err("dpapi is there on Windows alone; use file, env or credential".to_owned())
}

fn trimmed(text: &str) -> SecretString {
    SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A file of the configuration with its secrets and comments cut out, and else as it is written. What cannot be read is left
/// out as a whole.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return "# the configuration is not valid TOML, and may hold secrets\n".to_owned();
    }
    without_comments(&cut(text, 0, spans(table.get_ref())))
}

/// The text of valid TOML without its comments, which may say anything of anybody; lines stay where they are.
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

/// Bytes of the text that begins here with a quote, up to and with its end.
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
            // Up to two quotes before the end of a long text are its own.
            let more = text[at..].chars().take(2).take_while(|next| is_long && *next == quote).count();
            return at + more;
        }
    }
    at
}

/// Where secrets are written in a table, however their sections are written. A name of a file or of a variable is none.
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

/// The text without what stands in these spans, which are of a whole that the text begins in at that offset.
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
