//! The numbers over the last day. They are saved with whatever is committed, and cost nothing while nothing happens.

use rusqlite::Connection;

use super::stored::Named;
use super::transaction::Transaction;
use crate::core::forwarding::quota::Quota;
use crate::core::timestamp::Timestamp;

/// The numbers at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Start of the minute.
    pub at: Timestamp,
    /// Events recorded since the store was created.
    pub recorded: i64,
    /// Updates delivered since the store was created.
    pub delivered: i64,
    /// Pending profiles, if they were counted.
    pub pending: Option<i64>,
}

impl Transaction<'_> {
    /// Saves the present numbers if a new minute has begun.
    pub(super) fn save_history(&mut self) -> rusqlite::Result<()> {
        let minute = Quota::minute(self.numbers.now);
        if minute <= self.numbers.history_minute {
            return Ok(());
        }
        if self.numbers.history_minute == 0 {
            // The numbers before this commit.
            let before = self.committed.counters();
            let at = Quota::minute_begins(minute - 1);
            let moment = Moment { at, recorded: before.recorded, delivered: before.totals.updates, pending: None };
            write_before(self, moment)?;
        }
        self.numbers.history_minute = minute;
        let counters = self.numbers.counters();
        let pending = self.numbers.pending_at_start.map(|profiles| profiles + counters.pending_change.profiles);
        let (at, delivered) = (self.numbers.now, counters.totals.updates);
        write(self, Moment { at, recorded: counters.recorded, delivered, pending })
    }
}

fn write(transaction: &Transaction<'_>, moment: Moment) -> rusqlite::Result<()> {
    let minute = Quota::minute(moment.at);
    transaction
        .connection
        .prepare_cached(
            "INSERT OR REPLACE INTO history (minute, recorded, delivered, pending) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((minute, moment.recorded, moment.delivered, moment.pending))?;
    transaction
        .connection
        .prepare_cached("DELETE FROM history WHERE minute < ?1")?
        .execute([minute - Quota::MINUTES])
        .map(|_| ())
}

/// Saves the numbers from before the first commit, unless they are known.
fn write_before(transaction: &Transaction<'_>, moment: Moment) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached(
            "INSERT OR IGNORE INTO history (minute, recorded, delivered, pending) VALUES (?1, ?2, ?3, NULL)",
        )?
        .execute((Quota::minute(moment.at), moment.recorded, moment.delivered))
        .map(|_| ())
}

/// Reads the numbers since a time, oldest first.
pub(super) fn read(connection: &Connection, since: Timestamp) -> rusqlite::Result<Vec<Moment>> {
    let mut statement = connection.prepare_cached(
        "SELECT minute, recorded, delivered, pending FROM history WHERE minute >= ?1 ORDER BY minute",
    )?;
    let rows = statement.query_map([Quota::minute(since)], |row| {
        let row = Named::of(row);
        Ok(Moment {
            at: Quota::minute_begins(row.get("minute")?),
            recorded: row.get("recorded")?,
            delivered: row.get("delivered")?,
            pending: row.get("pending")?,
        })
    })?;
    rows.collect()
}
