//! The numbers that `status` shows: totals that survive restarts, and how much is pending.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::fingerprint::FingerprintKey;
use super::keys::Generations;
use super::stored::pending;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::timestamp::Timestamp;
use crate::device::metrics::Number;

/// Declares the totals since the store was made: each with its row of the table `counter`, and the metric that shows it with
/// its help, where one does. A new total is one line.
macro_rules! totals {
    ($($(#[$doc:meta])* $field:ident $row:literal $(=> $metric:literal $help:literal)?;)*) => {
        /// Totals since the store was made.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $field: i64,)*
        }

        impl Totals {
            fn named(&mut self) -> [(&'static str, &mut i64); [$($row),*].len()] {
                [$(($row, &mut self.$field)),*]
            }

            /// Returns the totals that metrics show.
            #[must_use]
            pub fn metrics(&self) -> Vec<Number> {
                vec![$($(Number::total($metric, $help, self.$field),)?)*]
            }
        }
    };
}

totals! {
    /// Events that were recorded a second time.
    duplicate "events_duplicate" => "events_duplicate_total" "Events that had been recorded before.";
    /// Events among them whose content was another one.
    differing "events_differing"
        => "events_differing_total" "Events with the id of a recorded event and other content, which were not recorded.";
    /// Events that no mapping matched.
    unmapped "events_unmapped" => "events_unmapped_total" "Events that no mapping matched.";
    /// Events whose mapping failed.
    rejected "events_rejected" => "events_rejected_total" "Events whose mapping failed.";
    /// Events that were not stored, since the person did not agree.
    unconsented "events_unconsented"
        => "events_unconsented_total" "Events that were not stored, since the person did not agree.";
    /// Updates that Target accepted.
    updates "updates_delivered" => "updates_delivered_total" "Updates of profiles that Target accepted.";
    /// Attribute values in those updates.
    attributes "attributes_delivered"
        => "attributes_delivered_total" "Values in the updates that Target accepted.";
    /// Requests that reached Target, whatever it answered.
    requests "requests";
    /// Updates among them that were sent singly to a profile of which nobody knew whether Target has it.
    unconfirmed "updates_unconfirmed"
        => "updates_unconfirmed_total" "Single updates to profiles of which nobody knew whether Target has them.";
    /// Batches that Target took.
    batches "batches";
    /// Profiles that were read.
    reads "reads";
    /// Values that were left out, since somebody else's were newer.
    superseded "attributes_superseded"
        => "attributes_superseded_total" "Values left out since somebody else had a newer one.";
    /// Values that were read back and had arrived.
    verified "attributes_verified"
        => "attributes_verified_total" "Values that were read back and had arrived.";
    /// Values that had not, and were sent again.
    lost "attributes_lost"
        => "attributes_lost_total" "Values that were read back, had not arrived, and were sent again.";
    /// When Target last accepted one, in milliseconds since 1970; 0 is never.
    last_delivered_at_ms "last_delivered_at_ms";
    /// Requests that may be made before they are settled: after a crash they count as made.
    quota_reserved "quota_reserved";
    /// The quota's clock when it was last written down, in milliseconds; 0 is never.
    quota_clock_ms "quota_clock_ms";
    /// The system's wall clock at that moment.
    quota_wall_ms "quota_wall_ms";
    /// When deliveries began to go to another client code or endpoint, in milliseconds since 1970; 0 is never.
    destination_changed_at_ms "destination_changed_at_ms";
    /// Profiles that Target has, and that were purged for room.
    profiles_purged "profiles_purged";
    /// When the oldest event was recorded of those whose ids are all known, in milliseconds since 1970; 0 is from the start.
    ids_known_since_ms "ids_known_since_ms";
}

impl Totals {
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

/// Counts of what is pending. Of a running [`super::Store`] it is the change since it was opened.
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
    pub(super) fingerprint_key: FingerprintKey,
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
    pub(super) fn load(connection: &Connection, fingerprint_key: FingerprintKey) -> rusqlite::Result<Self> {
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
            fingerprint_key,
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
