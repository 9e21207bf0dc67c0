//! The writer's thread: it owns the [`Store`] and commits in groups.
//!
//! All jobs that wait when a commit ends become the next transaction; a single event is committed at once. After a
//! group, the writer waits for its clients to return, for a small part of the duration of a commit: otherwise, on a
//! slow flash card, each half of the clients would wait for the commit of the other half.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::StoreError;
use super::counters::Counters;
use super::jobs::{Group, Job, Other, Queue};
use super::opening::Store;
use super::room::Room;
use crate::device::metrics::Metrics;

/// Longest time between two checks of the free room while events arrive; [`ROOM_EVENTS`] may come first.
const ROOM_TIME: Duration = Duration::from_secs(1);
const ROOM_EVENTS: usize = 64;

/// The writer's notices to those who have a handle to it.
pub(super) struct Told {
    pub(super) counters: Arc<Mutex<Counters>>,
    pub(super) outbox_changed: Arc<Notify>,
    pub(super) room: watch::Sender<Room>,
    pub(super) damaged: watch::Sender<bool>,
    /// Reason why the last write failed.
    pub(super) failure: Arc<watch::Sender<Option<String>>>,
}

/// The loop of the writer's thread.
pub(super) struct GroupCommit {
    store: Store,
    metrics: Metrics,
    queue: Queue,
    told: Told,
    room_looked_at: Option<Instant>,
    /// Events since the last check of the room.
    room_events: usize,
}

impl GroupCommit {
    pub(super) const fn new(store: Store, metrics: Metrics, queue: Queue, told: Told) -> Self {
        Self { store, metrics, queue, told, room_looked_at: None, room_events: 0 }
    }

    /// Runs until the last handle is dropped and everything is committed.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.first() {
            match first {
                Job::Note(note) => self.note(note),
                Job::Damage => self.damaged(),
                first => self.group(first),
            }
        }
    }

    fn damaged(&self) {
        self.store.suspect();
        self.told.damaged.send_replace(true);
    }

    fn note(&mut self, mut note: Box<dyn Other>) {
        let noted = self.store.transact_unsynced(|transaction| note.apply(transaction));
        let noted = noted.map_err(|error| self.store.name_bound(error));
        self.publish();
        note.tell(noted);
    }

    /// Checks the free room from time to time, and before each group as long as there is too little.
    fn look_for_room(&mut self) {
        let is_due = self.room_looked_at.is_none_or(|at| at.elapsed() >= ROOM_TIME)
            || self.room_events >= ROOM_EVENTS
            || *self.told.room.borrow() != Room::Enough;
        if !is_due {
            return;
        }
        (self.room_looked_at, self.room_events) = (Some(Instant::now()), 0);
        if let Ok(room) = self.store.room() {
            self.told.room.send_if_modified(|before| std::mem::replace(before, room) != room);
        }
    }

    /// Runs one transaction: the first job, and all that wait or arrive in time.
    fn group(&mut self, first: Job) {
        self.look_for_room();
        let room = *self.told.room.borrow();
        let mut group = Group::default();
        let (result, begun) = match self.fill(&mut group, first, room) {
            Ok(begun) => (Ok(()), begun),
            Err(error) => (Err(error), Instant::now()),
        };
        self.finish(group, result, begun.elapsed());
    }

    /// Fills a group and commits it. Returns the time when the commit began.
    fn fill(&mut self, group: &mut Group, first: Job, room: Room) -> Result<Instant, StoreError> {
        let gather_until = self.queue.gather_until();
        let mut next = Some(first);
        let mut transaction = match self.store.begin() {
            Ok(transaction) => transaction,
            Err(error) => {
                group.jobs.extend(next.take().map(|job| (job, None)));
                return Err(error);
            }
        };
        while let Some(job) = next.take() {
            if let Some(mut job) = refuse(job, room) {
                // The first job needs no savepoint: if it fails, so does the transaction, in which nothing else was
                // done.
                let is_first = group.jobs.is_empty();
                let applied = if is_first {
                    job.apply(&mut transaction)
                } else {
                    transaction.attempt(|transaction| job.apply(transaction))
                };
                match applied {
                    Err(error) if is_first || transaction.is_over() => {
                        group.add(job, None);
                        return Err(error);
                    }
                    applied => group.add(job, applied.err()),
                }
            }
            next = self.queue.next(group, gather_until, room);
        }
        let begun = Instant::now();
        if group.clients > 0 {
            transaction.check_room_for_events()?;
        }
        transaction.commit()?;
        self.store.presence.check()?;
        Ok(begun)
    }

    fn finish(&mut self, group: Group, result: Result<(), StoreError>, took: Duration) {
        let result = result.map_err(|error| self.store.name_bound(error));
        match &result {
            Ok(()) => self.metrics.committed(took, group.events()),
            Err(error) => {
                self.failed(error);
                let failure = match error {
                    StoreError::Write(source) => Some(source.to_string()),
                    StoreError::Gone { .. } => Some(error.to_string()),
                    _ => None,
                };
                failure.map(|failure| self.told.failure.send_replace(Some(failure)));
            }
        }
        self.room_events += group.size;
        self.queue.committed(&group, took);
        let has_changed = self.publish();
        if result.is_ok() && has_changed {
            self.told.failure.send_if_modified(|failure| failure.take().is_some());
        }
        for (job, failed) in group.jobs {
            let failed = failed.map(|error| self.store.name_bound(error)).inspect(|error| self.failed(error));
            job.tell(failed.map_or_else(|| result.as_ref().copied().map_err(StoreError::repeated), Err));
        }
        if has_changed {
            self.told.outbox_changed.notify_one();
        }
    }

    /// Notes the consequences of an error beyond the jobs that wait.
    fn failed(&self, error: &StoreError) {
        if let StoreError::Full(full) = error {
            // The room left is too little for these jobs; it is checked again before the next.
            self.told.room.send_replace(Room::Full(*full));
        }
        if error.is_corruption() {
            self.damaged();
        }
    }

    /// Publishes the numbers as of the last commit. Returns true if they have changed.
    fn publish(&self) -> bool {
        let counters = self.store.counters();
        let mut shown = self.told.counters.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *shown, counters) != counters
    }
}

/// Answers a client at once if there is no room for its events.
fn refuse(job: Job, room: Room) -> Option<Job> {
    match room {
        Room::Full(full) if job.is_client() => {
            job.tell(Err(StoreError::Full(full)));
            None
        }
        _ => Some(job),
    }
}
