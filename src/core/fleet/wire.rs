//! A device's request to hand over, and the hub's answer: JSON.
//!
//! One part that cannot be read is refused alone, with words; the others of the request count.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::PartId;
use super::device_state::DeviceState;
use super::refused::{Reason, Refused};
use super::shown::shown;
use crate::core::attribute::{AttributeName, check_value_length};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::{APPEND_ITEMS_MAX, ATTRIBUTE_VALUE_CHARS_MAX};
use crate::core::operation::{Held, Operation, Part, Stamp, StoredItem, decimal_text, number};
use crate::core::timestamp::Timestamp;

/// Path of the request.
pub const PARTS_PATH: &str = "/v1/hub/parts";

/// Version of the protocol.
pub const PROTOCOL: u32 = 1;

/// Most profiles of one request.
pub const PROFILES_MAX: usize = 500;

/// Most attributes of one profile in a request; a sum may have several parts.
pub const ATTRIBUTES_MAX: usize = 2_000;

/// Largest body. Units: bytes before gzip.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// Most parts that one request may name as confirmed.
const CONFIRMED_MAX: usize = 10_000;

/// A device's request: profiles with what is pending of them, and how the device is.
#[derive(Debug, Default)]
pub struct Handover {
    /// Random number of the device's store: the one that stands in the stamps of its events, whatever the device is called. None:
    /// the name that the hub knows it by stands there.
    pub store: Option<PartId>,
    /// The device's clock when it sent the request, if it said.
    pub sent_at: Option<Timestamp>,
    /// Parts whose answer the device has on its disk, so that it never sends them again.
    pub confirmed: Vec<PartId>,
    /// State of the device.
    pub state: DeviceState,
    /// Profiles, with what is pending of each.
    pub profiles: Vec<ProfileParts>,
    /// Parts that could not be read.
    pub refused: Vec<Refused>,
}

/// A profile, and what is pending of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileParts {
    /// Place of the profile in the request, from 0.
    pub place: usize,
    /// Identity of the profile.
    pub identity: Identity,
    /// Parts of attributes; several of one name only for sums.
    pub attributes: Vec<AttributePart>,
}

/// A device's part of one attribute, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributePart {
    /// Name of the attribute.
    pub name: AttributeName,
    /// Operation by which events change it.
    pub operation: Operation,
    /// Value, decisive event and items. The device's name is still empty.
    pub part: Part,
    /// Id of the part of a sum.
    pub id: Option<PartId>,
    /// Number of the newest event in it.
    pub version: i64,
    /// Source and id of the event that decided it, for those who ask.
    pub event: String,
    /// Mapping that wrote it.
    pub mapping: String,
}

/// The hub's answer once everything is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Parts that were not taken.
    pub refused: Vec<Refused>,
    /// Version of the mappings that the device should use; 0 for those of its own file.
    pub mappings: u64,
    /// Time after which the device should come again if there is more to send. Units: seconds.
    pub next_in_seconds: u64,
    /// The hub's clock, RFC 3339.
    pub time: Timestamp,
}

/// A request that cannot be read at all.
#[derive(Debug)]
pub enum HandoverError {
    /// It is not JSON of the right shape.
    Json(serde_json::Error),
    /// Its protocol is not [`PROTOCOL`].
    Protocol(u32),
    /// It has more than a request may have: found, most, and of which.
    TooMany(usize, usize, &'static str),
}

impl fmt::Display for HandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the request is not the JSON of a handover: {error}"),
            Self::Protocol(found) => {
                write!(f, "the request has protocol {found}, and this hub speaks {PROTOCOL}; update the older side")
            }
            Self::TooMany(found, most, what) => write!(f, "the request has {found} {what}, at most {most} are allowed"),
        }
    }
}

impl std::error::Error for HandoverError {}

#[derive(Deserialize)]
struct Envelope<'a> {
    protocol: u32,
    #[serde(default)]
    store: Option<PartId>,
    #[serde(default)]
    sent_at: Value,
    #[serde(borrow, default)]
    confirmed: Vec<&'a RawValue>,
    #[serde(default)]
    state: DeviceState,
    #[serde(borrow, default)]
    profiles: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawProfile<'a> {
    third_party_id: Option<String>,
    pc_id: Option<String>,
    #[serde(borrow)]
    attributes: Vec<&'a RawValue>,
}

/// An attribute as it travels.
#[derive(Serialize, Deserialize)]
struct RawAttribute {
    name: String,
    operation: String,
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<Vec<StoredItem>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<PartId>,
    version: i64,
    time: String,
    seq: i64,
    #[serde(default)]
    event: String,
    #[serde(default)]
    mapping: String,
}

