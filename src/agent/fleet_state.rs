//! State of this device, as the hub of its fleet is told it.

use std::sync::Arc;

use crate::core::fleet::DeviceState;
use crate::forward::StateReader;
use crate::inspect::books::Books;

/// Returns what reads the state. The name of the process is chosen here, at random: a hub that hears two in turns has two
/// devices with one token.
pub(super) fn state_reader(books: &Arc<Books>) -> StateReader {
    let (books, process) = (books.clone(), uuid::Uuid::new_v4().simple().to_string());
    Arc::new(move || {
        let status = books.status().ok()?;
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Some(DeviceState {
            version: status.version,
            device_id: status.device_id,
            group: None,
            process: Some(process.clone()),
            pending_profiles: count(status.pending.profiles),
            oldest_seconds: status.pending.oldest_seconds,
            rejected: count(status.rejected.events.saturating_add(status.rejected.updates)),
            unmapped: count(status.events.unmapped),
            refused_intake: status.refused.iter().map(|refused| refused.requests).sum(),
            disk_free_bytes: status.store.disk_free_bytes.unwrap_or(0),
            mappings: 0,
            forgotten: 0,
        })
    })
}
