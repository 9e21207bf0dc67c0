//! The destination of the deliveries recorded in a store: client code and endpoint, and the device that made them.
//!
//! With another client code or endpoint the deliveries are void, and everything in the store is pending again. With
//! another device name the attributes that carry the old name are no longer sent. A store without a recorded
//! destination stays as it is: an older program wrote it.

use rusqlite::Connection;

use super::StoreError;
use super::batches::BatchState;
use super::counters::Pending;
use super::destination_row::{Deliveries, noted};
use super::opening::Store;
use super::reader::Reader;
use super::stored::{Stored, pending};
use super::transaction::Transaction;
use crate::core::forwarding::destination::Destination;
use crate::core::forwarding::existence::Existence;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// Changes caused by a new destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Everything pending now, if earlier deliveries went elsewhere; `None` if they are still valid.
    pub voided: Option<Pending>,
    /// Number of attributes that carry another device's name and are no longer sent; `None` if the name is unchanged.
    pub withheld: Option<usize>,
}

/// The notes by which a device decides where its updates go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Destination of the deliveries; `None` if no agent has used the store yet.
    pub destination: Option<Destination>,
    /// True if nothing is pending for Target, or on its way there.
    pub is_drained: bool,
    /// Since when what is pending for Target is drained before a turn to a hub; `None` if it is not.
    pub draining_since: Option<Timestamp>,
}

impl Default for Noted {
    /// Returns the notes of a store that is yet to be made.
    fn default() -> Self {
        Self { destination: None, is_drained: true, draining_since: None }
    }
}

/// SQL condition: an attribute of the device's own carries the name `?1`; the name before was `?2`. If the new name is
/// part of the old one (`till-1` of `till-10`), an attribute with the old name does not count.
const IS_OURS: &str = "(instr(name, ?1) > 0 AND NOT (instr(?2, ?1) > 0 AND instr(name, ?2) > 0))";

/// Statements that delete everything known about Target's data. What Target refused may be accepted elsewhere; an empty
/// value is never accepted, and another device's attributes remain withheld.
const VOID: [&str; 3] = [
    // The values in batches are pending again.
    "DELETE FROM rejected WHERE profile_id IS NOT NULL",
    "DELETE FROM retried",
    "UPDATE attribute SET delivered_version = 0, delivered_value = NULL, delivered_at_ms = NULL, route = NULL,
         batched_version = 0, batched_value = NULL,
         refused_version = CASE WHEN value = '' OR refused_reason IN ('empty_value', 'other_device')
                                THEN refused_version ELSE 0 END,
         refused_reason = CASE WHEN value = '' OR refused_reason IN ('empty_value', 'other_device')
                               THEN refused_reason END
     WHERE delivered_version > 0 OR refused_version > 0 OR route IS NOT NULL OR batched_version > 0",
];

/// Statements that delete what is known of Target's data and of updates on their way.
const FORGET_READINGS: [&str; 4] =
    ["DELETE FROM reading", "DELETE FROM sends", "DELETE FROM batch_row", "DELETE FROM verification"];

