//! The key of a profile in the hub's tables.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::core::identity::{Identity, IdentityKind};

/// Returns the first 128 bits of SHA-256 over the kind and the key. Must never change, since it is stored.
///
/// Limits: among a thousand million profiles, two have the same hash once in some 10²⁰ hubs; the later one is refused then.
pub(super) fn profile_hash(identity: &Identity) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update(identity.kind().name());
    hasher.update(b":");
    hasher.update(identity.key());
    let digest = hasher.finalize();
    Uuid::from_slice(&digest[..16]).expect("16 bytes")
}

/// Returns the number under which a kind is stored.
pub(super) const fn kind_number(kind: IdentityKind) -> i16 {
    match kind {
        IdentityKind::ThirdPartyId => 0,
        IdentityKind::PcId => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_databases_have() {
        let hash = |kind, key: &str| profile_hash(&Identity::new(kind, key).expect("valid")).to_string();
        let expected = ["7a3af8cd-49ad-3101-0deb-e0a7d3efad8f", "6482f4a5-7d68-5b5c-c983-6da8e0b1facd"];
        assert_eq!([hash(IdentityKind::ThirdPartyId, "1"), hash(IdentityKind::PcId, "1")], expected);
    }
}
