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

/// Returns the number by which a process knows a profile: the first half of its hash.
///
/// Limits: two profiles with one number are never in flight at once, and share what the process remembers of either.
pub(super) fn number(hash: Uuid) -> i64 {
    hash.as_u64_pair().0.cast_signed()
}

/// Returns the first and the last hash of profiles with a number.
pub(super) fn hashes(number: i64) -> (Uuid, Uuid) {
    let half = number.cast_unsigned();
    (Uuid::from_u64_pair(half, 0), Uuid::from_u64_pair(half, u64::MAX))
}

/// Returns the kind with a stored number.
pub(super) const fn kind_of(number: i16) -> Option<IdentityKind> {
    match number {
        0 => Some(IdentityKind::ThirdPartyId),
        1 => Some(IdentityKind::PcId),
        _ => None,
    }
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
    fn a_number_names_the_hashes_that_begin_with_it() {
        for hash in [Uuid::from_u64_pair(u64::MAX - 5, 3), Uuid::from_u64_pair(7, 0)] {
            let (first, last) = hashes(number(hash));
            assert!(first <= hash && hash <= last && last.as_u64_pair().0 == hash.as_u64_pair().0);
        }
        assert_eq!(kind_of(kind_number(IdentityKind::PcId)), Some(IdentityKind::PcId));
    }

    #[test]
    fn hashes_are_those_that_databases_have() {
        let hash = |kind, key: &str| profile_hash(&Identity::new(kind, key).expect("valid")).to_string();
        let expected = ["7a3af8cd-49ad-3101-0deb-e0a7d3efad8f", "6482f4a5-7d68-5b5c-c983-6da8e0b1facd"];
        assert_eq!([hash(IdentityKind::ThirdPartyId, "1"), hash(IdentityKind::PcId, "1")], expected);
    }
}
