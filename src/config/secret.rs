//! Where a secret comes from: the configuration itself, the environment, a file, systemd or Windows. It is never shown.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use toml::Spanned;

use super::document::Table;
use crate::rights::check_secret;
use crate::target::TokenSource;

/// What a secret may be, for people.
const KINDS: &str = "a text, { env = \"NAME\" }, { file = \"path\" }, { credential = \"name\" } of systemd or { dpapi = \"path\" } of Windows";

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
    check_secret(path)?;
    read_file(path)
}

fn read_file(path: &Path) -> Result<SecretString, String> {
    std::fs::read_to_string(path)
        .map(|text| trimmed(&text))
        .map_err(|error| format!("the file {} cannot be read: {error}", path.display()))
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
    read_file(&Path::new(&dir).join(name))
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
