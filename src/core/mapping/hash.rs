//! Keyed hashes that replace values by which a person could be recognised.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

/// A step that brings different spellings of a text to one form before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalisation {
    /// Remove white space at both ends.
    Trim,
    /// Convert to lower case.
    Lower,
    /// Keep only the digits.
    Digits,
}

impl Normalisation {
    /// All steps.
    pub const ALL: [Self; 3] = [Self::Trim, Self::Lower, Self::Digits];

    /// Returns the name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trim => "trim",
            Self::Lower => "lower",
            Self::Digits => "digits",
        }
    }

    fn apply(self, text: &str) -> String {
        match self {
            Self::Trim => text.trim().to_owned(),
            Self::Lower => text.to_lowercase(),
            Self::Digits => text.chars().filter(char::is_ascii_digit).collect(),
        }
    }
}

/// The notation of a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// 64 hexadecimal digits in lower case.
    #[default]
    Hex,
    /// 43 characters of URL-safe Base64, without padding.
    Base64Url,
}

impl Encoding {
    /// All notations.
    pub const ALL: [Self; 2] = [Self::Hex, Self::Base64Url];

    /// Returns the name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64Url => "base64url",
        }
    }
}

/// The secret key of hashes. Cheap to clone.
#[derive(Clone)]
pub struct HashKey(Arc<SecretSlice<u8>>);

impl HashKey {
    /// Wraps a key of 32 bytes or more.
    #[must_use]
    pub fn new(key: SecretSlice<u8>) -> Self {
        Self(Arc::new(key))
    }

    /// Returns the HMAC-SHA256 of a text.
    pub(super) fn hash(&self, text: &str, encoding: Encoding) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        let hash = mac.finalize().into_bytes();
        match encoding {
            Encoding::Hex => hex::encode(hash),
            Encoding::Base64Url => BASE64_URL_SAFE_NO_PAD.encode(hash),
        }
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

/// The rule for hashing a text: HMAC-SHA256 over its normalised spelling.
#[derive(Clone, Debug)]
pub struct HashRule {
    /// The secret key.
    pub key: HashKey,
    /// The normalisation steps, in this order.
    pub normalisations: Vec<Normalisation>,
    /// The notation of the result.
    pub encoding: Encoding,
}

impl HashRule {
    /// Hashes a text.
    ///
    /// # Errors
    /// A clause for a person, if normalisation leaves nothing to hash: all such texts would have the same hash.
    pub fn hash(&self, text: &str) -> Result<String, String> {
        let text = self.normalisations.iter().fold(text.to_owned(), |text, step| step.apply(&text));
        if text.is_empty() {
            return Err("nothing is left of the value to hash".to_owned());
        }
        Ok(self.key.hash(&text, self.encoding))
    }

    /// Returns the name of an expression's hash in a journalled event.
    pub(super) fn label(&self, expression: &str) -> String {
        let steps: Vec<&str> = self.normalisations.iter().map(|step| step.name()).collect();
        format!("{} {}: {expression}", self.encoding.name(), steps.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: &[Normalisation], text: &str, same_as: &str) {
        let key = HashKey::new(SecretSlice::from(vec![7; 32]));
        let rule = |steps: &[Normalisation]| HashRule {
            key: key.clone(),
            normalisations: steps.to_vec(),
            encoding: Encoding::Hex,
        };
        assert_eq!(rule(steps).hash(text), rule(&[]).hash(same_as), "{text}");
    }

    #[test]
    fn one_person_in_two_spellings_is_one_hash() {
        check(&[], "Ab", "Ab");
        check(&[Normalisation::Trim, Normalisation::Lower], "  Anna@Example.com\n", "anna@example.com");
        check(&[Normalisation::Digits], "+46 (70) 123-45 67", "46701234567");
        check(&[Normalisation::Digits], "no digits", "");
    }
}
