//! Parts that the hub does not take, and why.

use serde::{Deserialize, Serialize};

use super::shown::shown;

/// A part that the hub does not take; the device keeps it as rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Place of the profile in the request, from 0.
    pub profile: usize,
    /// Name of the attribute; none if the whole profile is refused.
    pub attribute: Option<String>,
    /// Place of the part in the list of the profile's attributes, from 0: a sum may have several parts. None if the whole
    /// profile is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// Why, in words.
    pub reason: String,
    /// True if the hub may take it once it is updated: the device holds it until then, and does not reject it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
}

impl Refused {
    /// Refuses a whole profile.
    #[must_use]
    pub fn profile(profile: usize, reason: &str) -> Self {
        Self { profile, attribute: None, place: None, reason: shown(reason), hold: false }
    }

    /// Refuses the part at a place among the attributes of a profile.
    #[must_use]
    pub fn part(profile: usize, (place, name): (usize, Option<&str>), reason: &Reason) -> Self {
        let (Reason::Wrong(words) | Reason::Unknown(words)) = reason;
        let hold = matches!(reason, Reason::Unknown(_));
        Self { profile, attribute: name.map(shown), place: Some(place), reason: shown(words), hold }
    }
}

/// Why a part is not taken, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The part is wrong.
    Wrong(String),
    /// This hub does not know what the part needs, and a newer one may.
    Unknown(String),
}

impl<S: Into<String>> From<S> for Reason {
    fn from(words: S) -> Self {
        Self::Wrong(words.into())
    }
}
