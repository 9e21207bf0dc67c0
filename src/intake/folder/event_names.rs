//! The members that the events of an array have, by which the next event is found behind a broken one.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::again::ReadAgain;
use super::depth::Depth;

/// Names of the members of an array's first event.
#[derive(Debug)]
pub(super) struct EventNames(Vec<String>);

impl EventNames {
    /// Returns the names in an event; `None` if it is not an object of JSON with at least one.
    pub(super) fn of(event: &[u8]) -> Option<Self> {
        let members: BTreeMap<String, IgnoredAny> = serde_json::from_slice(event).ok()?;
        (!members.is_empty()).then(|| Self(members.into_keys().collect()))
    }

    /// Returns where the next event begins in the bytes of a broken one: at an object behind a comma that is whole and
    /// has all these names. The objects within an event have others.
    pub(super) fn next(&self, bytes: &[u8], work: &mut ReadAgain) -> Option<usize> {
        let mut last = b' ';
        for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()) {
            if *byte == b'{' && last == b',' {
                let object = whole(&bytes[at..], work)?;
                if self.are_in(object) {
                    return Some(at);
                }
            }
            last = *byte;
        }
        None
    }

    fn are_in(&self, object: &[u8]) -> bool {
        let Some(Self(names)) = Self::of(object) else { return false };
        self.0.iter().all(|name| names.contains(name))
    }
}

/// Returns the object that begins here, empty if it is broken; `None` if too much was read again for it.
fn whole<'b>(bytes: &'b [u8], work: &mut ReadAgain) -> Option<&'b [u8]> {
    let mut depth = Depth::default();
    for (at, byte) in bytes.iter().enumerate() {
        let is_broken = depth.take(*byte).is_some();
        if is_broken || depth.is_level() {
            work.is_again(at + 1);
            return Some(if is_broken { &[] } else { &bytes[..=at] });
        }
        if at % 1_024 == 0 && !work.may_repeat(at) {
            return None;
        }
    }
    work.is_again(bytes.len());
    Some(&[])
}
