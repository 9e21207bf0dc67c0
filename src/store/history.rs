//! How the numbers stood over the last day. It is written down with whatever is committed, and costs nothing while nothing happens.

use rusqlite::Connection;

use crate::core::forwarding::quota::Quota;
use crate::core::timestamp::Timestamp;

/// How the numbers stood at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When: the beginning of a minute.
    pub at: Timestamp,
    /// Events that were recorded since the store was made.
    pub recorded: i64,
    /// Updates that were delivered since the store was made.
    pub delivered: i64,
    /// Profiles that were pending, if they were counted.
    pub pending: Option<i64>,
}

/// Writes down how the numbers stand, when a new minute has begun.
pub(super) fn write(connection: &Connection, moment: Moment) -> rusqlite::Result<()> {
    let minute = Quota::minute(moment.at);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO history (minute, recorded, delivered, pending) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((minute, moment.recorded, moment.delivered, moment.pending))?;
    connection.prepare_cached("DELETE FROM history WHERE minute < ?1")?.execute([minute - Quota::MINUTES]).map(|_| ())
}

/// Writes down how the numbers stood before the first commit, unless that is known.
pub(super) fn write_before(connection: &Connection, moment: Moment) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO history (minute, recorded, delivered, pending) VALUES (?1, ?2, ?3, NULL)",
        )?
        .execute((Quota::minute(moment.at), moment.recorded, moment.delivered))
        .map(|_| ())
}

/// How the numbers stood since then, oldest first.
pub(super) fn read(connection: &Connection, since: Timestamp) -> rusqlite::Result<Vec<Moment>> {
    let mut statement = connection.prepare_cached(
        "SELECT minute, recorded, delivered, pending FROM history WHERE minute >= ?1 ORDER BY minute",
    )?;
    let rows = statement.query_map([Quota::minute(since)], |row| {
        Ok(Moment {
            at: Quota::minute_begins(row.get(0)?),
            recorded: row.get(1)?,
            delivered: row.get(2)?,
            pending: row.get(3)?,
        })
    })?;
    rows.collect()
}
