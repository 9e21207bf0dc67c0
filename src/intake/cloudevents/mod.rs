//! CloudEvents 1.0 over HTTP: reads structured, batch and binary mode into valid events.
//!
//! Source: CloudEvents 1.0.2, JSON event format and HTTP protocol binding. An error names the event's index and the
//! field, and never repeats a value.

use serde::Deserialize;

mod batch;
mod binary;
mod data;
mod envelope;
mod invalid;
mod parsed;

pub use batch::batch;
pub use binary::binary;
pub use data::media_type;
pub use invalid::Invalid;
pub use parsed::Parsed;

use envelope::event;
use invalid::json;

/// Reads one event in structured mode.
///
/// # Errors
/// [`Invalid`] for anything that is not one CloudEvent within the limits.
pub fn structured(body: &[u8]) -> Result<Parsed, Invalid> {
    event(json(body)?)
}

/// Reads an event of the journal, with the hashes that replace hidden values.
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
    parsed.may_be_of_table = true;
    Ok(parsed)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::BATCH_EVENTS_MAX;

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
    fn a_mark_of_utf8_is_no_part_of_an_event_and_utf16_is_named() {
        let marked = ["\u{feff}", PLAIN].concat();
        assert_eq!(structured(marked.as_bytes()).expect("valid").json, PLAIN);
        assert_eq!(batch(format!("\u{feff}[{PLAIN}]").as_bytes()).expect("valid").len(), 1);
        let wide = |mark: &[u16]| {
            mark.iter().copied().chain(PLAIN.encode_utf16()).flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
        };
        for body in [wide(&[0xFEFF]), wide(&[]), wide(&[0xFEFF]).into_iter().rev().collect()] {
            let invalid = structured(&body).err().expect("it is UTF-16");
            assert!(invalid.problem.contains("the body is UTF-16"), "{invalid}");
        }
    }

    #[test]
    fn a_header_whose_quote_is_not_closed_is_an_error() {
        let read = |source: &'static str| {
            let headers = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", source), ("ce-type", "t")];
            binary(headers.iter().map(|(name, value)| (*name, value.as_bytes())), None, b"").map(|event| event.source)
        };
        assert_eq!(read("\"/store\"").expect("valid"), "/store");
        for source in ["\"/store", "/store\"", "\"", "\"/sto\"re\"", "\"/store\\\""] {
            let invalid = read(source).expect_err(source);
            assert!(invalid.to_string().contains("a quote of the header is not closed"), "{invalid}");
        }
        assert_eq!(read("\"/sto\\\"re\"").expect("valid"), "/sto\"re");
    }

    #[test]
    fn what_is_wrong_is_named_by_field() {
        check("[]", "", "JSON object");
        check("{", "", "not complete");
        check(&PLAIN.replace("\"1.0\"", "\"0.3\""), "specversion", "1.0");
        check(&PLAIN.replace("\"id\":\"1\",", ""), "id", "missing");
        check(&PLAIN.replace("\"id\":\"1\"", "\"id\":\"\""), "id", "empty");
        check(&PLAIN.replace("\"id\":\"1\"", "\"id\":7"), "id", "not a text");
        check(&PLAIN.replace("\"id\":\"1\"", "\"id\":\"1\",\"id\":\"2\""), "id", "twice");
        check(&PLAIN.replace("2026-11-23T10", "yesterday"), "time", "RFC 3339");
        check(&PLAIN.replace("{\"a\":1}", "{\"a\":\"\\u0000\"}"), "data.a", "NUL");
        check(&PLAIN.replace("{\"a\":1}", "{\"b\":[{\"a\":1,\"a\":2}]}"), "data.b[0].a", "twice");
        check(&PLAIN.replace("{\"a\":1}", "1,\"x\":1,\"x\":2"), "x", "twice");
        check(&PLAIN.replace("2026-11-23T10:00:00Z", "9999-12-31T23:59:59Z"), "time", "between");
        check(&PLAIN.replace("2026-11-23T10:00:00Z", "2026-02-30T10:00:00Z"), "time", "RFC 3339");
        check(&PLAIN.replace("2026-11-23T10:00:00Z", "2026-02-03T10:00:00"), "time", "RFC 3339");
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
            ("ce-source", b"\"/store/\\\"42\\\"\""),
            ("ce-type", b"t"),
            ("accept", b"*/*"),
        ];
        let read = |content_type, body: &[u8]| binary(headers.into_iter(), content_type, body).expect("valid");
        let json = read(Some("application/json"), b"{\"a\": 1}");
        assert_eq!((json.id.as_str(), json.source.as_str()), ("1 ö", "/store/\"42\""));
        assert_eq!(json.data.get_attr("a").expect("there").to_string(), "1");
        assert_eq!(read(Some("text/plain"), b"hi").data.as_str(), Some("hi"));
        assert!(read(Some("application/octet-stream"), b"\xff").json.contains("\"data_base64\":\"/w==\""));
        assert!(read(None, b"").data.is_undefined());
        assert!(binary(headers.into_iter(), Some("application/json"), b"{").is_err());
        assert!(binary(headers.into_iter(), Some("application/json"), b"1,\"id\":\"2\"").is_err());
    }
}
