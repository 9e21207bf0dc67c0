//! The numbers that `status` shows: totals that survive restarts, and how much is pending.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::keys::Generations;
use super::stored::pending;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::timestamp::Timestamp;

/// Totals since the store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events that were recorded a second time.
    pub duplicate: i64,
    /// Events that no mapping matched.
    pub unmapped: i64,
    /// Events whose mapping failed.
    pub rejected: i64,
    /// Events that were not stored, since the person did not agree.
    pub unconsented: i64,
    /// Updates that Target accepted.
    pub updates: i64,
    /// Attribute values in those updates.
    pub attributes: i64,
    /// Requests that reached Target, whatever it answered.
    pub requests: i64,
    /// Updates among them that were sent singly to a profile of which nobody knew whether Target has it.
    pub unconfirmed: i64,
    /// Batches that Target took.
    pub batches: i64,
    /// Profiles that were read.
    pub reads: i64,
    /// Values that were left out, since somebody else's were newer.
    pub superseded: i64,
    /// Values that were read back and had arrived.
    pub verified: i64,
    /// Values that had not, and were sent again.
    pub lost: i64,
    /// When Target last accepted one, in milliseconds since 1970; 0 is never.
    pub last_delivered_at_ms: i64,
    /// Requests that may be made before they are settled: after a crash they count as made.
    pub quota_reserved: i64,
    /// The quota's clock when it was last written down, in milliseconds; 0 is never.
    pub quota_clock_ms: i64,
    /// The system's wall clock at that moment.
    pub quota_wall_ms: i64,
    /// When deliveries began to go to another client code or endpoint, in milliseconds since 1970; 0 is never.
    pub destination_changed_at_ms: i64,
    /// Profiles that Target has, and that were purged for room.
    pub profiles_purged: i64,
}

impl Totals {
    fn named(&mut self) -> [(&'static str, &mut i64); 19] {
        [
            ("events_duplicate", &mut self.duplicate),
            ("events_unmapped", &mut self.unmapped),
            ("events_rejected", &mut self.rejected),
            ("events_unconsented", &mut self.unconsented),
            ("updates_delivered", &mut self.updates),
            ("attributes_delivered", &mut self.attributes),
            ("requests", &mut self.requests),
            ("updates_unconfirmed", &mut self.unconfirmed),
            ("batches", &mut self.batches),
            ("reads", &mut self.reads),
            ("attributes_superseded", &mut self.superseded),
            ("attributes_verified", &mut self.verified),
            ("attributes_lost", &mut self.lost),
            ("last_delivered_at_ms", &mut self.last_delivered_at_ms),
            ("quota_reserved", &mut self.quota_reserved),
            ("quota_clock_ms", &mut self.quota_clock_ms),
            ("quota_wall_ms", &mut self.quota_wall_ms),
            ("destination_changed_at_ms", &mut self.destination_changed_at_ms),
            ("profiles_purged", &mut self.profiles_purged),
        ]
    }

    /// The quota's clock, when the system's says `wall`.
    #[must_use]
    pub fn quota_time(&self, wall: Timestamp) -> QuotaTime {
        match self.quota_clock_ms {
            0 => QuotaTime { at: wall, wall },
            at_ms => {
                let saved = Timestamp::from_millis(self.quota_wall_ms);
                QuotaTime { at: Timestamp::from_millis(at_ms), wall: saved }.resumed(wall)
            }
        }
    }

    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut totals = Self::default();
        for (name, value) in totals.named() {
            let stored = connection
                .query_row("SELECT value FROM counter WHERE name = ?1", [name], |row| row.get(0))
                .optional()?;
            *value = stored.unwrap_or(0);
        }
        Ok(totals)
    }

    /// Writes what differs from `before`.
    pub(super) fn save(mut self, mut before: Self, connection: &Connection) -> rusqlite::Result<()> {
        for ((name, value), (_, old)) in self.named().into_iter().zip(before.named()) {
            if value != old {
                let mut statement = connection.prepare_cached(
                    "INSERT INTO counter (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                )?;
                statement.execute((name, *value))?;
            }
        }
        Ok(())
    }
}

/// How much is pending. Of a running [`super::Store`] it is the change since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Profiles with a pending attribute.
    pub profiles: i64,
    /// Pending attributes.
    pub attributes: i64,
}

impl Pending {
    /// Counts what is pending. It reads every attribute.
    pub(super) fn count(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = concat!(
            "SELECT (SELECT count(*) FROM profile WHERE pending_seq IS NOT NULL),
                          (SELECT count(*) FROM attribute WHERE ",
            pending!(),
            ")"
        );
        connection.query_row(sql, [], |row| Ok(Self { profiles: row.get(0)?, attributes: row.get(1)? }))
    }

    /// Both sums.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { profiles: self.profiles + other.profiles, attributes: self.attributes + other.attributes }
    }
}

/// All numbers of a store after a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events with their changes in the store.
    pub recorded: i64,
    /// Totals that are stored.
    pub totals: Totals,
    /// Change of what is pending since the store was opened.
    pub pending_change: Pending,
    /// When the newest event was recorded.
    pub recorded_at: Option<Timestamp>,
}

/// Numbers that are kept in memory beside the file. They change with what a transaction writes.
#[derive(Clone)]
pub(super) struct Numbers {
    pub(super) last_seq: i64,
    pub(super) last_profile_id: i64,
    pub(super) recorded_at: Option<Timestamp>,
    pub(super) totals: Totals,
    pub(super) pending_change: Pending,
    pub(super) generations: Generations,
    /// Uses of the quotas in this transaction.
    pub(super) uses: Uses,
    /// Profiles that were pending when the store was opened, once they are counted.
    pub(super) pending_at_start: Option<i64>,
    /// Newest time that was handed in.
    pub(super) now: Timestamp,
    /// Minute that the history last has.
    pub(super) history_minute: i64,
}

/// Uses of quotas: by minute, their number.
#[derive(Clone, Default)]
pub(super) struct Uses {
    pub(super) updates: BTreeMap<i64, i64>,
    /// Calls of the Fetch API.
    pub(super) reads: BTreeMap<i64, i64>,
}

impl Uses {
    pub(super) fn clear(&mut self) {
        self.updates.clear();
        self.reads.clear();
    }
}

impl Numbers {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let newest: Option<(i64, i64)> = connection
            .query_row("SELECT seq, recorded_at_ms FROM journal ORDER BY seq DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let last_seq = newest.map_or(0, |(seq, _)| seq);
        Ok(Self {
            last_seq,
            last_profile_id: connection.query_row("SELECT coalesce(max(id), 0) FROM profile", [], |row| row.get(0))?,
            recorded_at: newest.map(|(_, at_ms)| Timestamp::from_millis(at_ms)),
            totals: Totals::load(connection)?,
            pending_change: Pending::default(),
            generations: Generations::load(connection, last_seq)?,
            uses: Uses::default(),
            pending_at_start: None,
            now: Timestamp::default(),
            history_minute: 0,
        })
    }

    pub(super) const fn counters(&self) -> Counters {
        let Self { last_seq, totals, pending_change, recorded_at, .. } = self;
        Counters {
            recorded: *last_seq - totals.unmapped - totals.rejected,
            totals: *totals,
            pending_change: *pending_change,
            recorded_at: *recorded_at,
        }
    }

    pub(super) const fn next_seq(&self) -> i64 {
        self.last_seq + 1
    }
}
