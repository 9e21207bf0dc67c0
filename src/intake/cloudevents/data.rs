//! The payload of an event: its value with all digits, from JSON or base64.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minijinja::Value;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::invalid::{Invalid, not_json};
use crate::intake::numbers::{self, Unread};

/// Returns the data of a valid event with all digits of its numbers, some of which the first reading may have lost.
pub(super) fn exact(data: Value, json: &str) -> Result<Value, Invalid> {
    #[derive(Deserialize)]
    struct Data<'d> {
        #[serde(borrow)]
        data: Option<&'d RawValue>,
    }
    if !numbers::has_long_number(json) {
        return Ok(data);
    }
    let Data { data: raw } = serde_json::from_str(json).map_err(|error| Invalid::at("data", not_json(&error)))?;
    raw.map_or(Ok(data), |raw| numbers::read(raw.get()).map_err(|unread| unread_data("data", unread)))
}

fn unread_data(field: &str, unread: Unread) -> Invalid {
    match unread {
        Unread::Json(error) => Invalid::at(field, not_json(&error)),
        Unread::Twice(path) => twice(field, &path),
    }
}

/// Returns the error about a name that occurs twice within a field.
pub(super) fn twice(field: &str, path: &str) -> Invalid {
    let path = if path.starts_with('[') { format!("{field}{path}") } else { format!("{field}.{path}") };
    Invalid::at(&path, "it occurs twice, and must once")
}

pub(super) fn data_of(data: Option<Value>, base64: Option<&str>, content_type: Option<&str>) -> Result<Value, Invalid> {
    match (data, base64) {
        (Some(_), Some(_)) => Err(Invalid::at("data_base64", "an event has data or data_base64, not both")),
        (Some(data), None) => Ok(data),
        (None, Some(text)) => base64_data(text, content_type),
        (None, None) => Ok(Value::UNDEFINED),
    }
}

/// Returns binary data as mappings see it: its value if it is JSON, otherwise undefined.
fn base64_data(text: &str, content_type: Option<&str>) -> Result<Value, Invalid> {
    let bytes =
        BASE64_STANDARD.decode(text).map_err(|_| Invalid::at("data_base64", "it is not base64 with padding"))?;
    if content_type.is_none() || !is_json(content_type) {
        return Ok(Value::UNDEFINED);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Invalid::at("data_base64", "its JSON is not UTF-8"))?;
    refuse_nul(text)?;
    numbers::read(text).map_err(|unread| {
        let invalid = unread_data("data_base64", unread);
        Invalid { problem: format!("{} of the decoded text", invalid.problem), ..invalid }
    })
}

/// Refuses NUL in any string: neither a profile nor its URL encoding can contain one.
pub(super) fn refuse_nul(json: &str) -> Result<(), Invalid> {
    // JSON can contain it only escaped, which is rare: only then is a closer look needed.
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

/// Returns the media type of a `Content-Type`, in lower case, without parameters.
#[must_use]
pub fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns true for JSON, which is also the default without a content type. Source: CloudEvents JSON format, section
/// 3.1.
pub(super) fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|content_type| {
        let media_type = media_type(content_type);
        media_type.ends_with("/json") || media_type.ends_with("+json")
    })
}
