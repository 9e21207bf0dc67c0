//! Batch mode: a JSON array of events.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Parsed;
use super::envelope::event;
use super::invalid::{Extent, Invalid, json};
use crate::core::limits::BATCH_EVENTS_MAX;

/// Reads a JSON array of events.
///
/// # Errors
/// [`Invalid`] with the index of the first invalid event, and the later ones.
pub fn batch(body: &[u8]) -> Result<Vec<Parsed>, Invalid> {
    let body = json(body)?;
    let mut items = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let read = Items(&mut items).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let broken = read.err().map(|error| {
        let invalid = if error.is_data() {
            Invalid::new("a batch is a JSON array of events")
        } else {
            Invalid::not_json(&error, body)
        };
        invalid.of_event(items.len())
    });
    if items.len() > BATCH_EVENTS_MAX {
        let problem = format!("the batch has {} events, at most {BATCH_EVENTS_MAX}; send it in parts", items.len());
        return Err(Invalid { is_too_large: true, ..Invalid::new(problem) });
    }
    let begun = items.len();
    let mut pieces = Pieces { body, at: 0, before: Extent::default() };
    let (mut events, mut wrong) = (Vec::with_capacity(begun), Vec::new());
    for (index, item) in items.iter().enumerate() {
        match pieces.event(item.get()) {
            Ok(event) => events.push(event),
            Err(invalid) => wrong.push(invalid.of_event(index)),
        }
    }
    if let Some(broken) = broken {
        let end = items.last().map_or(0, |item| offset(body, item.get()) + item.get().len());
        wrong.push(broken);
        wrong.extend(pieces.behind_broken(end, begun));
    }
    if wrong.is_empty() {
        return Ok(events);
    }
    let later = wrong.split_off(1);
    Err(Invalid { later, ..wrong.remove(0) })
}

/// Returns the offset of a part of the body. Units: bytes.
fn offset(body: &str, part: &str) -> usize {
    part.as_ptr() as usize - body.as_ptr() as usize
}

/// The parts of a body that are read as events, from beginning to end: each byte is counted once, however many are
/// invalid.
struct Pieces<'b> {
    body: &'b str,
    /// Position already counted, as a byte offset.
    at: usize,
    before: Extent,
}

impl Pieces<'_> {
    /// Reads an event that is a part of the body; its errors get their place in the body.
    fn event(&mut self, item: &str) -> Result<Parsed, Invalid> {
        event(item).map_err(|invalid| {
            let at = offset(self.body, item);
            (self.before, self.at) = (self.before.and(&self.body[self.at..at]), at);
            invalid.behind(self.before)
        })
    }

    /// Returns the errors of the events after one that is not JSON, whose index is `broken`.
    fn behind_broken(&mut self, end: usize, broken: usize) -> Vec<Invalid> {
        let rest = self.body[end..].trim_start_matches(|next: char| next.is_ascii_whitespace());
        let rest = rest.strip_prefix(if broken == 0 { '[' } else { ',' });
        // Without its comma it is unclear which event is which.
        let Some(mut rest) = rest else { return Vec::new() };
        let mut wrong = Vec::new();
        for index in broken.. {
            if index >= BATCH_EVENTS_MAX {
                break;
            }
            let (piece, is_last) = first_piece(rest);
            let item = piece.trim_matches(|next: char| next.is_ascii_whitespace());
            if index > broken
                && let Err(invalid) = self.event(item)
            {
                wrong.push(invalid.of_event(index));
            }
            if is_last {
                break;
            }
            rest = &rest[piece.len() + 1..];
        }
        wrong
    }
}

/// Returns the text before the next comma of the array, and true if the array ends there.
fn first_piece(rest: &str) -> (&str, bool) {
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b',' if depth == 0 => return (&rest[..at], false),
            b']' if depth == 0 => return (&rest[..at], true),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (rest, true)
}

/// The raw events of a batch, including those before an error.
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
