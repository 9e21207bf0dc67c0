//! Batch mode: a JSON array of events.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Parsed;
use super::envelope::event;
use super::invalid::{Invalid, not_json, utf8};
use crate::core::limits::BATCH_EVENTS_MAX;

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
