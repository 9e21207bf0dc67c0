//! The key by which a person is found where the store keeps no identity.

use std::hash::Hasher;

use rusqlite::Connection;
use rusqlite::types::Type;
use siphasher::sip::SipHasher24;

use super::stored::Stored;
use crate::core::identity::Identity;

/// The key of the hashes of identities. It stays as long as the store: hashes are compared with those of later events.
#[derive(Clone, Copy)]
pub(super) struct IdentityKey([u8; 16]);

impl IdentityKey {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        connection.query_row("SELECT open(key, 'identity_key') AS key FROM identity_key", [], |row| {
            let mut key = [0; 16];
            hex::decode_to_slice(row.get::<_, String>("key")?, &mut key)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))?;
            Ok(Self(key))
        })
    }

    /// Hashes an identity as it is stored.
    ///
    /// Limits: two of a million persons share a hash once in some 40 million stores.
    pub(super) fn hash(&self, identity: &Identity) -> i64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&identity.kind().stored().to_le_bytes());
        hasher.write(identity.key().as_bytes());
        hasher.finish().cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_identities_are_those_that_stores_have() {
        let key = IdentityKey(*b"0123456789abcdef");
        let hashes = ["third_party_id:7", "pc_id:7"].map(|text| key.hash(&text.parse().expect("valid")));
        assert_eq!(hashes, [9_201_596_377_920_459_532, 7_457_322_538_829_430_768]);
    }
}