/// Resets profiles to unknown, with all attributes pending except those that are never sent.
const VOID_PROFILES: &str = concat!(
    "UPDATE profile SET existence = ?1, existence_at_ms = NULL, missing_since_ms = NULL, look_at_ms = NULL,
         batch_id = NULL, batch_failures = 0,
         (pending_seq, pending_since_ms) = (
             SELECT min(version), changed_at_ms FROM attribute
             WHERE profile_id = profile.id AND ",
    pending!(),
    ")"
);

/// Deletes the uses of a client code's quotas, which say nothing about another's.
const VOID_QUOTAS: [&str; 2] = ["DELETE FROM quota", "DELETE FROM read_quota"];

/// Empties batches that have not been sent and may contain attributes with the old name; they are filled again. Whether
/// a batch that was being submitted arrived is unknown, so its profiles are read back.
const EMPTY_BATCHES: [&str; 2] = [
    "DELETE FROM batch_row WHERE batch_id IN (SELECT id FROM batch WHERE state < ?1)",
    "UPDATE profile SET batch_id = NULL WHERE batch_id IN (SELECT id FROM batch WHERE state < ?1)",
];

/// Does what [`super::place::refresh_pending`] does, for all profiles with attributes of a device's own.
const REFRESH_OWN: &str = concat!(
    "UPDATE profile SET (pending_seq, pending_since_ms) = (
         SELECT min(version), changed_at_ms FROM attribute
         WHERE profile_id = profile.id AND ",
    pending!(),
    ")
     WHERE id IN (SELECT profile_id FROM attribute WHERE is_own = 1)"
);

impl Transaction<'_> {
    /// Records the destination of future deliveries, within a transaction, and makes void what it invalidates. Nothing
    /// may be in flight.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn adopt_destination(&mut self, deliveries: &Deliveries, at: Timestamp) -> Result<Adopted, StoreError> {
        let before = noted(&self.connection).map_err(StoreError::Read)?;
        let is_hub = deliveries.destination.is_hub();
        if before.as_ref() == Some(deliveries) {
            self.adopt_parts(is_hub).map_err(StoreError::write)?;
            return Ok(Adopted::default());
        }
        let adopted = match before {
            None => Adopted::default(),
            Some(before) => {
                // The outbox takes more room than before. That must not stop an agent whose store is nearly full.
                self.lift_bounds()?;
                let adopted = self.adopt(&before, deliveries, at).map_err(StoreError::write);
                self.set_bounds()?;
                adopted?
            }
        };
        self.adopt_parts(is_hub).map_err(StoreError::write)?;
        note(self, deliveries).map_err(StoreError::write)?;
        Ok(adopted)
    }

    fn adopt(&mut self, before: &Deliveries, now: &Deliveries, at: Timestamp) -> rusqlite::Result<Adopted> {
        let was_pending = Pending::count(&self.connection)?;
        let mut adopted = Adopted::default();
        if before.device_id != now.device_id {
            adopted.withheld = Some(self.withhold(&before.device_id, &now.device_id, at)?);
        }
        let is_void = !now.has_what_went_to(before);
        if is_void {
            self.void(at)?;
        }
        let pending = Pending::count(&self.connection)?;
        adopted.voided = is_void.then_some(pending);
        let change = &mut self.numbers.pending_change;
        change.profiles += pending.profiles - was_pending.profiles;
        change.attributes += pending.attributes - was_pending.attributes;
        Ok(adopted)
    }

    /// Makes what is pending parts for a hub, within a transaction, whatever the destination is.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn hand_over_from_now(&mut self) -> Result<(), StoreError> {
        self.adopt_parts(true).map_err(StoreError::write)
    }

    /// Notes, within a transaction, that what is pending for Target is drained before this device turns to a hub, or that it is not:
    /// since the first time that this is said, but never later than `now`, whatever the clock was then.
    pub fn note_draining(&mut self, is_draining: bool, now: Timestamp) {
        let since = &mut self.numbers.totals.draining_since_ms;
        *since = match (is_draining, *since) {
            (false, _) => 0,
            (true, 0) => now.as_millis(),
            (true, since) => since.min(now.as_millis()),
        };
    }

    /// Turns to a hub, or from it. What was read of Target, or is on its way there, says nothing to a hub.
    fn adopt_parts(&mut self, is_hub: bool) -> rusqlite::Result<()> {
        if is_hub == self.numbers.hands_over {
            return if is_hub { self.begin_parts() } else { Ok(()) };
        }
        self.numbers.hands_over = is_hub;
        if !is_hub {
            return self.end_parts();
        }
        FORGET_READINGS.into_iter().try_for_each(|sql| self.connection.execute(sql, []).map(|_| ()))?;
        self.connection.execute(
            "UPDATE profile SET batch_id = NULL, missing_since_ms = NULL, look_at_ms = NULL
             WHERE batch_id IS NOT NULL OR look_at_ms IS NOT NULL OR missing_since_ms IS NOT NULL",
            [],
        )?;
        self.give_up_batches(BatchState::Complete)?;
        self.begin_lists()?;
        self.begin_parts()
    }

    /// Refuses attributes that carry another device's name, and releases those refused for carrying this one's.
    fn withhold(&self, before: &str, now: &str, at: Timestamp) -> rusqlite::Result<usize> {
        let label = Reason::OtherDevice.label();
        let run = |sql: &str| self.connection.execute(sql, (now, before, label));
        run(&format!(
            "UPDATE attribute SET refused_version = 0, refused_reason = NULL
             WHERE is_own = 1 AND refused_reason = ?3 AND {IS_OURS}"
        ))?;
        let withheld = run(&format!(
            "UPDATE attribute SET refused_version = version, refused_reason = ?3
             WHERE is_own = 1 AND value <> '' AND NOT {IS_OURS}"
        ))?;
        self.connection.execute(
            "INSERT OR REPLACE INTO verification (profile_id, due_at_ms, is_ambiguous)
             SELECT id, ?1, 1 FROM profile WHERE batch_id IN (SELECT id FROM batch WHERE state = ?2)",
            (at.as_millis(), BatchState::Submitting.stored()),
        )?;
        let sent = BatchState::Submitted;
        let empty = |sql| self.connection.execute(sql, [sent.stored()]).map(|_| ());
        EMPTY_BATCHES.into_iter().try_for_each(empty)?;
        self.give_up_batches(sent)?;
        self.connection.execute(REFRESH_OWN, [])?;
        Ok(withheld)
    }

    fn void(&mut self, at: Timestamp) -> rusqlite::Result<()> {
        FORGET_READINGS
            .into_iter()
            .chain(VOID)
            .chain(VOID_QUOTAS)
            .try_for_each(|sql| self.connection.execute(sql, []).map(|_| ()))?;
        self.connection.execute(VOID_PROFILES, [Existence::Unknown.stored()])?;
        self.numbers.uses.clear();
        self.give_up_batches(BatchState::Complete)?;
        // Their rows count towards the old client code's day.
        self.connection.execute("UPDATE batch SET submitted_at_ms = NULL", [])?;
        let totals = &mut self.numbers.totals;
        totals.quota_reserved = 0;
        totals.destination_changed_at_ms = at.as_millis();
        Ok(())
    }

    /// Gives up the batches that have not reached a state.
    fn give_up_batches(&self, reached: BatchState) -> rusqlite::Result<()> {
        self.connection
            .execute(
                "UPDATE batch SET state = ?2, ended_at_ms = coalesce(
                     (SELECT value FROM counter WHERE name = 'quota_clock_ms'), submitted_at_ms, 0)
                 WHERE state < ?1",
                (reached.stored(), BatchState::GivenUp.stored()),
            )
            .map(|_| ())
    }
}

