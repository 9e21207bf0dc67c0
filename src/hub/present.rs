//! A device while it hands over: one request of it at a time.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::database::now_ms;
use super::devices::Device;
use super::error::HubError;
use super::rows::uuid;
use crate::core::fleet::{AttributePart, Handover, PartId};
use crate::core::timestamp::Timestamp;

/// A device whose request is being taken, with its row locked: another request of it waits.
pub(super) struct Present {
    pub(super) id: i64,
    /// Its name.
    pub(super) name: Arc<str>,
    /// Name in the stamps of its events: the number of its store, or its own name.
    pub(super) stamp: Arc<str>,
    /// True if the hub has taken another time for some of its events, which were ahead of the hub's clock.
    pub(super) has_early: bool,
    /// The database's clock, once the row was locked.
    pub(super) now: Timestamp,
}

impl Present {
    /// Locks the device.
    ///
    /// # Errors
    /// [`HubError::Revoked`], or that of the database.
    pub(super) async fn of(
        transaction: &Transaction<'_>,
        device: &Device,
        store: Option<PartId>,
    ) -> Result<Self, HubError> {
        let (lock, clock) = tokio::try_join!(
            biased;
            transaction.prepare_cached(
                "SELECT name, has_early FROM device WHERE id = $1 AND revoked_ms IS NULL FOR NO KEY UPDATE"
            ),
            transaction.prepare_cached(concat!("SELECT ", now_ms!(), " AS now_ms")),
        )?;
        // One round trip: the clock is read after the lock.
        let of: [&(dyn ToSql + Sync); 1] = [&device.id];
        let (row, now) = tokio::try_join!(
            biased;
            transaction.query_opt(&lock, &of),
            transaction.query_one(&clock, &[]),
        )?;
        let row = row.filter(|row| row.get::<_, &str>("name") == &*device.name).ok_or(HubError::Revoked)?;
        Ok(Self {
            id: device.id,
            name: device.name.clone(),
            stamp: store.map_or_else(|| device.name.clone(), |store| store.to_string().into()),
            has_early: row.get("has_early"),
            now: Timestamp::from_millis(now.get("now_ms")),
        })
    }

    /// Notes that the device was there, how it is, and which parts it has confirmed.
    pub(super) async fn note(&self, transaction: &Transaction<'_>, handover: &Handover) -> Result<(), HubError> {
        let now = self.now.as_millis();
        if !handover.confirmed.is_empty() {
            let statement = transaction
                .prepare_cached(
                    "UPDATE part SET confirmed_ms = $3
                     WHERE id = ANY ($1::uuid[]) AND device = $2 AND confirmed_ms IS NULL",
                )
                .await?;
            let ids: Vec<Uuid> = handover.confirmed.iter().map(|id| uuid(*id)).collect();
            let name: &str = &self.name;
            transaction.execute(&statement, &[&ids, &name, &now]).await?;
        }
        let statement = transaction
            .prepare_cached(
                "UPDATE device SET contact_ms = $2, clock_off_ms = $3, state = $4, has_early = has_early OR $6,
                     twins_ms = CASE WHEN $5::text = ANY (processes[2:]) THEN $2 ELSE twins_ms END,
                     processes = CASE WHEN $5 IS NULL OR processes[1] = $5 THEN processes
                         ELSE (ARRAY[$5] || array_remove(processes, $5))[1:8] END
                 WHERE id = $1",
            )
            .await?;
        let off = handover.sent_at.map(|sent_at| sent_at.as_millis().saturating_sub(now));
        let state = serde_json::to_string(&handover.state).expect("texts and numbers are JSON");
        let is_ahead = |it: &AttributePart| {
            it.part.stamp.time > self.now || it.part.items.iter().any(|item| item.stamp.time > self.now)
        };
        let has_early = handover.profiles.iter().any(|profile| profile.attributes.iter().any(is_ahead));
        let process = &handover.state.process;
        transaction.execute(&statement, &[&self.id, &now, &off, &state, process, &has_early]).await?;
        Ok(())
    }
}
