//! Comparison of two events: in full, or by a fingerprint if the journal no longer has the first.
//!
//! A field that is missing or new makes a different event. But mappings may keep other fields of the same event by now,
//! so values are compared only if the same fields are kept of both. The store has no hash of the value of a field that
//! is hidden or left out, only the fact that the field was there. The key of fingerprints is random and is replaced
//! when a person is forgotten, so that nobody can find the content of a purged event by guessing.

use std::hash::Hasher;

use rusqlite::Connection;
use rusqlite::types::Type;
use serde_json::Value;
use siphasher::sip::SipHasher24;

use crate::core::content_digest::ContentDigest;
use crate::core::mapping::fields::HASHES_MEMBER;

const CAME_BITS: u32 = 16;
const KEPT_BITS: u32 = 12;
const VALUES_BITS: u32 = 20;

/// The content of an event in the 48 bits that SQLite stores in six bytes: the parts of its digest, each hashed with
/// the key.
///
/// Limits: of events with other fields, one in 65,536 counts as the same, and of those with other values one in a
/// million; of equal events whose kept fields have changed, one in 4,096 counts as different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(i64);

/// The key of fingerprints.
#[derive(Clone, Copy)]
pub(super) struct FingerprintKey {
    key: [u8; 16],
    /// First event whose fingerprint was made with this key.
    since_seq: i64,
}

impl Fingerprint {
    /// Returns true if the two events certainly have different fields, or different types.
    fn has_other_fields(self, other: Self) -> bool {
        self.part(CAME_BITS, KEPT_BITS + VALUES_BITS) != other.part(CAME_BITS, KEPT_BITS + VALUES_BITS)
    }

    /// Returns true if the same fields are kept of both events and certainly have different values.
    fn has_other_values(self, other: Self) -> bool {
        let are_comparable = self.part(KEPT_BITS, VALUES_BITS) == other.part(KEPT_BITS, VALUES_BITS);
        are_comparable && self.part(VALUES_BITS, 0) != other.part(VALUES_BITS, 0)
    }

    const fn part(self, bits: u32, below: u32) -> i64 {
        (self.0 >> below) & ((1 << bits) - 1)
    }

    /// Returns the number under which it is stored.
    pub(super) const fn stored(self) -> i64 {
        self.0
    }
}

impl FingerprintKey {
    /// Key of a connection that only reads: it can compare nothing.
    pub(super) const UNKNOWN: Self = Self { key: [0; 16], since_seq: i64::MAX };

    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT open(key, 'fingerprint_key') AS key, since_seq FROM fingerprint_key";
        connection.query_row(sql, [], |row| {
            let mut key = [0; 16];
            hex::decode_to_slice(row.get::<_, String>("key")?, &mut key)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))?;
            Ok(Self { key, since_seq: row.get("since_seq")? })
        })
    }

    /// Creates another key, for events from number `since_seq` on.
    pub(super) fn replace(connection: &Connection, since_seq: i64) -> rusqlite::Result<Self> {
        let replace = "UPDATE fingerprint_key SET key = seal(hex(randomblob(16)), 'fingerprint_key'), since_seq = ?1";
        connection.execute(replace, [since_seq])?;
        Self::load(connection)
    }

    /// Returns the fingerprint of an event with a digest.
    pub(super) fn of(&self, digest: ContentDigest) -> Fingerprint {
        let part = |number: u8, hash: u64, bits: u32| {
            let mut hasher = SipHasher24::new_with_key(&self.key);
            hasher.write_u8(number);
            hasher.write(&hash.to_le_bytes());
            hasher.finish() >> (u64::BITS - bits)
        };
        let ContentDigest { came, kept, values } = digest;
        let fields = part(0, came, CAME_BITS) << KEPT_BITS | part(1, kept, KEPT_BITS);
        let parts = fields << VALUES_BITS | part(2, values, VALUES_BITS);
        // The sign comes from the highest of the 48 bits, so that SQLite needs no more bytes.
        Fingerprint((parts << 16).cast_signed() >> 16)
    }

    /// Returns the fingerprint of an event that was stored under number `seq` and is now stored again with `digest`;
    /// `None` if the first one was made with another key.
    pub(super) fn again(&self, seq: i64, stored: Option<i64>, digest: ContentDigest) -> Option<Fingerprint> {
        const BELOW: i64 = (1 << (KEPT_BITS + VALUES_BITS)) - 1;
        let (stored, again) = self.both(seq, stored, Some(digest))?;
        Some(Fingerprint((stored.0 & !BELOW) | (again.0 & BELOW)))
    }

    /// Returns true if an event certainly differs from the one with that number and stored fingerprint.
    pub(super) fn tells_apart(&self, seq: i64, stored: Option<i64>, digest: Option<ContentDigest>) -> bool {
        self.both(seq, stored, digest)
            .is_some_and(|(stored, event)| stored.has_other_fields(event) || stored.has_other_values(event))
    }

    /// Returns true if an event certainly has other fields than the one with that number and stored fingerprint.
    pub(super) fn tells_fields_apart(&self, seq: i64, stored: Option<i64>, digest: Option<ContentDigest>) -> bool {
        self.both(seq, stored, digest).is_some_and(|(stored, event)| stored.has_other_fields(event))
    }

    fn both(&self, seq: i64, stored: Option<i64>, digest: Option<ContentDigest>) -> Option<(Fingerprint, Fingerprint)> {
        let stored = stored.filter(|_| seq >= self.since_seq).map(Fingerprint);
        stored.zip(digest.map(|digest| self.of(digest)))
    }
}

