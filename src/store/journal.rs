//! Recording: the synchronous core of the store, one transaction at a time.
//!
//! Within a transaction an event is written to the journal, and its changes are coalesced into its profiles.
//! The numbers in memory follow the transaction: a rollback takes them back too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use serde::Deserialize;

use super::StoreError;
use super::counters::{Counters, Pending, Totals};
use super::history::{self, Moment};
use super::keys::{Key, KeyFilter, Keys};
use super::profiles::{self, PlanError, ProfilePlan, Repeats};
use super::salvage::{self, Salvage};
use super::schema;
use super::seal::StoreFile;
use crate::core::event::{Event, EventStatus};
use crate::core::forwarding::quota::{Quota, QuotaTime};
use crate::core::mapping::{Meaning, ProfileChanges};
use crate::core::operation::Stamp;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// An event to record, with what the mappings made of it.
#[derive(Debug)]
pub struct Recording {
    /// The event.
    pub event: Event,
    /// This device's time, which never runs backwards.
    pub recorded_at: Timestamp,
    /// Its changes, or why there are none.
    pub meaning: Meaning,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number in the journal; of a duplicate, the number of the first; 0 when it is not stored.
    pub seq: i64,
    /// Its fate.
    pub status: EventStatus,
    /// Why it was rejected.
    pub reason: Option<String>,
}

/// The one connection that writes, and the numbers it keeps.
pub struct Store {
    pub(super) connection: Connection,
    state: State,
    committed: State,
    /// Minutes in which this transaction saw requests, with their number.
    pub(super) quota_spent: BTreeMap<i64, i64>,
    /// The same, of calls of the Fetch API.
    pub(super) reads_spent: BTreeMap<i64, i64>,
    keys: Keys,
    pub(super) limits: StoreLimits,
    /// What was pending when it was opened, once it is counted.
    pub(super) pending_at_start: Option<i64>,
    /// The newest time that was handed in, and the minute that the history last has.
    now: Timestamp,
    history_minute: i64,
    /// Where its file is; none in memory.
    pub(super) dir: Option<PathBuf>,
}

/// What became of an event's changes: its fate, the profiles that it changed, and why it was rejected.
type Applied = (EventStatus, Vec<i64>, Option<(Reason, String)>);

/// What an operator may set of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes that its file may take.
    pub max_bytes: u64,
    /// Bytes that stay free on its disk.
    pub min_free_disk_bytes: u64,
    /// How long after its delivery an unchanged value is sent again, when an event brings it.
    pub resend_after: Duration,
    /// Whether others write the same profiles: then a value that a newer event sets is sent though it is the one that was
    /// delivered last.
    pub shares_profiles: bool,
}

impl StoreLimits {
    /// When a value is sent again that stays as it is.
    #[must_use]
    pub fn repeats(&self, now: Timestamp) -> Repeats {
        Repeats { before: now.minus(self.resend_after), shared: self.shares_profiles }
    }
}

impl Default for StoreLimits {
    /// The defaults of the contract, section 3.
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            min_free_disk_bytes: 200 << 20,
            resend_after: Duration::from_secs(12 * 3600),
            shares_profiles: false,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct State {
    last_seq: i64,
    last_profile_id: i64,
    recorded_at: Option<Timestamp>,
    pub(super) totals: Totals,
    pub(super) pending_change: Pending,
}

impl Store {
    /// Opens the store of a data directory, making or migrating it as needed.
    ///
    /// # Errors
    /// [`StoreError`], also for a store of a newer program, which is left untouched.
    pub fn open(file: impl Into<StoreFile>) -> Result<Self, StoreError> {
        Self::open_within(file, StoreLimits::default())
    }

    /// If the store's file is damaged: puts it aside, and begins a new one with what can be read of it. Call it before
    /// the store is opened, by whoever holds the data directory.
    ///
    /// # Errors
    /// [`StoreError`], when the file cannot be put aside or a new one cannot be written.
    pub fn mend(file: impl Into<StoreFile>, now: Timestamp) -> Result<bool, StoreError> {
        let file = file.into();
        let is_damaged = salvage::is_damaged(&file);
        if is_damaged {
            salvage::salvage(&file, now)?;
        }
        Ok(is_damaged)
    }