#[derive(Serialize)]
struct SentProfile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    third_party_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pc_id: Option<&'a str>,
    attributes: Vec<RawAttribute>,
}

#[derive(Serialize)]
struct Sent<'a> {
    protocol: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<PartId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<Timestamp>,
    confirmed: &'a [PartId],
    state: &'a DeviceState,
    profiles: Vec<SentProfile<'a>>,
}

impl Handover {
    /// Reads a request. Parts that cannot be read are in `refused`; confirmed parts that cannot be read are left out, since
    /// nobody waits for them.
    ///
    /// # Errors
    /// [`HandoverError`], if not even the others can be read.
    pub fn read(body: &[u8]) -> Result<Self, HandoverError> {
        let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(HandoverError::Json)?;
        if envelope.protocol != PROTOCOL {
            return Err(HandoverError::Protocol(envelope.protocol));
        }
        let too_many =
            |found, most, what| if found > most { Err(HandoverError::TooMany(found, most, what)) } else { Ok(()) };
        too_many(envelope.profiles.len(), PROFILES_MAX, "profiles")?;
        too_many(envelope.confirmed.len(), CONFIRMED_MAX, "confirmed parts")?;
        let mut handover = Self {
            store: envelope.store,
            sent_at: envelope.sent_at.as_str().and_then(|text| Timestamp::parse(text).ok()),
            confirmed: envelope.confirmed.iter().filter_map(|id| serde_json::from_str(id.get()).ok()).collect(),
            state: envelope.state,
            ..Self::default()
        };
        for (place, raw) in envelope.profiles.into_iter().enumerate() {
            match handover.read_profile(place, raw) {
                Ok(profile) => handover.profiles.push(profile),
                Err(reason) => handover.refused.push(Refused::profile(place, &reason)),
            }
        }
        Ok(handover)
    }

    /// Returns the places at which the attributes of a profile stood in the request: those of parts that could not be read are
    /// left out.
    pub fn places(&self, profile: &ProfileParts) -> impl Iterator<Item = usize> {
        let of_profile = self.refused.iter().filter(|refused| refused.profile == profile.place);
        let left_out: Vec<usize> = of_profile.filter_map(|refused| refused.place).collect();
        (0..).filter(move |place| left_out.binary_search(place).is_err())
    }

    fn read_profile(&mut self, place: usize, raw: &RawValue) -> Result<ProfileParts, String> {
        let profile: RawProfile<'_> = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
        let (kind, key) = match (profile.third_party_id, profile.pc_id) {
            (Some(key), None) => (IdentityKind::ThirdPartyId, key),
            (None, Some(key)) => (IdentityKind::PcId, key),
            _ => return Err("a profile has either a third_party_id or a pc_id".to_owned()),
        };
        let identity = Identity::new(kind, key).map_err(|error| error.to_string())?;
        let found = profile.attributes.len();
        if found > ATTRIBUTES_MAX {
            return Err(format!(
                "the profile has {found} attributes, at most {ATTRIBUTES_MAX} are allowed in one request"
            ));
        }
        let mut attributes = Vec::with_capacity(found);
        for (at, raw) in profile.attributes.into_iter().enumerate() {
            let read =
                serde_json::from_str::<RawAttribute>(raw.get()).map_err(|error| (None, error.to_string().into()));
            match read.and_then(|raw| raw.checked().map_err(|reason| (Some(raw.name), reason))) {
                Ok(attribute) => attributes.push(attribute),
                Err((name, reason)) => self.refused.push(Refused::part(place, (at, name.as_deref()), &reason)),
            }
        }
        Ok(ProfileParts { place, identity, attributes })
    }

    /// Returns the request as JSON.
    #[must_use]
    pub fn write(&self) -> String {
        let profiles = self.profiles.iter().map(|profile| {
            let key = |kind| (profile.identity.kind() == kind).then(|| profile.identity.key());
            SentProfile {
                third_party_id: key(IdentityKind::ThirdPartyId),
                pc_id: key(IdentityKind::PcId),
                attributes: profile.attributes.iter().map(RawAttribute::of).collect(),
            }
        });
        let sent = Sent {
            protocol: PROTOCOL,
            store: self.store,
            sent_at: self.sent_at,
            confirmed: &self.confirmed,
            state: &self.state,
            profiles: profiles.collect(),
        };
        serde_json::to_string(&sent).expect("texts and numbers are JSON")
    }
}

