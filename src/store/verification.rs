//! Profiles that will be read back, and what is made of those that did not arrive.

use rusqlite::Connection;

use super::journal::Store;
use super::{Reader, StoreError, profiles};
use crate::existence::Existence;
use crate::identity::Identity;
use crate::timestamp::Timestamp;

/// Has a profile read back at that time, or later if that was said before.
pub(super) fn schedule(connection: &Connection, profile_id: i64, due: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO verification (profile_id, due_at_ms) VALUES (?1, ?2)")?
        .execute((profile_id, due.as_millis()))
        .map(|_| ())
}

/// What a profile was found to hold, read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Attributes that arrived.
    pub arrived: i64,
    /// Attributes that did not, with the version that was delivered.
    pub lost: Vec<(String, i64)>,
    /// Whether Target has the profile.
    pub existence: Existence,
    /// This device's time.
    pub at: Timestamp,
}

/// Profiles that are to be read back.
pub struct DueVerifications {
    /// By now.
    pub due: Vec<Identity>,
    /// When the next is.
    pub next: Option<Timestamp>,
}

impl Reader {
    /// Profiles that are to be read back by now, up to `limit`, and when the next is.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn due_verifications(&self, now: Timestamp, limit: usize) -> Result<DueVerifications, StoreError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT kind, open(key, 'profile', kind) FROM verification JOIN profile ON id = profile_id
                 WHERE due_at_ms <= ?1 ORDER BY due_at_ms LIMIT ?2",
            )?;
            let due = statement
                .query_map((now.as_millis(), i64::try_from(limit).unwrap_or(i64::MAX)), |row| {
                    profiles::identity(row, 0)
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let next: Option<i64> = self
                .connection
                .prepare_cached("SELECT min(due_at_ms) FROM verification WHERE due_at_ms > ?1")?
                .query_row([now.as_millis()], |row| row.get(0))?;
            Ok(DueVerifications { due, next: next.map(Timestamp::from_millis) })
        };
        read().map_err(StoreError::Read)
    }
}

impl Store {
    /// Writes down what reading a profile back has shown, within a transaction: what did not arrive is pending again.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn verified(&mut self, profile_id: i64, verified: &Verified) -> Result<(), StoreError> {
        self.note_verified(profile_id, verified).map_err(StoreError::write)
    }

    fn note_verified(&mut self, profile_id: i64, verified: &Verified) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM verification WHERE profile_id = ?1")?.execute([profile_id])?;
        profiles::learn(&self.connection, profile_id, verified.existence, verified.at)?;
        let mut released = 0;
        for (name, version) in &verified.lost {
            released += self
                .connection
                .prepare_cached(
                    "UPDATE attribute SET delivered_version = 0
                     WHERE profile_id = ?1 AND name = ?2 AND version = ?3 AND delivered_version = ?3
                         AND refused_version < ?3",
                )?
                .execute((profile_id, name, version))?;
        }
        let profiles = profiles::refresh_pending(&self.connection, profile_id)?;
        let state = self.state_mut();
        state.pending_change.attributes += i64::try_from(released).unwrap_or(0);
        state.pending_change.profiles += profiles;
        state.totals.verified += verified.arrived;
        state.totals.lost += i64::try_from(released).unwrap_or(0);
        Ok(())
    }
}
