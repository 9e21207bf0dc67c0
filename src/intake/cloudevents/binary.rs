//! Binary mode: attributes in headers, data in the body.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use super::Parsed;
use super::data::{is_json, media_type};
use super::envelope::event;
use super::invalid::{Extent, Invalid, json as json_text, utf8};

/// Reads one event in binary mode, with its attributes in headers that begin with `ce-`.
///
/// # Errors
/// As for [`structured`](super::structured).
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
    let attributes = json.clone();
    if !body.is_empty() {
        push_data(&mut json, content_type, body)?;
    }
    json.push('}');
    event(&json).map_err(|invalid| match invalid.place {
        // The attributes are written here, so only the data can be invalid JSON; the place is in the body.
        Some(_) => {
            let before = body.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let before = std::str::from_utf8(&body[..before]).unwrap_or_default();
            let separator = if attributes.len() > 1 { "," } else { "" };
            invalid.without(&format!("{attributes}{separator}\"data\":")).behind(Extent::default().and(before))
        }
        None => invalid,
    })
}

fn header_text(name: &str, value: &[u8]) -> Result<String, Invalid> {
    let invalid = || Invalid::at(name, "the header is not percent-encoded UTF-8");
    let text = std::str::from_utf8(value).map_err(|_| invalid())?;
    // A value may be quoted. Source: CloudEvents HTTP binding, section 3.1.3.2.
    let text = if text.contains('"') {
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let whole = inner.and_then(unescaped);
        whole.ok_or_else(|| {
            Invalid::at(name, "a quote of the header is not closed, or stands within it without a backslash")
        })?
    } else {
        text.to_owned()
    };
    percent_decode_str(&text).decode_utf8().map(Cow::into_owned).map_err(|_| invalid())
}

/// Removes the backslashes of a quoted text; `None` if a quote has none, or one stands at the end.
fn unescaped(text: &str) -> Option<String> {
    let (mut plain, mut is_escaped) = (String::new(), false);
    for next in text.chars() {
        if next == '"' && !is_escaped {
            return None;
        }
        is_escaped = next == '\\' && !is_escaped;
        if !is_escaped {
            plain.push(next);
        }
    }
    (!is_escaped).then_some(plain)
}

fn push_data(json: &mut String, content_type: Option<&str>, body: &[u8]) -> Result<(), Invalid> {
    let media_type = content_type.map_or_else(String::new, media_type);
    if is_json(content_type) {
        let text = json_text(body)?;
        let not_json = |error| Invalid { field: Some("data".to_owned()), ..Invalid::not_json(&error, text) };
        let data: &RawValue = serde_json::from_str(text).map_err(not_json)?;
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
