//! Errors of setting up a client: files, secrets and addresses that cannot be used.

use std::fmt;

/// A setting of `[target]` that prevents a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `endpoint`.
    Endpoint,
    /// `token`.
    Token,
    /// `proxy`.
    Proxy,
    /// `proxy_password`.
    ProxyPassword,
    /// `ca_file`.
    CaFile,
    /// `client_cert`.
    ClientCert,
    /// `client_key`.
    ClientKey,
    /// No single setting: the system's own configuration.
    System,
}

impl Setting {
    /// Returns the sections and the key, from the outermost.
    #[must_use]
    pub const fn path(self) -> &'static [&'static str] {
        match self {
            Self::Endpoint => &["target", "endpoint"],
            Self::Token => &["target", "token"],
            Self::Proxy => &["target", "http", "proxy"],
            Self::ProxyPassword => &["target", "http", "proxy_password"],
            Self::CaFile => &["target", "http", "ca_file"],
            Self::ClientCert => &["target", "http", "client_cert"],
            Self::ClientKey => &["target", "http", "client_key"],
            Self::System => &["target"],
        }
    }

    /// Returns an error about this setting.
    pub(super) fn error(self, words: impl Into<String>) -> ClientError {
        ClientError { setting: self, words: words.into() }
    }
}

/// A reason why no client could be made. Prints as `token in [target]: words`; never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// Setting that causes the error.
    pub setting: Setting,
    /// Description of the error: a clause for a person that says what is required.
    pub words: String,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.setting.path() {
            [sections @ .., key] if !sections.is_empty() => {
                write!(f, "{key} in [{}]: {}", sections.join("."), self.words)
            }
            _ => f.write_str(&self.words),
        }
    }
}

impl std::error::Error for ClientError {}
