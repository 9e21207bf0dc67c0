//! What two events say: compared in full, or by a fingerprint when the journal no longer holds the first.
//!
//! The same event may be written differently, and the mappings may keep other fields of it by now: so events are compared
//! in what both hold. A fingerprint is made of what the journal has of an event, not of the event as it came: the store must
//! not have so much as a hash of what its operator has it hide or leave out. So two fingerprints are compared where they are
//! of the same fields. Their key is random, and is replaced when a person is forgotten: nobody can find out by trying what an
//! event said that was purged before.

use std::hash::Hasher;

use rusqlite::Connection;
use rusqlite::types::Type;
use serde_json::Value;
use siphasher::sip::SipHasher24;

use crate::core::mapping::fields::HASHES_MEMBER;

/// Members that are not compared by fingerprint: the key of the event, which is the same, and how it was written.
const NOTATION: [&str; 5] = ["id", "source", "specversion", "datacontenttype", "dataschema"];

const TYPE_BITS: u32 = 8;
const FIELDS_BITS: u32 = 16;
const VALUES_BITS: u32 = 24;

/// What an event says, in the 48 bits that SQLite stores in six bytes: a hash of its type, one of the names of its fields, and
/// one of their values.
///
/// Limits: of events that differ, one of 16 million is taken for the same; of events that are the same and of which other fields
/// are kept by now, one of 65,536 is taken for another.
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
    /// Returns whether its event and that of another differ for certain.
    fn differs(self, other: Self) -> bool {
        let part = |bits: u32, below: u32| {
            let part = |fingerprint: Self| (fingerprint.0 >> below) & ((1 << bits) - 1);
            part(self) == part(other)
        };
        let same_type = part(TYPE_BITS, FIELDS_BITS + VALUES_BITS);
        let same_fields = part(FIELDS_BITS, VALUES_BITS);
        !same_type || (same_fields && !part(VALUES_BITS, 0))
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

    /// Returns the fingerprint of a journalled event; none of what cannot be read.
    pub(super) fn of(&self, json: &str) -> Option<Fingerprint> {
        let Value::Object(members) = said(json)? else { return None };
        let [mut event_type, mut fields, mut values] = [0_u8, 1, 2].map(|part| {
            let mut hasher = SipHasher24::new_with_key(&self.key);
            hasher.write_u8(part);
            hasher
        });
        for (name, value) in sorted(&members) {
            match name.as_str() {
                "type" => write_value(value, &mut event_type),
                name if NOTATION.contains(&name) => {}
                name => {
                    write_text(name, &mut fields);
                    write_fields(value, &mut fields, &mut values);
                }
            }
        }
        let top = |hasher: &SipHasher24, bits: u32| hasher.finish() >> (u64::BITS - bits);
        let parts = (top(&event_type, TYPE_BITS) << FIELDS_BITS | top(&fields, FIELDS_BITS)) << VALUES_BITS;
        // The sign is taken from the highest of the 48 bits, so that SQLite needs no more bytes.
        Some(Fingerprint(((parts | top(&values, VALUES_BITS)) << 16).cast_signed() >> 16))
    }

    /// Returns whether an event differs for certain from the one with that number and stored fingerprint.
    pub(super) fn tells_apart(&self, seq: i64, stored: Option<i64>, json: &str) -> bool {
        let stored = stored.filter(|_| seq >= self.since_seq).map(Fingerprint);
        stored.zip(self.of(json)).is_some_and(|(stored, event)| stored.differs(event))
    }
}

impl Fingerprint {
    /// Returns the number under which it is stored.
    pub(super) const fn stored(self) -> i64 {
        self.0
    }
}

