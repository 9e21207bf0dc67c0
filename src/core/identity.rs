//! The identity of a profile: a key under which Target knows a person.
//!
//! A key is personal data, and nothing here prints one by accident. `Debug` shows only the kind.

use std::fmt;
use std::str::FromStr;

use crate::core::limits::IDENTITY_CHARS_MAX;

/// The kind of key that an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdentityKind {
    /// A key of the retailer's own, such as a loyalty card's number (`mbox3rdPartyId`).
    ThirdPartyId,
    /// Target's visitor id, such as `1368007744041-575948.01_00` (`mboxPC`).
    PcId,
}

impl IdentityKind {
    /// All kinds, in the order in which they are stored.
    pub const ALL: [Self; 2] = [Self::ThirdPartyId, Self::PcId];

    /// Returns the name used in configuration, command line and HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ThirdPartyId => "third_party_id",
            Self::PcId => "pc_id",
        }
    }

    /// Returns the kind with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A valid identity: a kind, and a key of 1 to 256 characters without NUL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    kind: IdentityKind,
    key: String,
}

impl Identity {
    /// Checks a key and makes it an identity.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong without repeating the key.
    pub fn new(kind: IdentityKind, key: impl Into<String>) -> Result<Self, IdentityError> {
        let key = key.into();
        if key.is_empty() {
            return Err(IdentityError::Empty);
        }
        if key.contains('\0') {
            return Err(IdentityError::Nul);
        }
        // A key has at most as many characters as bytes, so the usual short key needs no count.
        if key.len() > IDENTITY_CHARS_MAX {
            let found = key.chars().count();
            if found > IDENTITY_CHARS_MAX {
                return Err(IdentityError::TooLong { found });
            }
        }
        Ok(Self { kind, key })
    }

    /// Returns the kind of key.
    #[must_use]
    pub const fn kind(&self) -> IdentityKind {
        self.kind
    }

    /// Returns the identity as people write it, such as `third_party_id:123456`. This is personal data.
    #[must_use]
    pub fn to_written(&self) -> String {
        format!("{}:{}", self.kind.name(), self.key)
    }

    /// Returns the key itself. This is personal data, for the wire and the store only.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:…", self.kind.name())
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    /// Reads an identity as people write it. What stands alone is a key of the retailer's own: a card is asked for by its number.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let Some((kind, key)) = text.split_once(':') else {
            return Self::new(IdentityKind::ThirdPartyId, text);
        };
        let kind = IdentityKind::from_name(kind).ok_or(IdentityError::NoKind)?;
        Self::new(kind, key)
    }
}

/// A reason why a text is not a valid identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The key is empty.
    Empty,
    /// The key contains a NUL character.
    Nul,
    /// The key has more than [`IDENTITY_CHARS_MAX`] characters.
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// The part before the first colon is not the name of a kind.
    NoKind,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the identity is empty"),
            Self::Nul => f.write_str("the identity contains a NUL character"),
            Self::TooLong { found } => {
                write!(f, "the identity has {found} characters, at most {IDENTITY_CHARS_MAX}")
            }
            Self::NoKind => f.write_str(
                "an identity is written as third_party_id:KEY, pc_id:KEY or, without a colon, KEY, such as 123456",
            ),
        }
    }
}

impl std::error::Error for IdentityError {}

/// All forms under which a store may know one person: the identity as written, and hashed as the mappings say.
#[derive(Clone)]
pub struct StoredForms(Vec<Identity>);

impl StoredForms {
    /// Returns the forms of an identity and its hashes.
    #[must_use]
    pub fn new(identity: Identity, hashed: impl IntoIterator<Item = Identity>) -> Self {
        Self(std::iter::once(identity).chain(hashed).collect())
    }

    /// Returns a single form, for an identity that is in the store exactly like that and is not hashed again.
    #[must_use]
    pub fn exactly(identity: Identity) -> Self {
        Self(vec![identity])
    }

    /// Iterates over all forms, the identity as written first.
    pub fn iter(&self) -> impl Iterator<Item = &Identity> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_256_characters_passes_and_one_of_257_does_not() {
        let check = |chars: usize| Identity::new(IdentityKind::ThirdPartyId, "ö".repeat(chars)).map(|_| ());
        assert_eq!(check(256), Ok(()));
        assert_eq!(check(257), Err(IdentityError::TooLong { found: 257 }));
    }

    #[test]
    fn the_written_form_names_the_kind_and_keeps_later_colons() {
        let identity: Identity = "pc_id:a:b".parse().expect("valid");
        assert_eq!((identity.kind(), identity.key()), (IdentityKind::PcId, "a:b"));
        let plain: Identity = "123".parse().expect("valid");
        assert_eq!((plain.kind(), plain.key()), (IdentityKind::ThirdPartyId, "123"));
        assert_eq!("card:123".parse::<Identity>(), Err(IdentityError::NoKind));
        assert_eq!("third_party_id:".parse::<Identity>(), Err(IdentityError::Empty));
    }

    #[test]
    fn debug_output_holds_no_key() {
        let identity = Identity::new(IdentityKind::ThirdPartyId, "123456").expect("valid");
        assert!(!format!("{identity:?}").contains("123456"));
    }
}
