//! Who may do what through the local API: tokens by name, each with a right. Of a token only its hash is kept.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::core::timestamp::Timestamp;

/// The name of the token that the first start makes.
pub const INTAKE: &str = "intake";

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Record events, and nothing else.
    Record,
    /// Read how the agent is doing and what it holds, and nothing else.
    Read,
    /// All of it.
    Admin,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Record, Self::Read, Self::Admin];

    /// The name on the command line and in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// Returns the right of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == name)
    }

    /// Returns whether it allows what needs another.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Admin || self == needed
    }
}

/// Who may call beside those that have a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callers {
    /// Origins of web pages that may post events.
    pub allowed_origins: Vec<String>,
    /// What a program may do over the Unix socket without a token.
    pub socket_right: Right,
}

impl Default for Callers {
    fn default() -> Self {
        Self { allowed_origins: Vec::new(), socket_right: Right::Record }
    }
}

/// SHA-256 of a token, which has 256 bits of chance itself: nothing is to be guessed from it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
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

/// A token, as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedToken {
    /// Its name.
    pub name: String,
    /// What it is good for.
    pub right: Right,
    /// What tells it from others.
    pub hash: TokenHash,
    /// The only web page that may use it; it is good for no other caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Until when it is good, in milliseconds since 1970, where another has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

impl NamedToken {
    /// Returns whether it is still good.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.until_ms.is_none_or(|until_ms| now.as_millis() < until_ms)
    }
}

/// All tokens of an agent.
#[derive(Clone, Default)]
pub struct Tokens(Vec<NamedToken>);

impl Tokens {
    /// Tokens; of two that are the same the later counts.
    #[must_use]
    pub const fn new(tokens: Vec<NamedToken>) -> Self {
        Self(tokens)
    }

    /// One token that is good for everything.
    #[must_use]
    pub fn of_admin(token: &str) -> Self {
        let hash = TokenHash::of(token.as_bytes());
        Self(vec![NamedToken { name: INTAKE.to_owned(), right: Right::Admin, hash, origin: None, until_ms: None }])
    }

    /// With others beside them.
    #[must_use]
    pub fn with(mut self, others: Vec<NamedToken>) -> Self {
        self.0.extend(others);
        self
    }

    /// The token that a caller has. How long it takes says nothing of which it is, nor how much of it is right.
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
