//! Rows of the hub's tables as values.

use std::cmp::Reverse;
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::joining::Merged;
use crate::core::fleet::PartId;
use crate::core::forwarding::existence::Existence;
use crate::core::operation::{Operation, Part, PartItem, PartStamp};
use crate::core::timestamp::Timestamp;

/// The values of a statement that is on its way together with others.
pub(super) type Values<'v, const N: usize> = [&'v (dyn ToSql + Sync); N];

/// An item as it is stored: time, device, seq, items of the same event behind it, item, version.
type StoredItem = (i64, String, i64, u32, Option<String>, i64);

/// Reads an attribute; none if its operation is one that this program does not know.
pub(super) fn merged(row: &Row) -> Option<Merged> {
    let operation = Operation::of_number(i64::from(row.get::<_, i16>("operation")))?;
    let stamp = PartStamp {
        time: Timestamp::from_millis(row.get("time_ms")),
        device: Arc::from(row.get::<_, &str>("device")),
        seq: row.get("seq"),
    };
    let items: Vec<StoredItem> =
        row.get::<_, Option<&str>>("items").and_then(|items| serde_json::from_str(items).ok()).unwrap_or_default();
    let item_versions = items.iter().map(|item| item.5).collect();
    let items = items.into_iter().map(|(time, device, seq, behind, item, _)| PartItem {
        stamp: PartStamp { time: Timestamp::from_millis(time), device: device.into(), seq },
        behind: Reverse(behind),
        item,
    });
    Some(Merged {
        operation,
        part: Part { value: row.get("value"), stamp, items: items.collect() },
        item_versions,
        said_by: Arc::from(row.get::<_, &str>("said_by")),
        event: row.get("event"),
        mapping: row.get("mapping"),
        version: row.get("version"),
    })
}

/// Returns stored items as a device has them: time, the version of the attribute that brought each, item. None if they cannot be read.
pub(super) fn items_by_version(stored: &str) -> Option<String> {
    let items: Vec<StoredItem> = serde_json::from_str(stored).ok()?;
    let items: Vec<(i64, i64, Option<String>)> =
        items.into_iter().map(|(time, _, _, _, item, version)| (time, version, item)).collect();
    Some(serde_json::to_string(&items).expect("numbers and strings are JSON"))
}

/// Returns what is known of a profile at Target, by its stored number.
pub(super) const fn existence(number: i16) -> Option<Existence> {
    match number {
        0 => Some(Existence::Unknown),
        1 => Some(Existence::Yes),
        2 => Some(Existence::No),
        _ => None,
    }
}

/// Returns the number under which it is stored.
pub(super) const fn existence_number(existence: Existence) -> i16 {
    match existence {
        Existence::Unknown => 0,
        Existence::Yes => 1,
        Existence::No => 2,
    }
}

/// Returns the items of an attribute as they are stored; none for other operations than `append`.
pub(super) fn stored_items(merged: &Merged) -> Option<String> {
    let stored = |(item, version): (&PartItem, &i64)| -> StoredItem {
        let PartItem { stamp, behind, item } = item;
        (stamp.time.as_millis(), stamp.device.to_string(), stamp.seq, behind.0, item.clone(), *version)
    };
    let items: Vec<StoredItem> = merged.part.items.iter().zip(&merged.item_versions).map(stored).collect();
    (!items.is_empty()).then(|| serde_json::to_string(&items).expect("numbers and strings are JSON"))
}

/// Returns the id of a part as the tables have it.
pub(super) fn uuid(id: PartId) -> Uuid {
    Uuid::from_u128(id.bits())
}
