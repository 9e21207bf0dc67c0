//! The numbers that `status` shows: totals that survive restarts, and the amount pending.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::destination_row::is_hub;
use super::fingerprint::FingerprintKey;
use super::keys::Generations;
use super::stored::pending;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::timestamp::Timestamp;
use crate::core::words::Receiver;
use crate::device::metrics::Number;

/// Declares the totals since the store was created, each with its row in the table `counter` and, if a metric shows it,
/// the metric's name and help. A new total is one line.
macro_rules! totals {
    ($($(#[$doc:meta])* $field:ident $row:literal $(=> $metric:literal $help:literal)?;)*) => {
        /// Totals since the store was created.
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
    /// Events among them with different content.
    differing "events_differing"
        => "events_differing_total" "Events with the id of a recorded event and other content, which were not recorded.";
    /// Events that no mapping matched.
    unmapped "events_unmapped" => "events_unmapped_total" "Events that no mapping matched.";
    /// Events whose mapping failed.
    rejected "events_rejected" => "events_rejected_total" "Events whose mapping failed.";
    /// Events that were not stored, because the person did not consent.
    unconsented "events_unconsented"
        => "events_unconsented_total" "Events that were not stored, since the person did not agree.";
    /// Events among them for which `consent` could not be computed.
    consent_unknown "events_consent_unknown"
        => "events_consent_unknown_total" "Events that were not stored, since consent could not be computed for them.";
    /// Time of the last one of these, in milliseconds since 1970; 0 means never.
    consent_unknown_at_ms "consent_unknown_at_ms";
    /// Updates that Target accepted.
    updates "updates_delivered" => "updates_delivered_total" "Updates of profiles that Target accepted.";
    /// Attribute values in those updates.
    attributes "attributes_delivered"
        => "attributes_delivered_total" "Values in the updates that Target accepted.";
    /// Requests that reached Target, whatever it answered.
    requests "requests";
    /// Single updates among them for a profile that may not exist at Target.
    unconfirmed "updates_unconfirmed"
        => "updates_unconfirmed_total" "Single updates to profiles that Target may not have.";
    /// Batches that Target accepted.
    batches "batches";
    /// Profiles that were read.
    reads "reads";
    /// Values that were left out because somebody else's were newer.
    superseded "attributes_superseded"
        => "attributes_superseded_total" "Values left out since somebody else had a newer one.";
    /// Values that were not sent because they are empty.
    empty "attributes_empty"
        => "attributes_empty_total" "Values that are empty, which Target ignores, and that were not sent.";
    /// Values that were read back and had arrived.
    verified "attributes_verified"
        => "attributes_verified_total" "Values that were read back and had arrived.";
    /// Values that were read back, had not arrived, and were sent again.
    lost "attributes_lost"
        => "attributes_lost_total" "Values that were read back, had not arrived, and were sent again.";
    /// Time of the last update that Target accepted, in milliseconds since 1970; 0 means never.
    last_delivered_at_ms "last_delivered_at_ms";
    /// Requests reserved ahead of being made: after a crash they count as made.
    quota_reserved "quota_reserved";
    /// The quota's clock when it was last saved, in milliseconds since 1970; 0 means never.
    quota_clock_ms "quota_clock_ms";
    /// The system's wall clock at that moment, in milliseconds since 1970.
    quota_wall_ms "quota_wall_ms";
    /// Time when the client code or the endpoint last changed, in milliseconds since 1970; 0 means never.
    destination_changed_at_ms "destination_changed_at_ms";
    /// Time since which what is pending for Target is drained before a turn to a hub, in milliseconds since 1970; 0 if it is not.
    draining_since_ms "draining_since_ms";
    /// Profiles that Target has and that were purged for room.
    profiles_purged "profiles_purged";
    /// Time when the oldest event was recorded from which on all ids are known, in milliseconds since 1970; 0 if all
    /// are.
    ids_known_since_ms "ids_known_since_ms";
}

impl Totals {
    /// Returns the quota's clock when the system's shows `wall`.
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

    /// Saves the totals that differ from `before`.
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

/// Pending profiles and attributes. For a running [`super::Store`] this is the change since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Profiles with a pending attribute.
    pub profiles: i64,
    /// Pending attributes.
    pub attributes: i64,
}

impl Pending {
    /// Counts what is pending; reads every attribute.
    pub(super) fn count(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = concat!(
            "SELECT (SELECT count(*) FROM profile WHERE pending_seq IS NOT NULL),
                          (SELECT count(*) FROM attribute WHERE ",
            pending!(),
            ")"
        );
        connection.query_row(sql, [], |row| Ok(Self { profiles: row.get(0)?, attributes: row.get(1)? }))
    }

    /// Returns the sums of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { profiles: self.profiles + other.profiles, attributes: self.attributes + other.attributes }
    }
}

/// All numbers of a store, as of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events journalled with their changes.
    pub recorded: i64,
    /// Stored totals.
    pub totals: Totals,
    /// Change of the pending amounts since the store was opened.
    pub pending_change: Pending,
    /// Time when the newest event was recorded.
    pub recorded_at: Option<Timestamp>,
    /// Receiver of the updates.
    pub receiver: Receiver,
}

/// Numbers kept in memory beside the file. They change with what a transaction writes.
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
    /// Profiles that were pending when the store was opened, once counted.
    pub(super) pending_at_start: Option<i64>,
    /// Newest time given by a caller.
    pub(super) now: Timestamp,
    /// Last minute in the history.
    pub(super) history_minute: i64,
    /// True if this device hands over to a hub.
    pub(super) hands_over: bool,
}

/// Uses of quotas, by minute.
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

/// Highest number of an event or a profile. Limits: a thousand a second for 280,000 years.
const NUMBER_MAX: i64 = 1 << 53;

/// Most generations of keys. Limits: those of a thousand million events; five million are usual.
const GENERATIONS_MAX: i64 = 10_000;

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
            hands_over: is_hub(connection)?,
        })
    }

    /// Returns a clause that says why no store of ours has these numbers, if none has: counting on from them would not end.
    pub(super) fn impossible(&self) -> Option<String> {
        let Generations { oldest, newest } = self.generations;
        let words = |name: &str, number: i64| {
            format!("was changed by another program: {name} is {number}, which no agent writes; restore a backup of it")
        };
        match () {
            () if !(0..=NUMBER_MAX).contains(&self.last_seq) => {
                Some(words("the number of its newest event", self.last_seq))
            }
            () if !(0..=NUMBER_MAX).contains(&self.last_profile_id) => {
                Some(words("the number of its newest profile", self.last_profile_id))
            }
            () if oldest < 0 || newest.saturating_sub(oldest) > GENERATIONS_MAX => {
                Some(words("the generation of its oldest keys", oldest))
            }
            () => None,
        }
    }

    pub(super) const fn counters(&self) -> Counters {
        let Self { last_seq, totals, pending_change, recorded_at, hands_over, .. } = self;
        Counters {
            recorded: *last_seq - totals.unmapped - totals.rejected,
            totals: *totals,
            pending_change: *pending_change,
            recorded_at: *recorded_at,
            receiver: if *hands_over { Receiver::Hub } else { Receiver::Target },
        }
    }

    pub(super) const fn next_seq(&self) -> i64 {
        self.last_seq + 1
    }
}