/// Returns true if the kept parts of two events are equal: completely or, if different fields are kept, in all fields
/// that both have. Unreadable parts count as equal.
pub(super) fn says_the_same(held: &str, json: &str) -> bool {
    match (ContentDigest::of(held, held), ContentDigest::of(json, json)) {
        (Some(held), Some(json)) if held.kept == json.kept => held.values == json.values,
        _ => said(held).zip(said(json)).is_none_or(|(held, json)| agree(&held, &json)),
    }
}

/// Returns the content of an event, with the hashes of hidden fields as members by their labels.
fn said(json: &str) -> Option<Value> {
    let mut event: Value = serde_json::from_str(json).ok()?;
    if let Some(hashes) = event.get_mut(HASHES_MEMBER)
        && let Some(read) = hashes.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *hashes = read;
    }
    Some(event)
}

fn agree(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.iter().all(|(name, value)| other.get(name).is_none_or(|other| agree(value, other)))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: FingerprintKey = FingerprintKey { key: *b"0123456789abcdef", since_seq: 1 };

    /// Checks whether two fingerprints differ; each event is given as received and as kept.
    fn check_kept((one, one_kept): (&str, &str), (other, other_kept): (&str, &str), differ: bool) {
        let event = |members: &str| format!("{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/t\",{members}}}");
        let digest = |came: &str, kept: &str| ContentDigest::of(&event(came), &event(kept));
        let stored = KEY.of(digest(one, one_kept).expect("JSON")).stored();
        assert!(stored.abs() < 1 << 47, "six bytes: {stored}");
        let other_digest = digest(other, other_kept);
        assert!(other_digest.is_some(), "{other}");
        assert_eq!(KEY.tells_apart(1, Some(stored), other_digest), differ, "{one}, {other}");
        assert!(!KEY.tells_apart(0, Some(stored), other_digest), "made with another key");
        assert!(!KEY.tells_apart(1, None, other_digest), "not known");
        let held = says_the_same(&event(one_kept), &event(other_kept));
        let is_seen = KEY.tells_fields_apart(1, Some(stored), other_digest) || !held;
        assert_eq!(is_seen, differ, "held: {one}, {other}");
    }

    fn check(one: &str, other: &str, differ: bool) {
        check_kept((one, one), (other, other), differ);
    }

    #[test]
    fn events_differ_in_their_type_in_their_fields_or_in_what_these_hold() {
        let event =
            r#""type":"t","time":"2026-11-23T10:00:00Z","data":{"card":"7","total":1.0,"items":[{"a":1,"b":2}]}"#;
        let changed = |from: &str, to: &str| {
            assert!(event.contains(from), "{from}");
            event.replace(from, to)
        };
        check(event, event, false);
        for (from, to) in [
            ("\"7\"", "\"8\""),
            ("\"7\"", "7"),
            ("\"7\"", "null"),
            ("1.0", "2.0"),
            ("1.0", "1"),
            ("{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}"),
            ("{\"a\":1,\"b\":2}", "{\"a\":1}"),
            ("10:00:00Z", "10:00:01Z"),
            ("\"t\"", "\"u\""),
            ("\"card\":\"7\",", ""),
            ("\"card\":\"7\",", "\"card\":\"7\",\"more\":true,"),
            ("\"card\":\"7\",", "\"card\":{\"7\":7},"),
            ("\"time\":\"2026-11-23T10:00:00Z\",", ""),
            ("\"type\":\"t\",", "\"type\":\"t\",\"subject\":\"s\","),
        ] {
            check(event, &changed(from, to), true);
        }
        check(r#""type":"t","data":{"a":"1","b":"2"}"#, r#""type":"t","data":{"a":"2","b":"1"}"#, true);
        check(r#""type":"t","data":{"a":{}}"#, r#""type":"t","data":{}"#, true);
        check(r#""type":"t","data":77777777777777777777"#, r#""type":"t","data":77777777777777777778"#, true);
        check(r#""type":"t","data":0.12345678901234567891"#, r#""type":"t","data":0.12345678901234567892"#, true);
    }

    #[test]
    fn the_same_event_in_another_notation_does_not_differ() {
        let event = r#""type":"t","data":{"card":"7","a":-0.0,"list":[{"a":1.5,"b":2}]}"#;
        check(event, r#""data": {"list":[{"b":2,"a":1.50}],"a":0.0, "card":"\u0037"},"type":"t""#, false);
        check(event, &format!("{event},\"datacontenttype\":\"application/json\""), false);
        check(event, &format!("{event},\"subject\":null"), false);
        check(r#""type":"t","data":1.5e3"#, r#""type":"t","data":150.0e1"#, false);
    }

    #[test]
    fn of_what_is_not_kept_of_both_its_presence_counts_alone() {
        let came = r#""type":"t","data":{"card":"7","mail":"a@b.c"}"#;
        let other = r#""type":"t","data":{"card":"7","mail":"d@e.f"}"#;
        let (kept, none) = (r#""type":"t","data":{"card":"7"}"#, r#""type":"t""#);
        check_kept((came, kept), (other, kept), false);
        check_kept((came, came), (came, kept), false);
        check_kept((came, none), (came, came), false);
        check_kept((came, kept), (kept, kept), true);
        check_kept((came, none), (none, none), true);
    }

    #[test]
    fn hashes_of_what_is_hidden_are_compared_by_their_labels() {
        let came = r#""type":"t","data":{"card":"7"}"#;
        let kept = |hashes: &str| format!("\"type\":\"t\",\"{HASHES_MEMBER}\":{}", Value::from(hashes));
        let check = |one: &str, other: &str, differ| check_kept((came, &kept(one)), (came, &kept(other)), differ);
        check(r#"{"hex : data.card":"ab"}"#, r#"{"hex : data.card":"ab"}"#, false);
        check(r#"{"hex : data.card":"ab"}"#, r#"{"hex : data.card":"cd"}"#, true);
        check(r#"{"hex : data.card":"ab"}"#, r#"{"hex : data.card":"ab","hex : data.mail":"cd"}"#, false);
        check(r#"{"hex : data.card":"ab"}"#, r#"{"hex : data.mail":"cd"}"#, false);
    }

    #[test]
    fn fingerprints_are_those_that_stores_have() {
        let event = r#"{"type":"t","data":{"a":[1,-1,18446744073709551615,0.5,null,true,"ö",{"b":{}}]}}"#;
        let digest = ContentDigest::of(event, event).expect("JSON");
        assert_eq!(KEY.of(digest).stored(), -121_298_963_425_278);
    }
}
