//! A secret, and where it is kept: it is read when it is needed, and never shown.

use std::env::VarError;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::rights::{SecretError, open_secret};
use super::{environment, text_file};

/// A secret by its place.
#[derive(Clone, Debug)]
pub enum Secret {
    /// It stands in the configuration.
    Text(SecretString),
    /// The variable of the environment that holds it.
    Environment(String),
    /// The file that holds it, which nobody else may read.
    File(PathBuf),
    /// The credential of systemd that holds it. Source: systemd.exec(5), `LoadCredential=`.
    Credential(String),
    /// The file that holds it as Windows protected it on this device.
    Protected(PathBuf),
}

impl Secret {
    /// The secret as it is now, without a line break at its end and without a byte order mark.
    ///
    /// # Errors
    /// A clause for a person: where it is, and why it cannot be read.
    pub fn read(&self) -> Result<SecretString, String> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::Environment(name) => environment::variable(name).map_err(|error| match error {
                VarError::NotPresent => format!("the environment variable {name} is not set"),
                VarError::NotUnicode(_) => format!("the environment variable {name} is not UTF-8"),
            }),
            Self::File(path) => text(path, &file_bytes(path)?),
            Self::Credential(name) => of_systemd(name),
            Self::Protected(path) => of_windows(path),
        }
    }

    /// The file that holds it, if it is one that may be written while the process runs.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Protected(path) => Some(path),
            Self::Text(_) | Self::Environment(_) | Self::Credential(_) => None,
        }
    }

    /// Returns whether it may be another one while the process runs.
    #[must_use]
    pub const fn can_change(&self) -> bool {
        matches!(self, Self::File(_) | Self::Credential(_) | Self::Protected(_))
    }
}

/// The bytes of a file that nobody else may read.
///
/// # Errors
/// A clause for a person, which names the file.
pub fn file_bytes(path: &Path) -> Result<SecretBox<Vec<u8>>, String> {
    use std::io::Read as _;
    let mut file = open_secret(path).map_err(|error| match error {
        SecretError::File(error) => unread(path, &error),
        SecretError::Rights(words) => words,
    })?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| unread(path, &error))?;
    Ok(SecretBox::new(Box::new(bytes)))
}

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
    let bytes = std::fs::read(&path).map_err(|error| unread(&path, &error))?;
    text(&path, &SecretBox::new(Box::new(bytes)))
}

#[cfg(windows)]
fn of_windows(path: &Path) -> Result<SecretString, String> {
    let sealed = std::fs::read(path).map_err(|error| unread(path, &error))?;
    let opened = windows_dpapi::decrypt_data(&sealed, windows_dpapi::Scope::Machine, None);
    let opened =
        opened.map_err(|error| format!("the file {} was not protected on this device: {error}", path.display()))?;
    text(path, &SecretBox::new(Box::new(opened)))
}

#[cfg(not(windows))]
fn of_windows(_path: &Path) -> Result<SecretString, String> {
    Err("dpapi works only on Windows; use file, env or credential".to_owned())
}

fn unread(path: &Path, error: &std::io::Error) -> String {
    format!("the file {} cannot be read: {error}", path.display())
}

/// Returns the text of a file as editors of all systems write it.
fn text(path: &Path, bytes: &SecretBox<Vec<u8>>) -> Result<SecretString, String> {
    let wrong = |words| format!("the file {}: {words}", path.display());
    let bytes = text_file::without_mark(bytes.expose_secret()).map_err(wrong)?;
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8; it must be saved as UTF-8"))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("secret");
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
        let secret = Secret::File(path).read();
        secret.map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn a_file_is_read_as_editors_write_it() {
        assert_eq!(read(b"s3cret\r\n"), Ok("s3cret".to_owned()));
        assert_eq!(read(b"\xEF\xBB\xBFs3cret\n"), Ok("s3cret".to_owned()));
        assert!(read(b"\xFF\xFEs\0").is_err_and(|words| words.ends_with("it is UTF-16; it must be saved as UTF-8")));
        assert!(read(b"\xE4\n").is_err_and(|words| words.ends_with("it is not UTF-8; it must be saved as UTF-8")));
    }
}
