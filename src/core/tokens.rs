//! Permissions of the local API: named tokens, each with a right. Only the hash of a token is kept.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::core::timestamp::Timestamp;

/// Name of the token created at the first start.
pub const INTAKE: &str = "intake";

/// The actions allowed to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Record events, and nothing else.
    Record,
    /// Read the agent's status and data, and nothing else.
    Read,
    /// Everything.
    Admin,
}

impl Right {
    /// All rights.
    pub const ALL: [Self; 3] = [Self::Record, Self::Read, Self::Admin];

    /// Returns the name used on the command line and in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// Returns the right with that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == name)
    }

    /// Returns true if this right covers `needed`.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Admin || self == needed
    }
}

/// The callers allowed without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callers {
    /// Origins of web pages that may post events.
    pub allowed_origins: Vec<String>,
    /// Right of a program that uses the Unix socket without a token.
    pub socket_right: Right,
}

impl Default for Callers {
    fn default() -> Self {
        Self { allowed_origins: Vec::new(), socket_right: Right::Record }
    }
}

/// SHA-256 of a token. The token has 256 random bits, so that the hash does not help to guess it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Returns the hash of a token as it is sent, in ASCII.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl Serialize for TokenHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(serde::de::Error::custom)?;
        Ok(Self(hash))
    }
}

/// A token as stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedToken {
    /// Its name.
    pub name: String,
    /// The right that it grants.
    pub right: Right,
    /// Hash of the token itself.
    pub hash: TokenHash,
    /// The only web page that may use it; no other caller may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// End of its validity in milliseconds since 1970, once another token has replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

impl NamedToken {
    /// Returns true if the token is still valid.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.until_ms.is_none_or(|until_ms| now.as_millis() < until_ms)
    }
}

/// All tokens of an agent.
#[derive(Clone, Default)]
pub struct Tokens(Vec<NamedToken>);

impl Tokens {
    /// Wraps tokens; of two equal ones the later counts.
    #[must_use]
    pub const fn new(tokens: Vec<NamedToken>) -> Self {
        Self(tokens)
    }

    /// Returns a single token with the right to everything.
    #[must_use]
    pub fn of_admin(token: &str) -> Self {
        let hash = TokenHash::of(token.as_bytes());
        Self(vec![NamedToken { name: INTAKE.to_owned(), right: Right::Admin, hash, origin: None, until_ms: None }])
    }

    /// Returns these tokens and others.
    #[must_use]
    pub fn with(mut self, others: Vec<NamedToken>) -> Self {
        self.0.extend(others);
        self
    }

    /// Returns true if there is a token with that hash that covers `needed` and is still valid.
    #[must_use]
    pub fn allows(&self, hash: &TokenHash, needed: Right, now: Timestamp) -> bool {
        self.0.iter().any(|token| token.hash == *hash && token.right.allows(needed) && token.is_good(now))
    }

    /// Returns the token that a caller presents. The time it takes reveals neither which token it is nor how much of it
    /// is right.
    #[must_use]
    pub fn find(&self, given: &[u8], now: Timestamp) -> Option<&NamedToken> {
        let hash = TokenHash::of(given);
        let mut found = u64::MAX;
        for (place, token) in (0_u64..).zip(&self.0) {
            let is_same: Choice = token.hash.0.ct_eq(&hash.0);
            found.conditional_assign(&place, is_same);
        }
        let token = self.0.get(usize::try_from(found).ok()?)?;
        token.is_good(now).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_all_of_it_and_as_long_as_it_is_good() {
        let token = |name: &str, text: &str, until_ms| NamedToken {
            name: name.to_owned(),
            right: Right::Record,
            hash: TokenHash::of(text.as_bytes()),
            origin: None,
            until_ms,
        };
        let tokens = Tokens::new(vec![token("a", "secret-a", None), token("b", "secret-b", Some(1_000))]);
        let check = |given: &str, at_ms: i64, expected: Option<&str>| {
            let found = tokens.find(given.as_bytes(), Timestamp::from_millis(at_ms));
            assert_eq!(found.map(|token| token.name.as_str()), expected, "{given}");
        };
        check("secret-a", 0, Some("a"));
        check("secret-b", 999, Some("b"));
        check("secret-b", 1_000, None);
        check("secret-", 0, None);
        check("secret-a ", 0, None);
        check("", 0, None);
    }

    #[test]
    fn admin_allows_all_and_the_others_themselves_alone() {
        let all = [Right::Record, Right::Read, Right::Admin];
        let allowed = |right: Right| all.map(|needed| right.allows(needed));
        assert_eq!(allowed(Right::Record), [true, false, false]);
        assert_eq!(allowed(Right::Read), [false, true, false]);
        assert_eq!(allowed(Right::Admin), [true, true, true]);
    }
}
