//! A text in 64 bits, where very many must be known again.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Hashes a text. Limits: two of a million texts are the same once in some 40 million times.
#[must_use]
pub fn short_hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
