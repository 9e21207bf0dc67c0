//! CloudEvents 1.0 over HTTP: structured, batch and binary mode, read into valid events.
//!
//! Source: CloudEvents 1.0.2, JSON event format and HTTP protocol binding. An error names the event's index and the
//! field, and never repeats a value.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minijinja::Value;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::numbers;
use crate::core::event::{Event, Hashes};
use crate::core::limits::{BATCH_EVENTS_MAX, EVENT_KEY_BYTES_MAX, EVENT_SUBJECT_BYTES_MAX, EVENT_TYPE_BYTES_MAX};
use crate::core::timestamp::Timestamp;

/// A valid event, before the device's clock had its say.
#[derive(Clone)]
pub struct Parsed {
    /// See [`crate::core::event::Event`].
    pub id: String,
    /// See [`crate::core::event::Event`].
    pub source: String,
    /// See [`crate::core::event::Event`].
    pub event_type: String,
    /// See [`crate::core::event::Event`].
    pub subject: Option<String>,
    /// The time that the event claims.
    pub time: Option<Timestamp>,
    /// The payload; undefined when there is none.
    pub data: Value,
    /// The event as CloudEvents JSON.
    pub json: String,
    /// See [`crate::core::event::Event`].
    pub hashes: Hashes,
}

impl Parsed {
    /// The event, with the time that it is taken to have.
    #[must_use]
    pub fn at(self, time: Timestamp) -> Event {
        let Self { id, source, event_type, subject, data, json, hashes, .. } = self;
        Event { id, source, event_type, subject, time, data, json, hashes }
    }
}

/// Why a body is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The event's place in the batch, from 0.
    pub index: Option<usize>,
    /// The field, such as `data.card`.
    pub field: Option<String>,
    /// What is wrong with it.
    pub problem: String,
    /// Whether there is simply too much of it.
    pub is_too_large: bool,
}

impl Invalid {
    /// A problem of an event as a whole.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { index: None, field: None, problem: problem.into(), is_too_large: false }
    }

    /// A problem of a field.
    pub fn at(field: &str, problem: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(problem) }
    }

    fn of_event(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "event {index}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Invalid {}

/// Reads one event in structured mode.
///
/// # Errors
/// [`Invalid`] for anything that is not one CloudEvent within the limits.
pub fn structured(body: &[u8]) -> Result<Parsed, Invalid> {
    event(utf8(body)?)
}

/// Reads an event of the journal, with the hashes that stand there in the place of what is hidden.
///
/// # Errors
/// As for [`structured`].
pub fn journalled(json: &str) -> Result<Parsed, Invalid> {
    #[derive(Deserialize)]
    struct Held {
        outposthashes: Option<String>,
    }
    let mut parsed = event(json)?;
    let held = serde_json::from_str::<Held>(json).ok().and_then(|held| held.outposthashes);
    parsed.hashes = held.and_then(|held| serde_json::from_str(&held).ok()).unwrap_or_default();
    Ok(parsed)
}

/// Reads a JSON array of events.
///
/// # Errors
/// [`Invalid`] with the index of the first event that is wrong.
pub fn batch(body: &[u8]) -> Result<Vec<Parsed>, Invalid> {
    let body = utf8(body)?;
    let mut items = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let read = Items(&mut items).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if let Err(error) = read {
        let problem = if error.is_data() { "a batch is a JSON array of events".to_owned() } else { not_json(&error) };
        return Err(Invalid::new(problem).of_event(items.len()));
    }
    if items.len() > BATCH_EVENTS_MAX {
        let problem = format!("the batch has {} events, at most {BATCH_EVENTS_MAX}; send it in parts", items.len());
        return Err(Invalid { is_too_large: true, ..Invalid::new(problem) });
    }
    let parse = |(index, item): (usize, &RawValue)| event(item.get()).map_err(|invalid| invalid.of_event(index));
    items.into_iter().enumerate().map(parse).collect()
}

/// Reads one event in binary mode: its attributes are the headers whose name begins with `ce-`.
///
/// # Errors
/// As for [`structured`].
pub fn binary<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Parsed, Invalid> {
    let mut json = String::from("{");
    for (name, value) in headers {
        let Some(name) = name.strip_prefix("ce-") else { continue };
        push_member(&mut json, name, &quoted(&header_text(name, value)?));
    }
    if let Some(content_type) = content_type {
        push_member(&mut json, "datacontenttype", &quoted(content_type));
    }
    if !body.is_empty() {
        push_data(&mut json, content_type, body)?;
    }
    json.push('}');
    event(&json)
}

fn header_text(name: &str, value: &[u8]) -> Result<String, Invalid> {
    let invalid = || Invalid::at(name, "the header is not percent-encoded UTF-8");
    let text = std::str::from_utf8(value).map_err(|_| invalid())?;
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| invalid())
}

