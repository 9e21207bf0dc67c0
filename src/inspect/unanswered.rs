//! Why a question has no answer, in the same words wherever it was asked.

use std::error::Error;
use std::fmt;

use crate::adobe::ClientError;
use crate::core::timestamp::Timestamp;
use crate::store::StoreError;

/// Why a question has no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// This device does not hold it; a clause for a person says what.
    NotFound(String),
    /// Target did not show the profile, for that reason.
    NotRead(String),
    /// Target cannot be reached as configured.
    Client(ClientError),
    /// The store failed.
    Store(StoreError),
}

impl Unanswered {
    /// The device holds nothing of an identity, which may have been forgotten: forgetting would find nothing.
    #[must_use]
    pub fn nothing(forgotten_at: Option<Timestamp>) -> Self {
        let note = forgotten_at.map(|at| format!(", but for a note that it was forgotten on {at}")).unwrap_or_default();
        Self::NotFound(format!("this device has nothing about that identity{note}"))
    }

    /// The device holds no profile of an identity.
    #[must_use]
    pub fn no_profile() -> Self {
        let words = "this device has no profile of that identity to compare; `outpost explain` says what it has";
        Self::NotFound(words.to_owned())
    }

    /// There is no rejected event or update with that number.
    #[must_use]
    pub fn not_rejected(id: i64) -> Self {
        Self::NotFound(format!("nothing is kept as rejected under {id}; outpost rejected list shows the numbers"))
    }

    /// A rejected event or update was there a moment ago.
    #[must_use]
    pub fn gone() -> Self {
        Self::NotFound("it was retried or dropped meanwhile".to_owned())
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(words) => f.write_str(words),
            Self::NotRead(reason) => write!(f, "the profile cannot be read from Target: {reason}"),
            Self::Client(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl Error for Unanswered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotFound(_) | Self::NotRead(_) => None,
            Self::Client(error) => error.source(),
            Self::Store(error) => error.source(),
        }
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