impl RawAttribute {
    fn of(attribute: &AttributePart) -> Self {
        let AttributePart { name, operation, part, id, version, event, mapping } = attribute;
        let stored =
            |item: &crate::core::operation::PartItem| (item.stamp.time.as_millis(), item.stamp.seq, item.item.clone());
        Self {
            name: name.as_str().to_owned(),
            operation: operation.name().to_owned(),
            value: part.value.clone(),
            items: (!part.items.is_empty()).then(|| part.items.iter().map(stored).collect()),
            part: *id,
            version: *version,
            time: part.stamp.time.to_string(),
            seq: part.stamp.seq,
            event: event.clone(),
            mapping: mapping.clone(),
        }
    }

    fn checked(&self) -> Result<AttributePart, Reason> {
        let name = AttributeName::new(&self.name).map_err(|error| error.to_string())?;
        let operation = Operation::ALL.into_iter().find(|operation| operation.name() == self.operation);
        let operation =
            operation.ok_or_else(|| Reason::Unknown("the operation is not known; update the hub".to_owned()))?;
        let time = Timestamp::parse(&self.time).map_err(|_| "time must be an RFC 3339 time")?;
        if self.version < 1 || self.seq < 0 {
            return Err("version must be 1 or more, and seq no less than 0".into());
        }
        if self.part.is_some() != operation.is_sum() {
            return Err("part must be the id of a part for add, and absent for other operations".into());
        }
        let stamp = Stamp { time, seq: self.seq };
        let items = operation.is_list().then(|| self.checked_items()).transpose()?;
        let held = Held { value: self.checked_value(operation)?, stamp, items };
        Ok(AttributePart {
            name,
            operation,
            part: operation.part(&held, &Arc::from("")),
            id: self.part,
            version: self.version,
            event: shown(&self.event),
            mapping: shown(&self.mapping),
        })
    }

    fn checked_value(&self, operation: Operation) -> Result<String, String> {
        if self.value.is_empty() {
            return Err("the value is empty, which Target ignores".to_owned());
        }
        check_value_length(&self.value).map_err(|found| {
            format!("the value has {found} characters, at most {ATTRIBUTE_VALUE_CHARS_MAX} are allowed")
        })?;
        if self.value.contains('\0') {
            return Err("the value holds the character NUL".to_owned());
        }
        if !operation.is_of_numbers() {
            return Ok(self.value.clone());
        }
        number(&self.value)
            .map(decimal_text)
            .ok_or_else(|| "the value is not a decimal number of at most 28 digits".to_owned())
    }

