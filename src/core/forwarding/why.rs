//! Why the way to Target is not good, in words for a person and as one of a few names.

/// Cause of a link that is down. The names are labels of metrics: few, and nobody's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A name is not found.
    Dns,
    /// Nobody can be connected to.
    Connection,
    /// The other side does not show that it is Target, or this device not who it is.
    Tls,
    /// The proxy does not let Target's host pass.
    Proxy,
    /// Something else answers in Target's place, such as a portal.
    Foreign,
    /// Every update is refused, so that it is not the updates.
    Refused,
    /// Target, or a gateway before it, answers with errors of its own, or not at all.
    Failing,
    /// The credentials are not accepted.
    Token,
    /// Nothing can be sent with what is configured.
    NotSetUp,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Dns,
        Self::Connection,
        Self::Tls,
        Self::Proxy,
        Self::Foreign,
        Self::Refused,
        Self::Failing,
        Self::Token,
        Self::NotSetUp,
    ];

    /// The name in documents and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Foreign => "foreign",
            Self::Refused => "refused",
            Self::Failing => "failing",
            Self::Token => "token",
            Self::NotSetUp => "not_set_up",
        }
    }
}

/// A cause, with words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The cause.
    pub cause: Cause,
    /// A clause.
    pub words: String,
}

impl Why {
    /// A cause in those words.
    #[must_use]
    pub fn new(cause: Cause, words: impl Into<String>) -> Self {
        Self { cause, words: words.into() }
    }
}
