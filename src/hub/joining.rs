//! Joining an attribute with a device's part of it. Pure: rows in, rows out.

use std::sync::Arc;

use crate::core::fleet::{AttributePart, Reason};
use crate::core::operation::{Operation, Part, PartItem, PartStamp, sum_after};
use crate::core::timestamp::Timestamp;

/// An attribute as the hub holds it: the parts of all devices as one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) operation: Operation,
    pub(super) part: Part,
    /// Version of the attribute that brought each item of an `append`.
    pub(super) item_versions: Vec<i64>,
    /// Name of the device that brought the event that decided the value.
    pub(super) said_by: Arc<str>,
    /// Source and id of that event.
    pub(super) event: String,
    pub(super) mapping: String,
    /// Version of the profile with which the value last changed.
    pub(super) version: i64,
}

/// Effect of a part on an attribute.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// All that it says is known.
    None,
    /// It says more about the event that decided the value, or an item of a list moved; the value stays.
    Noted(Merged),
    /// The value is another one, and is pending.
    Changed(Merged),
}

/// A part of a sum as the hub has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownPart {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) version: i64,
}

/// Returns what a device's part says under the name in its stamps, with its events' times as they were taken.
pub(super) fn of_device(part: &Part, device: &Arc<str>, taken: impl Fn(Timestamp, i64) -> Timestamp) -> Part {
    let stamp =
        |stamp: &PartStamp| PartStamp { time: taken(stamp.time, stamp.seq), device: device.clone(), seq: stamp.seq };
    let item = |it: &PartItem| PartItem { stamp: stamp(&it.stamp), behind: it.behind, item: it.item.clone() };
    Part { value: part.value.clone(), stamp: stamp(&part.stamp), items: part.items.iter().map(item).collect() }
}

/// Joins a part of an attribute that is no sum. `version` is the one that the profile gets with this request, of the device that
/// is called `by`.
///
/// # Errors
/// Why the part is refused.
pub(super) fn join(
    held: Option<&Merged>,
    (said, by): (&AttributePart, &Arc<str>),
    part: &Part,
    version: i64,
) -> Result<Effect, Reason> {
    same_operation(held, said)?;
    let with = held.map_or_else(|| part.clone(), |held| held.part.clone());
    let joined = said.operation.join(with, part.clone()).map_err(|error| error.to_string())?;
    if held.is_some_and(|held| held.part == joined) {
        return Ok(Effect::None);
    }
    let version_of = |item: &PartItem| {
        let place = held.and_then(|held| held.part.items.iter().position(|known| known == item));
        held.zip(place).and_then(|(held, place)| held.item_versions.get(place)).copied().unwrap_or(version)
    };
    let item_versions = joined.items.iter().map(version_of).collect();
    let value_changes = held.is_none_or(|held| held.part.value != joined.value);
    let decides = held.is_none_or(|held| joined.stamp == part.stamp && held.part.stamp != joined.stamp);
    let (said_by, event, mapping) = match held {
        Some(held) if !decides => (held.said_by.clone(), held.event.clone(), held.mapping.clone()),
        _ => (by.clone(), said.event.clone(), said.mapping.clone()),
    };
    let version = held.filter(|_| !value_changes).map_or(version, |held| held.version);
    let merged = Merged { operation: said.operation, part: joined, item_versions, said_by, event, mapping, version };
    Ok(if value_changes { Effect::Changed(merged) } else { Effect::Noted(merged) })
}

/// Counts a part of a sum: instead of the version of it that is known, if it is newer than that.
///
/// # Errors
/// Why the part is refused.
pub(super) fn add(
    held: Option<&Merged>,
    known: Option<&KnownPart>,
    (said, by): (&AttributePart, &Arc<str>),
    part: &Part,
    version: i64,
) -> Result<Effect, Reason> {
    same_operation(held, said)?;
    if known.is_some_and(|known| known.name != said.name.as_str()) {
        return Err("the id of the part belongs to another attribute of the profile".into());
    }
    if known.is_some_and(|known| known.version >= said.version) {
        return Ok(Effect::None);
    }
    let before = known.map_or("0", |known| known.value.as_str());
    let sum = held.map_or("0", |held| held.part.value.as_str());
    let value = sum_after(sum, before, &part.value).map_err(|error| error.to_string())?;
    let is_newer = held.is_none_or(|held| held.part.stamp <= part.stamp);
    let (stamp, said_by, event, mapping) = match held {
        Some(held) if !is_newer => (&held.part.stamp, &held.said_by, &held.event, &held.mapping),
        _ => (&part.stamp, by, &said.event, &said.mapping),
    };
    let value_changes = held.is_none_or(|held| held.part.value != value);
    let merged = Merged {
        operation: said.operation,
        part: Part { value, stamp: stamp.clone(), items: Vec::new() },
        item_versions: Vec::new(),
        said_by: said_by.clone(),
        event: event.clone(),
        mapping: mapping.clone(),
        version: held.filter(|_| !value_changes).map_or(version, |held| held.version),
    };
    Ok(if value_changes { Effect::Changed(merged) } else { Effect::Noted(merged) })
}

fn same_operation(held: Option<&Merged>, said: &AttributePart) -> Result<(), Reason> {
    match held {
        Some(held) if held.operation != said.operation => Err(format!(
            "operation_changed: the attribute is of {} in the hub, and the part is of {}; use another attribute name after \
             changing an operation",
            held.operation.name(),
            said.operation.name()
        )
        .into()),
        _ => Ok(()),
    }
}