    fn checked_items(&self) -> Result<String, String> {
        let items = self.items.as_ref().ok_or("items must be there for append")?;
        let is_list = |item: &str| item.is_empty() || item.contains([',', '\0']) || check_value_length(item).is_err();
        // One more where the list ends.
        if items.len() > APPEND_ITEMS_MAX + 1 || items.iter().any(|(_, _, item)| item.as_deref().is_some_and(is_list)) {
            return Err(format!(
                "items must be at most {APPEND_ITEMS_MAX} of [time, seq, item], none empty, with a comma or too long"
            ));
        }
        if items.iter().all(|(_, _, item)| item.is_none()) {
            return Err("items must hold an item beside the end of the list".to_owned());
        }
        Ok(serde_json::to_string(items).expect("numbers and strings are JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(profiles: &str) -> String {
        format!(r#"{{"protocol":1,"sent_at":"2026-11-27T08:00:00Z","profiles":[{profiles}]}}"#)
    }

    fn attribute(members: &str) -> String {
        let base = r#""version":3,"time":"2026-11-27T07:00:00Z","seq":3"#;
        request(&format!(r#"{{"third_party_id":"1","attributes":[{{{base},{members}}}]}}"#))
    }

    fn refused(members: &str) -> String {
        let read = Handover::read(attribute(members).as_bytes()).expect("valid");
        assert_eq!((read.profiles.len(), read.profiles[0].attributes.len()), (1, 0), "{members}");
        read.refused.into_iter().next().expect("valid").reason
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let members = r#""name":"cities","operation":"append","value":"a,b","items":[[1,1,null],[2,2,"a"],[2,2,"b"]],"event":"till 7""#;
        let read = Handover::read(attribute(members).as_bytes()).expect("valid");
        assert_eq!(read.refused, []);
        let again = Handover::read(read.write().as_bytes()).expect("valid");
        assert_eq!(again.profiles, read.profiles);
        assert_eq!(again.profiles[0].attributes[0].part.items.len(), 3);
    }

    #[test]
    fn a_part_that_cannot_be_taken_is_refused_alone_with_the_reason() {
        let bad = [
            (r#""name":"","operation":"set","value":"1""#, "an attribute name is empty"),
            (r#""name":"a","operation":"put","value":"1""#, "the operation is not known; update the hub"),
            (r#""name":"a","operation":"set","value":"""#, "the value is empty, which Target ignores"),
            (r#""name":"a","operation":"set","value":"x\u0000""#, "the value holds the character NUL"),
            (
                r#""name":"a","operation":"max","value":"many""#,
                "the value is not a decimal number of at most 28 digits",
            ),
            (
                r#""name":"a","operation":"add","value":"1""#,
                "part must be the id of a part for add, and absent for other operations",
            ),
            (r#""name":"a","operation":"append","value":"1""#, "items must be there for append"),
            (
                r#""name":"a","operation":"append","value":"1","items":[[1,1,"a,b"]]"#,
                "items must be at most 50 of [time, seq, item], none empty, with a comma or too long",
            ),
            (
                r#""name":"a","operation":"append","value":"1","items":[]"#,
                "items must hold an item beside the end of the list",
            ),
            (
                r#""name":"a","operation":"append","value":"1","items":[[1,1,null]]"#,
                "items must hold an item beside the end of the list",
            ),
        ];
        for (members, reason) in bad {
            assert_eq!(refused(members), reason, "{members}");
        }
        assert!(refused(r#""name":"a","operation":"add","value":"1","part":"7""#).contains("32 hexadecimal digits"));
        let profiles = r#"{"third_party_id":"1","pc_id":"2","attributes":[]},7,{"pc_id":"","attributes":[]},{"pc_id":"2","attributes":[]}"#;
        let read = Handover::read(request(profiles).as_bytes()).expect("valid");
        assert_eq!(read.profiles.iter().map(|profile| profile.place).collect::<Vec<_>>(), [3]);
        assert_eq!(read.refused.iter().map(|refused| refused.profile).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn what_is_refused_is_named_by_its_place_and_held_if_a_newer_hub_may_take_it() {
        let part = r#""version":3,"time":"2026-11-27T07:00:00Z","seq":3,"value":"1""#;
        let sum = format!(r#"{{{part},"name":"visits","operation":"add","part":"#);
        let parts = format!(
            r#"{sum}"0000000000000000000000000000000a"}},{sum}7}},{{{part},"name":"x","operation":"median"}},8,
               {{{part},"name":"{}","operation":"set"}}"#,
            "x".repeat(70_000)
        );
        let read = Handover::read(request(&format!(r#"{{"pc_id":"1","attributes":[{parts}]}}"#)).as_bytes());
        let read = read.expect("valid");
        let refused: Vec<_> = read.refused.iter().map(|it| (it.place, it.hold)).collect();
        assert_eq!(refused, [(Some(1), false), (Some(2), true), (Some(3), false), (Some(4), false)]);
        assert_eq!(read.profiles[0].attributes.len(), 1);
        let answer = serde_json::to_string(&read.refused).expect("valid");
        assert!(answer.len() < 1_500, "what is shown has an end");
        assert_eq!(answer.matches(r#""hold":true"#).count(), 1);
    }

    #[test]
    fn nothing_that_a_device_says_of_itself_keeps_its_parts_from_the_hub() {
        let read =
            |members: &str| Handover::read(format!(r#"{{"protocol":1{members}}}"#).as_bytes()).expect("readable");
        assert_eq!((read("").sent_at, read("").store), (None, None));
        for state in ["null", "7", "[]", r#"{"version":null,"group":7,"rejected":-1,"pending_profiles":"many"}"#] {
            assert_eq!(read(&format!(r#","sent_at":7,"state":{state}"#)).state, DeviceState::default(), "{state}");
        }
        let state = format!(r#","state":{{"version":"1\u0000{}","rejected":7,"newer":[]}}"#, "x".repeat(1_000));
        let state = read(&state).state;
        assert_eq!((state.version.len(), state.version.contains('\0'), state.rejected), (300, false, 7));
        let store = read(r#","store":"0000000000000000000000000000000A""#).store;
        assert_eq!(store.map(|store| store.to_string()).as_deref(), Some("0000000000000000000000000000000a"));
        assert!(Handover::read(br#"{"protocol":1,"store":"till"}"#).is_err());
    }

    #[test]
    fn a_request_of_another_shape_or_protocol_is_an_error_with_words() {
        let error = |body: &str| Handover::read(body.as_bytes()).expect_err("wrong").to_string();
        assert!(error("[").starts_with("the request is not the JSON of a handover: EOF"));
        assert_eq!(
            error(r#"{"protocol":2,"sent_at":""}"#),
            "the request has protocol 2, and this hub speaks 1; update the older side"
        );
        let many = vec!["{}"; 501].join(",");
        assert_eq!(error(&request(&many)), "the request has 501 profiles, at most 500 are allowed");
    }
}