/// Returns whether two events say the same in all that both hold. What cannot be read is not said to differ.
pub(super) fn says_the_same(held: &str, json: &str) -> bool {
    match (said(held), said(json)) {
        (Some(held), Some(json)) => agree(&held, &json),
        _ => true,
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

fn sorted(members: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members
}

/// Writes the names of the fields below a value to one hash, and what they hold to another. Of a list, mappings keep all or nothing:
/// it is one field.
fn write_fields(value: &Value, fields: &mut SipHasher24, values: &mut SipHasher24) {
    let Value::Object(members) = value else { return write_value(value, values) };
    fields.write_u8(b'{');
    for (name, value) in sorted(members) {
        write_text(name, fields);
        write_fields(value, fields, values);
    }
    fields.write_u8(b'}');
}

/// Writes a value so that no two are written the same. It never changes: its hash is stored.
fn write_value(value: &Value, to: &mut SipHasher24) {
    match value {
        Value::Null => to.write_u8(b'n'),
        Value::Bool(value) => to.write(&[b'b', u8::from(*value)]),
        Value::Number(number) => {
            let (kind, bits) = match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => (b'i', number.cast_unsigned()),
                (None, Some(number)) => (b'u', number),
                // Zero has no sign when values are compared.
                (None, None) => (b'f', (number.as_f64().unwrap_or_default() + 0.0).to_bits()),
            };
            to.write_u8(kind);
            to.write(&bits.to_be_bytes());
        }
        Value::String(text) => {
            to.write_u8(b's');
            write_text(text, to);
        }
        Value::Array(items) => {
            to.write_u8(b'[');
            items.iter().for_each(|item| write_value(item, to));
            to.write_u8(b']');
        }
        Value::Object(members) => {
            to.write_u8(b'{');
            for (name, value) in sorted(members) {
                write_text(name, to);
                write_value(value, to);
            }
            to.write_u8(b'}');
        }
    }
}

fn write_text(text: &str, to: &mut SipHasher24) {
    to.write(text.as_bytes());
    // No UTF-8 has this byte.
    to.write_u8(0xff);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the fingerprints of two events with these members tell them apart.
    fn check(one: &str, other: &str, differ: bool) {
        let key = FingerprintKey { key: *b"0123456789abcdef", since_seq: 1 };
        let event = |members: &str| format!("{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/t\",{members}}}");
        let stored = key.of(&event(one)).expect("JSON").stored();
        assert!(stored.abs() < 1 << 47, "six bytes: {stored}");
        assert_eq!(key.tells_apart(1, Some(stored), &event(other)), differ, "{one}, {other}");
        assert!(!key.tells_apart(0, Some(stored), &event(other)), "made with another key");
        assert!(!key.tells_apart(1, None, &event(other)), "not known");
        if differ {
            assert!(!says_the_same(&event(one), &event(other)), "{one}, {other}");
        }
    }

    #[test]
    fn events_differ_in_their_type_or_in_values_of_the_same_fields() {
        let event =
            r#""type":"t","time":"2026-11-23T10:00:00Z","data":{"card":"7","total":1.0,"items":[{"a":1,"b":2}]}"#;
        let changed = |from: &str, to: &str| {
            assert!(event.contains(from), "{from}");
            event.replace(from, to)
        };
        check(event, event, false);
        check(event, &changed("\"7\"", "\"8\""), true);
        check(event, &changed("\"7\"", "7"), true);
        check(event, &changed("1.0", "2.0"), true);
        check(event, &changed("1.0", "1"), true);
        check(event, &changed("{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}"), true);
        check(event, &changed("10:00:00Z", "10:00:01Z"), true);
        check(event, &changed("\"t\"", "\"u\""), true);
        check(event, &changed("\"card\":\"7\",", "\"card\":\"8\",\"more\":true,"), false);
        check(r#""type":"t","data":{"a":"1","b":"2"}"#, r#""type":"t","data":{"a":"2","b":"1"}"#, true);
    }

    #[test]
    fn the_same_event_in_another_notation_or_with_other_fields_kept_does_not_differ() {
        let event = r#""type":"t","data":{"card":"7","a":-0.0,"list":[{"a":1,"b":2}]}"#;
        check(event, r#""data": {"list":[{"b":2,"a":1}],"a":0.0, "card":"\u0037"},"type":"t""#, false);
        check(event, &format!("{event},\"datacontenttype\":\"application/json\""), false);
        check(event, r#""type":"t""#, false);
        check(event, r#""type":"t","data":{"card":"7"}"#, false);
        check(event, r#""type":"t","data":{}"#, false);
    }

    #[test]
    fn hashes_of_what_is_hidden_are_compared_by_their_labels() {
        let event = |hashes: &str| format!("\"type\":\"t\",\"{HASHES_MEMBER}\":{}", Value::from(hashes));
        check(&event(r#"{"hex : data.card":"ab"}"#), &event(r#"{"hex : data.card":"cd"}"#), true);
        check(
            &event(r#"{"hex : data.card":"ab"}"#),
            &event(r#"{"hex : data.card":"ab","hex : data.mail":"cd"}"#),
            false,
        );
        let json = |hashes: &str| format!("{{{}}}", event(hashes));
        assert!(says_the_same(&json(r#"{"hex : data.card":"ab"}"#), &json(r#"{"hex : data.mail":"cd"}"#)));
    }

    #[test]
    fn fingerprints_are_those_that_stores_have() {
        let key = FingerprintKey { key: *b"0123456789abcdef", since_seq: 1 };
        let event = r#"{"type":"t","data":{"a":[1,-1,18446744073709551615,0.5,null,true,"ö",{"b":{}}]}}"#;
        assert_eq!(key.of(event).expect("JSON").stored(), -29_758_163_673_898);
    }
}