fn push_data(json: &mut String, content_type: Option<&str>, body: &[u8]) -> Result<(), Invalid> {
    let media_type = content_type.map_or_else(String::new, media_type);
    if is_json(content_type) {
        let data: &RawValue =
            serde_json::from_str(utf8(body)?).map_err(|error| Invalid::at("data", not_json(&error)))?;
        push_member(json, "data", data.get());
    } else if media_type.starts_with("text/") {
        push_member(json, "data", &quoted(utf8(body)?));
    } else {
        push_member(json, "data_base64", &quoted(&BASE64_STANDARD.encode(body)));
    }
    Ok(())
}

fn push_member(json: &mut String, name: &str, value: &str) {
    if json.len() > 1 {
        json.push(',');
    }
    json.push_str(&quoted(name));
    json.push(':');
    json.push_str(value);
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// The media type of a `Content-Type`, in lower case, without its parameters.
#[must_use]
pub fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Without a content type, data is JSON. Source: CloudEvents JSON format, section 3.1.
fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|content_type| {
        let media_type = media_type(content_type);
        media_type.ends_with("/json") || media_type.ends_with("+json")
    })
}

fn utf8(body: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(body).map_err(|error| Invalid::new(format!("byte {} is not UTF-8", error.valid_up_to())))
}

/// The words of a syntax error, which hold a place and no value.
fn not_json(error: &serde_json::Error) -> String {
    format!("this is not valid JSON: {error}")
}

fn event(json: &str) -> Result<Parsed, Invalid> {
    let mut envelope = Envelope::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = DeserializeSeed::deserialize(&mut envelope, &mut deserializer).and_then(|()| deserializer.end());
    if let Err(error) = read {
        return Err(envelope.explain(&error));
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
    /// The member that is being read, for the error.
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
            "data" => once(&mut self.data, &mut self.problem, || map.next_value()),
            _ => {
                self.problem = Some("an extension attribute is a text, a number or a boolean");
                map.next_value::<Scalar>()?;
                self.problem = None;
                Ok(())
            }
        }
    }

    fn explain(&self, error: &serde_json::Error) -> Invalid {
        let problem = match self.problem {
            Some(problem) if error.is_data() => problem.to_owned(),
            _ if error.is_data() => "an event is a JSON object".to_owned(),
            _ => not_json(error),
        };
        let field = Some(self.field.clone()).filter(|field| !field.is_empty());
        Invalid { field, ..Invalid::new(problem) }
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
        Ok(Parsed { id, source, event_type, subject: self.subject, time, data, json: json.to_owned(), hashes })
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
    Timestamp::parse(text).map_err(|_| Invalid::at("time", "it is not an RFC 3339 time such as 2026-11-23T10:00:00Z"))
}

