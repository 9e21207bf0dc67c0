//! A file of events, read in parts: a JSON array, or one event per line.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::value::RawValue;

use crate::cli::failure::Failure;
use crate::core::limits::{FOLDER_LINE_BYTES_MAX, INTAKE_BODY_BYTES_MAX};
use crate::core::visible::one_line;
use crate::intake::cloudevents::{self, Invalid};
use crate::intake::folder::text_of;

/// Most events in one request or transaction.
const PART_EVENTS: usize = 500;

/// Largest size of one request, leaving room for brackets and commas. Units: bytes.
const PART_BYTES: usize = INTAKE_BODY_BYTES_MAX / 2;

/// Largest JSON array, which is read as a whole. Units: bytes.
const ARRAY_BYTES_MAX: u64 = 256 << 20;

/// Some events of a file, with their size in bytes.
pub(super) struct Part<'p> {
    pub(super) events: &'p [String],
    pub(super) bytes: u64,
}

/// Reads a JSON array or one event per line, and passes the events on in parts.
pub(super) fn read_parts(
    input: Box<dyn BufRead>,
    mut take: impl FnMut(Part<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::failed(&error);
    let (input, is_replaced) = text_of(input).map_err(failed)?;
    let mut input = BufReader::new(input);
    let is_array = loop {
        let buffer = input.fill_buf().map_err(failed)?;
        let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank < buffer.len() || buffer.is_empty() {
            break buffer.get(blank) == Some(&b'[');
        }
        input.consume(blank);
    };
    let mut parts = Parts::new(&mut take);
    if is_array {
        let mut bytes = Vec::new();
        input.take(ARRAY_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > ARRAY_BYTES_MAX {
            let words =
                format!("a JSON array must be at most {ARRAY_BYTES_MAX} bytes; write one event per line instead");
            return Err(Failure::usage(words));
        }
        let text = batch_text(bytes, is_replaced).map_err(Failure::because)?;
        let events: Vec<&RawValue> = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(one_line(&format!("the batch is not a JSON array: {error}"))))?;
        for (index, event) in events.iter().enumerate() {
            let event = event.get();
            parts.add(&format!("event {index}"), event.to_owned(), event.len(), |invalid| {
                let before = &text[..event.as_ptr() as usize - text.as_ptr() as usize];
                let line = before.rsplit('\n').next().unwrap_or_default();
                invalid.in_file(before.matches('\n').count() + 1, line.chars().count() + 1)
            })?;
        }
    } else {
        for number in 1.. {
            let mut bytes = Vec::new();
            let most = FOLDER_LINE_BYTES_MAX as u64 + 1;
            let count = input.by_ref().take(most).read_until(b'\n', &mut bytes).map_err(failed)?;
            if count == 0 {
                break;
            }
            let name = format!("line {number}");
            let line = line_text(bytes, is_replaced).or_else(|words| parts.refuse(&name, words))?;
            if !line.trim().is_empty() {
                parts.add(&name, line, count, |invalid| invalid.in_file(number, 1))?;
            }
        }
    }
    parts.flush()
}

/// Returns the text of a line, or what is wrong with it.
fn line_text(mut bytes: Vec<u8>, is_replaced: bool) -> Result<String, &'static str> {
    if bytes.pop_if(|last| *last == b'\n').is_none() && bytes.len() > FOLDER_LINE_BYTES_MAX {
        return Err("it is longer than 1 MiB");
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    if is_replaced && text.contains('\u{fffd}') { Err("it holds half a character of UTF-16") } else { Ok(text) }
}

/// Returns the text of a batch, or what is wrong with the first of its lines that cannot be read.
fn batch_text(bytes: Vec<u8>, is_replaced: bool) -> Result<String, String> {
    let named = |before: usize, words: &str| format!("line {}: {words}", before + 1);
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        named(before.iter().filter(|byte| **byte == b'\n').count(), "it is not UTF-8")
    })?;
    match text.find('\u{fffd}').filter(|_| is_replaced) {
        Some(at) => Err(named(text[..at].matches('\n').count(), "it holds half a character of UTF-16")),
        None => Ok(text),
    }
}

struct Parts<'t, T> {
    take: &'t mut T,
    events: Vec<String>,
    bytes: usize,
}

impl<'t, T: FnMut(Part<'_>) -> Result<(), Failure>> Parts<'t, T> {
    const fn new(take: &'t mut T) -> Self {
        Self { take, events: Vec::new(), bytes: 0 }
    }

    /// Adds a valid event. An invalid one is reported once all before it are recorded.
    fn add(
        &mut self,
        name: &str,
        event: String,
        bytes: usize,
        in_file: impl FnOnce(Invalid) -> Invalid,
    ) -> Result<(), Failure> {
        if let Err(invalid) = cloudevents::structured(event.as_bytes()) {
            return self.refuse(name, &in_file(invalid).to_string());
        }
        if self.events.len() == PART_EVENTS || (self.bytes + bytes > PART_BYTES && !self.events.is_empty()) {
            self.flush()?;
        }
        self.events.push(event);
        self.bytes += bytes;
        Ok(())
    }

    /// Reports what cannot be recorded, once all before it are.
    fn refuse<R>(&mut self, name: &str, words: &str) -> Result<R, Failure> {
        self.flush()?;
        Err(Failure::because(one_line(&format!("{name}: {words}"))))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let events = std::mem::take(&mut self.events);
        let bytes = std::mem::take(&mut self.bytes) as u64;
        if events.is_empty() { Ok(()) } else { (self.take)(Part { events: &events, bytes }) }
    }
}
