//! The section `[privacy]`, and `hash` of a mapping: which personal data is kept, and what replaces it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use toml::Spanned;

use super::document::Table;
use super::secret;
use crate::core::mapping::PrivacyRules;
use crate::core::mapping::expression::Engine;
use crate::core::mapping::hash::{Encoding, HashKey, HashRule, Normalisation};
use crate::device::secret::Secret;

/// Shortest key. Units: bytes. Limits: 256 bits, the output of SHA-256, as RFC 2104 advises.
const KEY_BYTES_MIN: usize = 32;

/// The only kind of hash.
const ALGORITHM: &str = "hmac-sha256";

/// The section `[privacy]`.
pub(super) struct Privacy {
    /// Compiler of expressions, with the key.
    pub(super) engine: Engine,
    pub(super) key: Option<HashKey>,
    pub(super) rules: PrivacyRules,
}

pub(super) fn read(top: &Table<'_, '_>) -> Privacy {
    let Some(section) = top.table("privacy") else {
        return Privacy { engine: Engine::new(None), key: None, rules: PrivacyRules::default() };
    };
    let key = key(&section, "key").map(HashKey::new);
    let engine = Engine::new(key.clone());
    let keep = section.one_of("keep_data", ["mapped", "all"]);
    let consent = section.text("consent").and_then(|text| {
        let compiled = engine.compile(text.get_ref());
        compiled.inspect_err(|error| section.report(text.span(), error.to_string())).ok()
    });
    section.finish();
    Privacy { engine, key, rules: PrivacyRules { keeps_all: keep == Some("all"), consent } }
}

/// Reads a key of 32 bytes or more, in hex or base64url.
pub(super) fn key(section: &Table<'_, '_>, key: &'static str) -> Option<SecretSlice<u8>> {
    let span = section.value(key).map(Spanned::span);
    let secret = secret::read(section, key)?;
    let decoded = decode_key(&secret);
    if decoded.is_none() {
        let message = format!("{key} in {} is {KEY_BYTES_MIN} bytes or more, in hex or base64url", section.name());
        section.report(span.unwrap_or_default(), message);
    }
    decoded
}

/// Reads a key from a file: 32 bytes or more, in hex or base64url.
///
/// # Errors
/// A clause for a person that says what is wrong with the file.
pub fn read_key(path: &Path) -> Result<SecretSlice<u8>, String> {
    let words = || {
        format!(
            "the file {} contains no key; it must be {KEY_BYTES_MIN} bytes or more, in hex or base64url",
            path.display()
        )
    };
    decode_key(&Secret::File(path.to_owned()).read()?).ok_or_else(words)
}

/// Decodes a key; `None` if it is too short or neither hex nor base64url.
fn decode_key(text: &SecretString) -> Option<SecretSlice<u8>> {
    let text = text.expose_secret().trim().trim_end_matches('=');
    let key = hex::decode(text).or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text)).ok()?;
    (key.len() >= KEY_BYTES_MIN).then(|| SecretSlice::from(key))
}

/// The values that one mapping hashes.
#[derive(Default)]
pub(super) struct Hiding {
    identity: Option<Arc<HashRule>>,
    attributes: Vec<(String, Range<usize>, Arc<HashRule>)>,
}

impl Hiding {
    /// Reads `hash = "hmac-sha256"`, for the identity as it is, or `hash = { normalise = ["digits"], attributes = {
    /// mail = ["trim", "lower"] } }`.
    pub(super) fn read(mapping: &Table<'_, '_>, key: Option<&HashKey>) -> Self {
        let Some(value) = mapping.value("hash") else { return Self::default() };
        let Some(key) = key else {
            mapping.report(value.span(), "hash needs a key; set key in [privacy]");
            return Self::default();
        };
        let rule = |normalisations, encoding| Arc::new(HashRule { key: key.clone(), normalisations, encoding });
        if value.get_ref().as_str().is_some() {
            mapping.one_of("hash", [ALGORITHM]);
            return Self { identity: Some(rule(Vec::new(), Encoding::Hex)), attributes: Vec::new() };
        }
        let Some(section) = mapping.table("hash") else { return Self::default() };
        section.one_of("algorithm", [ALGORITHM]);
        let encoding = section.one_of("encoding", Encoding::ALL.map(Encoding::name));
        let encoding = Encoding::ALL.into_iter().find(|known| Some(known.name()) == encoding).unwrap_or_default();
        let has_identity = section.flag("identity").unwrap_or(true);
        let identity = rule(normalisations(&section, section.texts("normalise")), encoding);
        let attributes = section.table("attributes").map_or_else(Vec::new, |table| {
            let attribute = |(name, span, _): (&str, Range<usize>, _)| {
                let steps = normalisations(&table, table.texts_of(name));
                (name.to_owned(), span, rule(steps, encoding))
            };
            table.entries().map(attribute).collect()
        });
        section.finish();
        Self { identity: has_identity.then_some(identity), attributes }
    }

    pub(super) fn of_identity(&self) -> Option<Arc<HashRule>> {
        self.identity.clone()
    }

    pub(super) fn of_attribute(&self, key: &str) -> Option<Arc<HashRule>> {
        self.attributes.iter().find(|(name, ..)| name == key).map(|(.., rule)| rule.clone())
    }

    /// Reports attributes that the mapping does not change.
    pub(super) fn check(&self, mapping: &Table<'_, '_>, has: impl Fn(&str) -> bool) {
        for (name, span, _) in self.attributes.iter().filter(|(name, ..)| !has(name)) {
            mapping
                .report(span.clone(), format!("hash names the attribute {name}, which this mapping does not change"));
        }
    }
}

fn normalisations(section: &Table<'_, '_>, texts: Vec<Spanned<&str>>) -> Vec<Normalisation> {
    let mut steps = Vec::new();
    for text in texts {
        match Normalisation::ALL.into_iter().find(|step| step.name() == *text.get_ref()) {
            Some(step) => steps.push(step),
            None => {
                let known = Normalisation::ALL.map(Normalisation::name).join(", ");
                section.report(text.span(), format!("unknown step \"{}\"; there are {known}", text.get_ref()));
            }
        }
    }
    steps
}