    /// Seals a store anew with the key of the file, from its old one or from none; or opens it for good, where the file
    /// has an old key alone. Nothing of what it held before stays in the file or in its log.
    ///
    /// # Errors
    /// [`StoreError`]; then the store is as it was.
    pub fn rekey(file: &StoreFile) -> Result<(), StoreError> {
        schema::rekey(file)
    }

    /// What was saved the last time that the store was found damaged.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn last_salvage(&self) -> Result<Option<Salvage>, StoreError> {
        salvage::last(&self.connection).map_err(StoreError::Read)
    }

    /// A store that lives in memory, for simulations and benches.
    ///
    /// # Errors
    /// [`StoreError`], when SQLite cannot make one.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        Self::with(schema::open_in_memory()?)
    }

    pub(super) fn with(connection: Connection) -> Result<Self, StoreError> {
        let load = || {
            let state = State::load(&connection)?;
            Ok((state, Keys::load(&connection, state.last_seq)?))
        };
        let (state, keys) = load().map_err(StoreError::Read)?;
        Ok(Self {
            connection,
            state,
            committed: state,
            quota_spent: BTreeMap::new(),
            reads_spent: BTreeMap::new(),
            keys,
            limits: StoreLimits::default(),
            pending_at_start: None,
            now: Timestamp::default(),
            history_minute: 0,
            dir: None,
        })
    }

    /// What a start after a crash finds: the last commit, and nothing of what came after. For simulations of a store in
    /// memory, whose connection must live on.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn restart(mut self) -> Result<Self, StoreError> {
        self.roll_back();
        Self::with(self.connection)
    }

    /// The numbers as of the last commit.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.committed.counters()
    }

    /// As [`Self::open`], within limits of an operator's.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_within(file: impl Into<StoreFile>, limits: StoreLimits) -> Result<Self, StoreError> {
        let file = file.into();
        let mut store = Self::with(schema::open_writer(&file)?)?;
        store.limits = limits;
        store.dir = file.path.parent().map(PathBuf::from);
        store.set_bounds()?;
        Ok(store)
    }

    /// Other limits hold from now on.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn set_limits(&mut self, limits: StoreLimits) -> Result<(), StoreError> {
        self.limits = limits;
        self.set_bounds()
    }

    /// Uses a filter over keys that were recorded before this store was opened.
    pub fn adopt_key_filter(&mut self, filter: KeyFilter) {
        self.keys.adopt(filter);
    }

    /// Does something within a transaction of its own.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it was done.
    pub fn transact<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.begin()?;
        let done = act(self).and_then(|done| self.commit().map(|()| done));
        done.inspect_err(|_| self.roll_back())
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`].
    pub fn begin(&mut self) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE")
    }

    /// Begins a transaction whose commit is not synced: it survives the end of the process, and not always a power cut.
    /// [`Self::sync_again`] is due after it.
    pub(super) fn begin_unsynced(&mut self) -> Result<(), StoreError> {
        // Not "off", with which the log could reach the database before it is on the disk.
        self.set_synchronous("normal")?;
        self.begin()
    }

    pub(super) fn sync_again(&mut self) -> Result<(), StoreError> {
        self.set_synchronous("full")
    }

    fn set_synchronous(&self, level: &str) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "synchronous", level).map_err(StoreError::write)
    }

    /// Makes the transaction durable.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then [`Self::roll_back`] is due.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.state.totals.save(self.committed.totals, &self.connection).map_err(StoreError::write)?;
        self.save_quota().map_err(StoreError::write)?;
        self.save_history().map_err(StoreError::write)?;
        self.execute("COMMIT")?;
        self.committed = self.state;
        self.quota_spent.clear();
        self.reads_spent.clear();
        Ok(())
    }

    /// What was pending when the store was opened, once it is counted: for its history.
    pub const fn set_pending_at_start(&mut self, profiles: i64) {
        self.pending_at_start = Some(profiles);
    }

    /// Something happens at that time.
    pub(super) fn happens(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
    }

    fn save_history(&mut self) -> rusqlite::Result<()> {
        let minute = Quota::minute(self.now);
        if minute <= self.history_minute {
            return Ok(());
        }
        if self.history_minute == 0 {
            // How it stood before.
            let before = self.committed.counters();
            let at = Quota::minute_begins(minute - 1);
            history::write_before(
                &self.connection,
                Moment { at, recorded: before.recorded, delivered: before.totals.updates, pending: None },
            )?;
        }
        self.history_minute = minute;
        let counters = self.state.counters();
        let pending = self.pending_at_start.map(|profiles| profiles + counters.pending_change.profiles);
        let moment = Moment { at: self.now, recorded: counters.recorded, delivered: counters.totals.updates, pending };
        history::write(&self.connection, moment)
    }

    /// Takes the transaction back, and the numbers with it.
    pub fn roll_back(&mut self) {
        self.state = self.committed;
        self.quota_spent.clear();
        self.reads_spent.clear();
        // SQLite may have rolled back by itself, as it does when the disk is full; then this says so and does nothing.
        let _ = self.execute("ROLLBACK");
    }

    fn execute(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql).and_then(|mut it| it.execute([])).map(|_| ()).map_err(StoreError::write)
    }

    /// Records one event within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn record(&mut self, recording: &Recording) -> Result<Recorded, StoreError> {
        self.record_event(recording).map_err(StoreError::write)
    }

    fn record_event(&mut self, recording: &Recording) -> rusqlite::Result<Recorded> {
        let event = &recording.event;
        if recording.meaning == Meaning::Unconsented {
            self.state.totals.unconsented += 1;
            let reason = Some("the person did not agree to it: it was counted, and not stored".to_owned());
            return Ok(Recorded { seq: 0, status: EventStatus::Unconsented, reason });
        }
        if let Some(seq) = self.find(event)? {
            self.state.totals.duplicate += 1;
            return Ok(Recorded { seq, status: EventStatus::Duplicate, reason: None });
        }
        let (seq, recorded_at) = (self.next_seq(), self.recorded_at(recording.recorded_at));
        self.happens(recorded_at);
        let (status, profile_ids, rejection) =
            self.apply(&recording.meaning, Stamp { time: event.ordered_at, seq }, recorded_at)?;
        self.insert(event, seq, recorded_at, (status, &profile_ids))?;
        if let Some((reason, detail)) = &rejection {
            self.reject(seq, recorded_at, *reason, detail)?;
        }
        self.count(status, seq, recorded_at);
        Ok(Recorded { seq, status, reason: rejection.map(|(_, detail)| detail) })
    }

    pub(super) const fn next_seq(&self) -> i64 {
        self.state.last_seq + 1
    }

    /// Events are prepared side by side; in the journal their times stand in order.
    pub(super) fn recorded_at(&self, at: Timestamp) -> Timestamp {
        self.state.recorded_at.map_or(at, |last| last.max(at))
    }

    /// Makes all changes of an event or none. Gives what became of it, the profiles that it changed, and why it was
    /// rejected.
    pub(super) fn apply(
        &mut self,
        meaning: &Meaning,
        stamp: Stamp,
        recorded_at: Timestamp,
    ) -> rusqlite::Result<Applied> {
        let rejected = |reason, detail| (EventStatus::Rejected, Vec::new(), Some((reason, detail)));
        Ok(match meaning {
            Meaning::Changes(profiles) if profiles.is_empty() => (EventStatus::Unmapped, Vec::new(), None),
            Meaning::Changes(profiles) => match self.coalesce(profiles, stamp, recorded_at)? {
                Ok(profile_ids) => (EventStatus::Recorded, profile_ids, None),
                Err(detail) => rejected(Reason::CoalesceFailed, detail),
            },
            Meaning::Failed(error) => rejected(Reason::MappingFailed, error.to_string()),
            Meaning::Unconsented => (EventStatus::Unconsented, Vec::new(), None),
        })
    }

    /// Counts an event that has its place in the journal.
    pub(super) fn count(&mut self, status: EventStatus, seq: i64, recorded_at: Timestamp) {
        match status {
            EventStatus::Unmapped => self.state.totals.unmapped += 1,
            EventStatus::Rejected => self.state.totals.rejected += 1,
            EventStatus::Recorded | EventStatus::Duplicate | EventStatus::Unconsented => {}
        }
        self.state.last_seq = seq;
        self.state.recorded_at = Some(recorded_at);
    }

    /// The number of that event, if it was recorded before.
    fn find(&self, event: &Event) -> rusqlite::Result<Option<i64>> {
        for seq in self.keys.find(&self.connection, Key::of(&event.source, &event.id))? {
            let held: Option<String> = self
                .connection
                .prepare_cached("SELECT open(event, 'journal', seq) FROM journal WHERE seq = ?1 AND event <> ''")?
                .query_row([seq], |row| row.get(0))
                .optional()?;
            // Of an event that is no longer there the key must do: two of a billion events share one once in 40 times.
            if held.is_none_or(|held| is_same(&held, event)) {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    /// Applies all changes of an event and gives the profiles, or none of them and gives what failed.
    fn coalesce(
        &mut self,
        profiles: &[ProfileChanges],
        stamp: Stamp,
        recorded_at: Timestamp,
    ) -> rusqlite::Result<Result<Vec<i64>, String>> {
        let repeats = self.limits.repeats(recorded_at);
        let plans: Result<Vec<ProfilePlan<'_>>, PlanError> =
            profiles.iter().map(|changes| profiles::plan(&self.connection, changes, stamp, repeats)).collect();
        match plans {
            Ok(plans) => {
                let mut profile_ids = Vec::with_capacity(plans.len());
                for plan in &plans {
                    // A number is not given twice in the life of a process: an old claim may still have it.
                    let new_id = self.state.last_profile_id + 1;
                    let (profile_id, change) =
                        profiles::write(&self.connection, plan, new_id, (stamp.seq, recorded_at))?;
                    self.state.last_profile_id = self.state.last_profile_id.max(profile_id);
                    self.state.pending_change = self.state.pending_change.plus(change);
                    profile_ids.push(profile_id);
                }
                Ok(Ok(profile_ids))
            }
            Err(PlanError::Read(error)) => Err(error),
            Err(error @ PlanError::Coalesce { .. }) => Ok(Err(error.to_string())),
        }
    }

    /// Writes an event and its key to the journal.
    pub(super) fn insert(
        &mut self,
        event: &Event,
        seq: i64,
        recorded_at: Timestamp,
        (status, profile_ids): (EventStatus, &[i64]),
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO journal (seq, recorded_at_ms, time_ms, status, profile_id, event)
             VALUES (?1, ?2, ?3, ?4, ?5, seal(?6, 'journal', ?1))",
        )?;
        let times = (recorded_at.as_millis(), event.time.as_millis());
        statement.execute((seq, times.0, times.1, status_number(status), profile_ids.first(), &event.json))?;
        for profile_id in profile_ids.iter().skip(1) {
            self.connection
                .prepare_cached("INSERT INTO journal_profile (seq, profile_id) VALUES (?1, ?2)")?
                .execute((seq, profile_id))?;
        }
        self.keys.insert(&self.connection, Key::of(&event.source, &event.id), seq)
    }

    fn reject(&self, seq: i64, at: Timestamp, reason: Reason, detail: &str) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO rejected (rejected_at_ms, seq, reason, detail) VALUES (?1, ?2, ?3, seal(?4, 'rejected'))",
        )?;
        statement.execute((at.as_millis(), seq, reason.label(), detail)).map(|_| ())
    }

    /// Requests to Target of the last 24 hours, with the limit handed in, and the quota's clock, when the system's says
    /// `wall`. What was reserved before a crash is counted as made now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn quota(&mut self, updates_per_day: u64, wall: Timestamp) -> Result<(Quota, QuotaTime), StoreError> {
        let time = self.committed.totals.quota_time(wall);
        if self.state.totals.quota_reserved > 0 {
            self.transact(|store| {
                store.count_reserved(time);
                Ok(())
            })?;
        }
        Ok((Quota::new(updates_per_day, self.uses("quota", time.at)?), time))
    }

    /// As [`Self::quota`], of calls of the Fetch API.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn read_quota(&self, reads_per_day: u64, now: Timestamp) -> Result<Quota, StoreError> {
        Ok(Quota::new(reads_per_day, self.uses("read_quota", now)?))
    }

    fn uses(&self, table: &str, now: Timestamp) -> Result<Vec<(i64, u64)>, StoreError> {
        let uses = || {
            let sql = format!("SELECT minute, requests FROM {table} WHERE minute >= ?1 ORDER BY minute");
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement.query_map([Quota::oldest_minute(now)], |row| {
                Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        uses().map_err(StoreError::Read)
    }

    /// Counts what was reserved as made now, within a transaction: whoever had reserved it has ended.
    pub fn count_reserved(&mut self, time: QuotaTime) {
        let reserved = self.state.totals.quota_reserved;
        if reserved > 0 {
            self.spend(reserved, time);
            self.reserve(-reserved);
        }
    }

    /// As [`Self::quota`], of a store that is being written, at that time of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn quota_now(&self, updates_per_day: u64, now: Timestamp) -> Result<Quota, StoreError> {
        Ok(Quota::new(updates_per_day, self.uses("quota", now)?))
    }

    /// Reserves room for requests that will be made, or gives it back, within a transaction.
    pub fn reserve(&mut self, requests: i64) {
        let reserved = &mut self.state.totals.quota_reserved;
        *reserved = reserved.saturating_add(requests).max(0);
    }

    /// Counts requests that were made.
    pub(super) fn spend(&mut self, requests: i64, time: QuotaTime) {
        if requests <= 0 {
            return;
        }
        *self.quota_spent.entry(Quota::minute(time.at)).or_default() += requests;
        self.state.totals.quota_clock_ms = time.at.as_millis();
        self.state.totals.quota_wall_ms = time.wall.as_millis();
    }

    /// Counts calls of the Fetch API that were made.
    pub fn spend_reads(&mut self, reads: i64, time: QuotaTime) {
        if reads <= 0 {
            return;
        }
        self.state.totals.reads += reads;
        *self.reads_spent.entry(Quota::minute(time.at)).or_default() += reads;
        self.state.totals.quota_clock_ms = time.at.as_millis();
        self.state.totals.quota_wall_ms = time.wall.as_millis();
    }

    /// Has the next start look at the whole file.
    pub(super) fn suspect(&self) {
        if let Some(path) = self.connection.path() {
            salvage::suspect(Path::new(path));
        }
    }

    pub(super) fn forget_keys(&mut self, seq: i64, limit: i64) -> rusqlite::Result<bool> {
        self.keys.forget(&self.connection, seq, limit)
    }

    pub(super) const fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl State {
    pub(super) const fn last_seq(self) -> i64 {
        self.last_seq
    }

    pub(super) const fn counters(self) -> Counters {
        let Self { last_seq, totals, pending_change, recorded_at, .. } = self;
        Counters { recorded: last_seq - totals.unmapped - totals.rejected, totals, pending_change, recorded_at }
    }

    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let newest: Option<(i64, i64)> = connection
            .query_row("SELECT seq, recorded_at_ms FROM journal ORDER BY seq DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        Ok(Self {
            last_seq: newest.map_or(0, |(seq, _)| seq),
            last_profile_id: connection.query_row("SELECT coalesce(max(id), 0) FROM profile", [], |row| row.get(0))?,
            recorded_at: newest.map(|(_, at_ms)| Timestamp::from_millis(at_ms)),
            totals: Totals::load(connection)?,
            pending_change: Pending::default(),
        })
    }
}

/// The number under which a status is stored.
const fn status_number(status: EventStatus) -> i64 {
    match status {
        EventStatus::Recorded | EventStatus::Duplicate | EventStatus::Unconsented => 0,
        EventStatus::Unmapped => 1,
        EventStatus::Rejected => 2,
    }
}

/// Whether a journalled event has the id and the source of another.
fn is_same(held: &str, event: &Event) -> bool {
    #[derive(Deserialize)]
    struct Name {
        id: String,
        source: String,
    }
    serde_json::from_str(held).is_ok_and(|Name { id, source }| id == event.id && source == event.source)
}