impl Reader {
    /// Returns the notes of where the store's deliveries go.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn noted(&self) -> Result<Noted, StoreError> {
        // What an older program has left is not looked through: it drains first, if it must.
        let is_drained = self.is_current()? && is_drained(&self.connection).map_err(StoreError::Read)?;
        notes(&self.connection, is_drained, self.counters()?.totals.draining_since_ms).map_err(StoreError::Read)
    }
}

impl Store {
    /// Returns the notes of where deliveries go.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn noted(&self) -> Result<Noted, StoreError> {
        is_drained(&self.connection)
            .and_then(|is_drained| {
                notes(&self.connection, is_drained, self.committed.counters().totals.draining_since_ms)
            })
            .map_err(StoreError::Read)
    }

    /// Returns true if deliveries go there.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn goes_to(&self, destination: &Destination) -> Result<bool, StoreError> {
        let noted = noted(&self.connection).map_err(StoreError::Read)?;
        Ok(noted.is_none_or(|noted| noted.destination == *destination))
    }
}

fn notes(connection: &Connection, is_drained: bool, draining_since_ms: i64) -> rusqlite::Result<Noted> {
    let draining_since = (draining_since_ms != 0).then(|| Timestamp::from_millis(draining_since_ms));
    Ok(Noted { destination: noted(connection)?.map(|noted| noted.destination), is_drained, draining_since })
}

/// Returns true if nothing is pending for Target, or on its way there, so that this device may turn to a hub.
fn is_drained(connection: &Connection) -> rusqlite::Result<bool> {
    // Each by its index. A profile that Target does not have, and that waits for it, is the hub's to make.
    let waits = "SELECT EXISTS (SELECT 1 FROM profile
                         WHERE pending_seq IS NOT NULL AND batch_id IS NULL AND look_at_ms IS NULL)
                     OR EXISTS (SELECT 1 FROM profile WHERE batch_id IS NOT NULL)
                     OR EXISTS (SELECT 1 FROM verification WHERE is_ambiguous = 1)";
    let waits: bool = connection.prepare_cached(waits)?.query_row([], |row| row.get(0))?;
    Ok(!waits)
}

fn note(transaction: &Transaction<'_>, deliveries: &Deliveries) -> rusqlite::Result<()> {
    let Deliveries { destination, device_id } = deliveries;
    transaction
        .connection
        .execute(
            "INSERT OR REPLACE INTO destination (id, client_code, endpoint, device_id) VALUES (1, ?1, ?2, ?3)",
            (destination.client_code(), destination.endpoint(), device_id),
        )
        .map(|_| ())
}