/// The data of a valid event with all digits of its numbers, of which the first reading may have lost some.
fn exact(data: Value, json: &str) -> Result<Value, Invalid> {
    #[derive(Deserialize)]
    struct Data<'d> {
        #[serde(borrow)]
        data: Option<&'d RawValue>,
    }
    if !numbers::has_long_number(json) {
        return Ok(data);
    }
    let read =
        serde_json::from_str(json).and_then(|Data { data: raw }| raw.map(|raw| numbers::read(raw.get())).transpose());
    read.map(|read| read.unwrap_or(data)).map_err(|error| Invalid::at("data", not_json(&error)))
}

fn data_of(data: Option<Value>, base64: Option<&str>, content_type: Option<&str>) -> Result<Value, Invalid> {
    match (data, base64) {
        (Some(_), Some(_)) => Err(Invalid::at("data_base64", "an event has data or data_base64, not both")),
        (Some(data), None) => Ok(data),
        (None, Some(text)) => base64_data(text, content_type),
        (None, None) => Ok(Value::UNDEFINED),
    }
}

/// What mappings see of binary data: the value, where it is JSON, else nothing.
fn base64_data(text: &str, content_type: Option<&str>) -> Result<Value, Invalid> {
    let bytes =
        BASE64_STANDARD.decode(text).map_err(|_| Invalid::at("data_base64", "it is not base64 with padding"))?;
    if content_type.is_none() || !is_json(content_type) {
        return Ok(Value::UNDEFINED);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Invalid::at("data_base64", "its JSON is not UTF-8"))?;
    refuse_nul(text)?;
    numbers::read(text).map_err(|error| Invalid::at("data_base64", not_json(&error)))
}

/// Refuses NUL in any string: neither a profile nor its URL encoding carries one.
fn refuse_nul(json: &str) -> Result<(), Invalid> {
    // JSON can only hold it escaped, which hardly ever occurs: then it is worth a closer look.
    if !json.contains("\\u0000") {
        return Ok(());
    }
    let value: serde_json::Value = serde_json::from_str(json).map_err(|error| Invalid::new(not_json(&error)))?;
    match nul_path(&value) {
        Some(path) => Err(Invalid::at(path.trim_start_matches('.'), "it holds a NUL character")),
        None => Ok(()),
    }
}

fn nul_path(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => text.contains('\0').then(String::new),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| nul_path(item).map(|rest| format!("[{index}]{rest}")))
        }
        serde_json::Value::Object(members) => members.iter().find_map(|(name, member)| {
            if name.contains('\0') {
                return Some(String::new());
            }
            nul_path(member).map(|rest| format!(".{name}{rest}"))
        }),
        _ => None,
    }
}

fn read_text<'de, A: MapAccess<'de>>(
    place: &mut Option<String>,
    problem: &mut Option<&'static str>,
    map: &mut A,
) -> Result<(), A::Error> {
    *problem = Some("it is not a text");
    // A null stands for an attribute that is not set. Source: CloudEvents JSON format, section 2.1.
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
        }
        self.field.clear();
        Ok(())
    }
}

/// The raw events of a batch; those before an error are there.
struct Items<'de, 'v>(&'v mut Vec<&'de RawValue>);

impl<'de> DeserializeSeed<'de> for Items<'de, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            self.0.push(item);
        }
        Ok(())
    }
}

