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

/// A file of the configuration with its secrets cut out, and else as it is written. What cannot be read is left out as
/// a whole.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return "# the configuration is not valid TOML, and may hold secrets\n".to_owned();
    }
    cut(text, 0, spans(table.get_ref()))
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
            "# c\n[target]\nclient_code = \"acme\" # d\ntoken = \"(removed)\"\n[target.http]\nproxy = \"(removed)\"\n[privacy]\nkey = \"(removed)\"\n"
        );
        assert_eq!(without_secrets("[target]\ntoken = { env = \"T\" }\n"), "[target]\ntoken = { env = \"T\" }\n");
        assert!(!without_secrets("[target]\ntoken = \"s3cret\"\n = \n").contains("s3cret"));
    }
}
