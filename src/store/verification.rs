//! Profiles to be read back, and what follows for values that did not arrive.

use super::sends::{self, SendLog};
use super::transaction::Transaction;
use super::{StoreError, place, profiles};
use crate::core::forwarding::existence::Existence;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// A reason for reading a profile back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// The profile is in the sample.
    Sample,
    /// An answer was lost, and its request may still be applied.
    Ambiguous,
}

/// Schedules reading a profile back at a time, or later if that was scheduled before.
pub(super) fn schedule(
    transaction: &Transaction<'_>,
    profile_id: i64,
    (due, why): (Timestamp, ReadBack),
) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO verification (profile_id, due_at_ms, is_ambiguous) SELECT id, ?2, ?3 FROM profile WHERE id = ?1
             ON CONFLICT DO UPDATE SET due_at_ms = max(due_at_ms, excluded.due_at_ms),
                 is_ambiguous = max(is_ambiguous, excluded.is_ambiguous)",
        )?
        .execute((profile_id, due.as_millis(), why == ReadBack::Ambiguous))
        .map(|_| ())
}

/// The findings of reading a profile back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Attributes that arrived.
    pub arrived: i64,
    /// Attributes that did not arrive, with the delivered version; and those whose version gave way to a value of
    /// others that is to be written again.
    pub lost: Vec<(String, i64)>,
    /// Existence of the profile at Target; unknown if it was not read.
    pub existence: Existence,
    /// Time on this device's clock.
    pub at: Timestamp,
    /// Time to read it back once more, because a lost value may still be applied.
    pub again_at: Option<Timestamp>,
    /// Calls of the Fetch API that this took.
    pub reads: i64,
    /// Send log, if it differs from the recorded one.
    pub sends: Option<SendLog>,
}

impl Transaction<'_> {
    /// Records the findings of reading a profile back, within a transaction: values that did not arrive are pending
    /// again.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn verified(&mut self, profile_id: i64, verified: &Verified) -> Result<(), StoreError> {
        self.note_verified(profile_id, verified).map_err(StoreError::write)
    }

    fn note_verified(&mut self, profile_id: i64, verified: &Verified) -> rusqlite::Result<()> {
        // A read-back that is not due yet may have been scheduled while the profile was read.
        self.connection
            .prepare_cached("DELETE FROM verification WHERE profile_id = ?1 AND due_at_ms <= ?2")?
            .execute((profile_id, verified.at.as_millis()))?;
        if let Some(again) = verified.again_at {
            schedule(self, profile_id, (again, ReadBack::Ambiguous))?;
        }
        if verified.existence != Existence::Unknown {
            profiles::learn(self, profile_id, verified.existence, verified.at)?;
        }
        if let Some(log) = &verified.sends {
            sends::write(self, profile_id, log)?;
        }
        let mut released = 0;
        for (name, version) in &verified.lost {
            released += self
                .connection
                .prepare_cached(
                    "UPDATE attribute SET delivered_version = 0, refused_version = 0, refused_reason = NULL
                     WHERE profile_id = ?1 AND name = ?2 AND version = ?3
                         AND (delivered_version = ?3 AND refused_version < ?3
                              OR refused_version = ?3 AND refused_reason = ?4)",
                )?
                .execute((profile_id, name, version, Reason::Superseded.label()))?;
        }
        let released = i64::try_from(released).unwrap_or(0);
        self.numbers.pending_change.attributes += released;
        self.numbers.totals.verified += verified.arrived;
        self.numbers.totals.lost += released;
        place::refresh_pending(self, profile_id)?;
        Ok(())
    }

    /// Postpones a read-back, within a transaction, because the profile could not be read now.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn postpone_read_back(&mut self, profile_id: i64, until: Timestamp) -> Result<(), StoreError> {
        let postpone = || {
            self.connection
                .prepare_cached("UPDATE verification SET due_at_ms = ?2 WHERE profile_id = ?1")?
                .execute((profile_id, until.as_millis()))
        };
        postpone().map(|_| ()).map_err(StoreError::write)
    }
}
