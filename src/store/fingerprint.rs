//! What two events say: compared in full, or by a fingerprint when the journal no longer holds the first.
//!
//! A field that is missing or new makes another event. But mappings may keep other fields of the same event by now: so values are
//! compared where the same fields are kept of both. Of a field that is hidden or left out the store has no hash of what it
//! holds; that it was there is known. The key of fingerprints is random, and is replaced when a person is forgotten: nobody can
//! find out by trying what an event said that was purged before.

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

/// What an event says, in the 48 bits that SQLite stores in six bytes: the parts of its digest, each hashed with the key.
///
/// Limits: of events with other fields, one of 65,536 is taken for the same, and of those with other values one of a
/// million; of events that are the same and of which other fields are kept by now, one of 4,096 is taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(i64);

/// The key of fingerprints.
#[derive(Clone, Copy)]
pub(super) struct FingerprintKey {
    key: [u8; 16],
    /// First event whose fingerprint was made with it.
    since_seq: i64,
}

impl Fingerprint {
    /// Returns whether its event and that of another had other fields, or another type, for certain.
    fn has_other_fields(self, other: Self) -> bool {
        self.part(CAME_BITS, KEPT_BITS + VALUES_BITS) != other.part(CAME_BITS, KEPT_BITS + VALUES_BITS)
    }

    /// Returns whether the same fields are kept of both events, and hold something else for certain.
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
    /// The key of one who only reads: it tells nothing apart.
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

    /// Another key, for the events from a number on.
    pub(super) fn replace(connection: &Connection, since_seq: i64) -> rusqlite::Result<Self> {
        let replace = "UPDATE fingerprint_key SET key = seal(hex(randomblob(16)), 'fingerprint_key'), since_seq = ?1";
        connection.execute(replace, [since_seq])?;
        Self::load(connection)
    }

    /// Returns the fingerprint of an event with that digest.
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
        // The sign is taken from the highest of the 48 bits, so that SQLite needs no more bytes.
        Fingerprint((parts << 16).cast_signed() >> 16)
    }

    /// Returns the fingerprint of an event that was stored under a number, and is stored again as that digest says; none where the
    /// first was made with another key.
    pub(super) fn again(&self, seq: i64, stored: Option<i64>, digest: ContentDigest) -> Option<Fingerprint> {
        const BELOW: i64 = (1 << (KEPT_BITS + VALUES_BITS)) - 1;
        let (stored, again) = self.both(seq, stored, Some(digest))?;
        Some(Fingerprint((stored.0 & !BELOW) | (again.0 & BELOW)))
    }

    /// Returns whether an event differs for certain from the one with that number and stored fingerprint.
    pub(super) fn tells_apart(&self, seq: i64, stored: Option<i64>, digest: Option<ContentDigest>) -> bool {
        self.both(seq, stored, digest)
            .is_some_and(|(stored, event)| stored.has_other_fields(event) || stored.has_other_values(event))
    }

    /// Returns whether an event had other fields, for certain, than the one with that number and stored fingerprint.
    pub(super) fn tells_fields_apart(&self, seq: i64, stored: Option<i64>, digest: Option<ContentDigest>) -> bool {
        self.both(seq, stored, digest).is_some_and(|(stored, event)| stored.has_other_fields(event))
    }

    fn both(&self, seq: i64, stored: Option<i64>, digest: Option<ContentDigest>) -> Option<(Fingerprint, Fingerprint)> {
        let stored = stored.filter(|_| seq >= self.since_seq).map(Fingerprint);
        stored.zip(digest.map(|digest| self.of(digest)))
    }
}

/// Returns whether what is kept of two events says the same: in all, or in all that both hold, where other fields are kept of
/// one. What cannot be read is not said to differ.
pub(super) fn says_the_same(held: &str, json: &str) -> bool {
    match (ContentDigest::of(held, held), ContentDigest::of(json, json)) {
        (Some(held), Some(json)) if held.kept == json.kept => held.values == json.values,
        _ => said(held).zip(said(json)).is_none_or(|(held, json)| agree(&held, &json)),
    }
}

/// What an event says, with the hashes of what it hides as members by their labels.
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

    /// Whether the fingerprints of two events tell them apart, each with its members as it came, and with those that are kept.
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
