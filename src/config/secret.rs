//! Secrets in the configuration itself, the environment, a file, systemd or Windows. They are never shown.

use secrecy::SecretString;
use toml::Spanned;

use super::document::Table;
use super::secret_places::{self, SOURCES};
use crate::device::secret::Secret;

/// Allowed forms of a secret, for people.
const KINDS: &str = "a text, { env = \"NAME\" }, { file = \"path\" }, { credential = \"name\" } of systemd or { dpapi = \"path\" } of Windows";

/// Reads where a secret is kept, but not the secret.
pub(super) fn source(section: &Table<'_, '_>, key: &'static str) -> Option<Secret> {
    let value = section.value(key)?;
    if let Some(text) = value.get_ref().as_str() {
        return Some(Secret::Text(SecretString::from(text)));
    }
    if value.get_ref().as_table().is_none() {
        section.wrong_kind(key, value, KINDS);
        return None;
    }
    // Its keys are not named: it may be a secret that begins with a brace.
    if value.get_ref().as_table().is_some_and(|table| !secret_places::is_source(table)) {
        section.report(value.span(), format!("{key} in {} must be {KINDS}", section.name()));
        return None;
    }
    let source = section.table(key)?;
    let [env, file, credential, dpapi] = SOURCES.map(|name| source.text(name).map(|text| (*text.get_ref()).to_owned()));
    let secret = match (env, file, credential, dpapi) {
        (Some(name), None, None, None) => Some(Secret::Environment(name)),
        (None, Some(path), None, None) => Some(Secret::File(path.into())),
        (None, None, Some(name), None) => Some(Secret::Credential(name)),
        (None, None, None, Some(path)) => Some(Secret::Protected(path.into())),
        _ => {
            section.report(value.span(), format!("{key} in {} must be one of {KINDS}", section.name()));
            None
        }
    };
    source.finish();
    secret
}

/// Reads a secret, if it is set and readable.
pub(super) fn read(section: &Table<'_, '_>, key: &'static str) -> Option<SecretString> {
    let secret = source(section, key)?.read();
    let report = |message: &String| {
        let at = section.value(key).map(Spanned::span).unwrap_or_default();
        section.report(at, format!("{key} in {}: {message}", section.name()));
    };
    secret.inspect_err(report).ok()
}
