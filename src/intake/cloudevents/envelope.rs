//! The members of an event: read one by one, each at most once, and checked against their limits.

use std::collections::BTreeSet;
use std::fmt;

use jiff::fmt::temporal::Pieces;
use minijinja::Value;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::Parsed;
use super::data::{data_of, exact, refuse_nul, twice};
use super::invalid::Invalid;
use crate::core::event::Hashes;
use crate::core::limits::{EVENT_KEY_BYTES_MAX, EVENT_SUBJECT_BYTES_MAX, EVENT_TYPE_BYTES_MAX};
use crate::core::timestamp::Timestamp;
use crate::intake::numbers::Twice;

/// Reads an event from JSON.
pub(super) fn event(json: &str) -> Result<Parsed, Invalid> {
    let mut envelope = Envelope::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = DeserializeSeed::deserialize(&mut envelope, &mut deserializer).and_then(|()| deserializer.end());
    if let Err(error) = read {
        return Err(envelope.explain(&error, json));
    }
    envelope.validate(json)
}

/// The members of an event, as far as they were read.
#[derive(Default)]
struct Envelope {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    event_type: Option<String>,
    subject: Option<String>,
    time: Option<String>,
    datacontenttype: Option<String>,
    dataschema: Option<String>,
    data: Option<Value>,
    data_base64: Option<String>,
    /// Names of extension attributes.
    extensions: BTreeSet<String>,
    /// Repeated names within the data.
    twice: Twice,
    /// Name of the member that is being read, for errors.
    field: String,
    problem: Option<&'static str>,
}

impl Envelope {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        match self.field.as_str() {
            "specversion" => read_text(&mut self.specversion, &mut self.problem, map),
            "id" => read_text(&mut self.id, &mut self.problem, map),
            "source" => read_text(&mut self.source, &mut self.problem, map),
            "type" => read_text(&mut self.event_type, &mut self.problem, map),
            "subject" => read_text(&mut self.subject, &mut self.problem, map),
            "time" => read_text(&mut self.time, &mut self.problem, map),
            "datacontenttype" => read_text(&mut self.datacontenttype, &mut self.problem, map),
            "dataschema" => read_text(&mut self.dataschema, &mut self.problem, map),
            "data_base64" => read_text(&mut self.data_base64, &mut self.problem, map),
            "data" => once(&mut self.data, &mut self.problem, || map.next_value_seed(self.twice.reader())),
            name => {
                if !self.extensions.insert(name.to_owned()) {
                    self.problem = Some("it occurs twice");
                    return Err(de::Error::custom("twice"));
                }
                self.problem = Some("an extension attribute is a text, a number or a boolean");
                map.next_value::<Scalar>()?;
                self.problem = None;
                Ok(())
            }
        }
    }

    fn explain(&self, error: &serde_json::Error, json: &str) -> Invalid {
        if let Some(path) = self.twice.path() {
            return twice(&self.field, &path);
        }
        let invalid = match self.problem {
            Some(problem) if error.is_data() => Invalid::new(problem),
            _ if error.is_data() => Invalid::new("an event is a JSON object"),
            _ => Invalid::not_json(error, json),
        };
        let field = Some(self.field.clone()).filter(|field| !field.is_empty() && !error.is_eof());
        Invalid { field, ..invalid }
    }

    fn validate(self, json: &str) -> Result<Parsed, Invalid> {
        match self.specversion.as_deref() {
            Some("1.0") => {}
            Some(_) => return Err(Invalid::at("specversion", "only CloudEvents \"1.0\" is understood")),
            None => return Err(Invalid::at("specversion", "it is missing; it is \"1.0\"")),
        }
        let id = required("id", self.id, EVENT_KEY_BYTES_MAX)?;
        let source = required("source", self.source, EVENT_KEY_BYTES_MAX)?;
        let event_type = required("type", self.event_type, EVENT_TYPE_BYTES_MAX)?;
        if let Some(subject) = &self.subject {
            bounded("subject", subject, EVENT_SUBJECT_BYTES_MAX)?;
        }
        let time = self.time.as_deref().map(parse_time).transpose()?;
        refuse_nul(json)?;
        let data = self.data.map(|data| exact(data, json)).transpose()?;
        let data = data_of(data, self.data_base64.as_deref(), self.datacontenttype.as_deref())?;
        let hashes = Hashes::new();
        Ok(Parsed {
            id,
            source,
            event_type,
            subject: self.subject,
            time,
            data,
            json: json.to_owned(),
            hashes,
            may_be_of_table: false,
        })
    }
}

fn required(field: &str, value: Option<String>, bytes_max: usize) -> Result<String, Invalid> {
    let value = value.ok_or_else(|| Invalid::at(field, "it is missing"))?;
    bounded(field, &value, bytes_max)?;
    Ok(value)
}

fn bounded(field: &str, value: &str, bytes_max: usize) -> Result<(), Invalid> {
    match value.len() {
        0 => Err(Invalid::at(field, "it is empty")),
        found if found > bytes_max => Err(Invalid::at(field, format!("it is {found} bytes, at most {bytes_max}"))),
        _ => Ok(()),
    }
}

fn parse_time(text: &str) -> Result<Timestamp, Invalid> {
    Timestamp::parse(text).map_err(|_| {
        let is_whole = Pieces::parse(text).is_ok_and(|pieces| pieces.time().is_some() && pieces.offset().is_some());
        let (min, max) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        Invalid::at(
            "time",
            match is_whole {
                true => format!("it must be between {min} and {max}"),
                false => "it is not an RFC 3339 time such as 2026-11-23T10:00:00Z".to_owned(),
            },
        )
    })
}

fn read_text<'de, A: MapAccess<'de>>(
    place: &mut Option<String>,
    problem: &mut Option<&'static str>,
    map: &mut A,
) -> Result<(), A::Error> {
    *problem = Some("it is not a text");
    // A null means that an attribute is not set. Source: CloudEvents JSON format, section 2.1.
    if let Some(text) = map.next_value::<Option<String>>()? {
        once(place, problem, || Ok(text))?;
    }
    *problem = None;
    Ok(())
}

fn once<T, E: de::Error>(
    place: &mut Option<T>,
    problem: &mut Option<&'static str>,
    value: impl FnOnce() -> Result<T, E>,
) -> Result<(), E> {
    if place.is_some() {
        *problem = Some("it occurs twice");
        return Err(E::custom("twice"));
    }
    *place = Some(value()?);
    Ok(())
}

impl<'de> DeserializeSeed<'de> for &mut Envelope {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Envelope {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key()? {
            self.field = field;
            self.read_member(&mut map)?;
            // An error after a member is not the member's.
            self.field.clear();
        }
        Ok(())
    }
}

/// The value of an extension attribute, which is not used here.
struct Scalar;

impl<'de> de::Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a boolean")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }
}