/// The value of an extension attribute, which nothing here needs.
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

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str =
        r#"{"specversion":"1.0","id":"1","source":"/till","type":"t","time":"2026-11-23T10:00:00Z","data":{"a":1}}"#;

    fn check(json: &str, field: &str, problem: &str) {
        let invalid = structured(json.as_bytes()).err().expect(json);
        assert_eq!(invalid.field.as_deref().unwrap_or_default(), field, "{json}: {invalid}");
        assert!(invalid.problem.contains(problem), "{json}: {invalid}");
    }

    #[test]
    fn a_plain_event_is_read_and_kept_as_it_came() {
        let event = structured(PLAIN.as_bytes()).expect("valid");
        assert_eq!((event.id.as_str(), event.source.as_str(), event.event_type.as_str()), ("1", "/till", "t"));
        assert_eq!(event.json, PLAIN);
    }

    #[test]
    fn what_is_wrong_is_named_by_field() {
        check("[]", "", "JSON object");
        check("{", "", "not valid JSON");
        check(&PLAIN.replace("\"1.0\"", "\"0.3\""), "specversion", "1.0");
        check(&PLAIN.replace("\"id\":\"1\",", ""), "id", "missing");
        check(&PLAIN.replace("\"id\":\"1\"", "\"id\":\"\""), "id", "empty");
        check(&PLAIN.replace("\"id\":\"1\"", "\"id\":7"), "id", "not a text");
        check(&PLAIN.replace("\"id\":\"1\"", "\"id\":\"1\",\"id\":\"2\""), "id", "twice");
        check(&PLAIN.replace("2026-11-23T10", "yesterday"), "time", "RFC 3339");
        check(&PLAIN.replace("{\"a\":1}", "{\"a\":\"\\u0000\"}"), "data.a", "NUL");
        check(&PLAIN.replace("{\"a\":1}", "\"\\ud800\""), "data", "not valid JSON");
        check(&PLAIN.replace("{\"a\":1}", "1,\"data_base64\":\"AA==\""), "data_base64", "not both");
        check(&PLAIN.replace("\"data\":{\"a\":1}", "\"data_base64\":\"?\""), "data_base64", "base64");
        check(&PLAIN.replace("\"data\"", "\"extra\""), "extra", "extension");
        check(&PLAIN.replace("{\"a\":1}", &"[".repeat(200)), "data", "recursion limit");
        check(&PLAIN.replace("{\"a\":1}", "1e999"), "data", "out of range");
        check(&format!("{PLAIN} x"), "", "trailing");
        check(&PLAIN.replace("/till", &"x".repeat(1_025)), "source", "1025 bytes");
    }

    #[test]
    fn an_escaped_backslash_before_u0000_is_no_nul() {
        assert!(structured(PLAIN.replace("{\"a\":1}", "\"\\\\u0000\"").as_bytes()).is_ok());
    }

    #[test]
    fn a_batch_names_the_first_event_that_is_wrong() {
        let index = |body: String| batch(body.as_bytes()).err().and_then(|invalid| invalid.index);
        assert_eq!(batch(format!("[{PLAIN},{PLAIN}]").as_bytes()).map(|events| events.len()), Ok(2));
        assert_eq!(batch(b"[]").map(|events| events.len()), Ok(0));
        assert_eq!(index(format!("[{PLAIN},{{}}]")), Some(1));
        assert_eq!(index(format!("[{PLAIN},{PLAIN},?]")), Some(2));
        assert!(batch(format!("[{}1]", "1,".repeat(BATCH_EVENTS_MAX)).as_bytes()).is_err_and(|it| it.is_too_large));
    }

    #[test]
    fn binary_mode_takes_attributes_from_headers_and_data_by_its_type() {
        let headers: [(&str, &[u8]); 5] = [
            ("ce-specversion", b"1.0"),
            ("ce-id", b"1%20%C3%B6"),
            ("ce-source", b"/till"),
            ("ce-type", b"t"),
            ("accept", b"*/*"),
        ];
        let read = |content_type, body: &[u8]| binary(headers.into_iter(), content_type, body).expect("valid");
        let json = read(Some("application/json"), b"{\"a\": 1}");
        assert_eq!(json.id, "1 ö");
        assert_eq!(json.data.get_attr("a").expect("there").to_string(), "1");
        assert_eq!(read(Some("text/plain"), b"hi").data.as_str(), Some("hi"));
        assert!(read(Some("application/octet-stream"), b"\xff").json.contains("\"data_base64\":\"/w==\""));
        assert!(read(None, b"").data.is_undefined());
        assert!(binary(headers.into_iter(), Some("application/json"), b"{").is_err());
        assert!(binary(headers.into_iter(), Some("application/json"), b"1,\"id\":\"2\"").is_err());
    }
}
