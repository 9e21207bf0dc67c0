//! The writer: one thread that owns the [`Store`] and commits in groups.
//!
//! Whatever waits when a commit ends is the next transaction. Alone, an event is committed at once. After a group, the
//! writer waits for its clients to come back, for a small part of what a commit costs: else, on a slow flash card, each
//! half of the clients would wait for the commit of the other half.
//!
//! Each client has one job at a time. Those with few events go first, and of those with many each group takes one: so that
//! whoever sends much is served steadily, and nobody waits longer for him than for one of his batches.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};

use super::StoreError;
use super::counters::Counters;
use super::journal::{Recorded, Recording, Store};
use super::room::Room;
use super::settle::Settlement;
use crate::core::limits::{GROUP_EVENTS_MAX, SMALL_EVENTS_MAX};
use crate::device::metrics::Metrics;

/// The part of a commit's duration that clients are waited for, as long as they keep coming.
const GATHER_PART: u32 = 2;

/// The part of a commit's duration that the next of them is waited for.
const GATHER_GAP_PART: u32 = 8;

/// Below this, waiting costs more than it gathers.
const GATHER_GAP_MIN: Duration = Duration::from_micros(100);

/// How often the room that is left is looked at, while events come: whichever is first.
const ROOM_TIME: Duration = Duration::from_secs(1);
const ROOM_EVENTS: usize = 64;

/// How long the writer stays awake after a commit.
const AWAKE: Duration = Duration::from_micros(250);

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Record {
        recordings: Vec<Recording>,
        recorded: Vec<Recorded>,
        reply: Reply<Vec<Recorded>>,
    },
    Settle {
        settlements: Vec<Settlement>,
        reply: Reply<()>,
    },
    Other(Box<dyn Other>),
    /// A transaction of its own that is not synced: it survives the end of the process, and perhaps not a power cut.
    Note(Box<dyn Other>),
    /// Somebody who reads found the file damaged.
    Damage,
}

/// Work of another kind, which needs to know nothing of groups.
trait Other: Send {
    fn apply(&mut self, store: &mut Store) -> Result<(), StoreError>;
    fn tell(self: Box<Self>, result: Result<(), StoreError>);
}

struct Act<T, F> {
    act: Option<F>,
    done: Option<T>,
    reply: Reply<T>,
}

impl<T: Send, F: FnOnce(&mut Store) -> Result<T, StoreError> + Send> Other for Act<T, F> {
    fn apply(&mut self, store: &mut Store) -> Result<(), StoreError> {
        if let Some(act) = self.act.take() {
            self.done = Some(act(store)?);
        }
        Ok(())
    }

    fn tell(self: Box<Self>, result: Result<(), StoreError>) {
        let done = self.done.ok_or(StoreError::Stopped);
        // One that went away has no use for the answer.
        drop(self.reply.send(result.and(done)));
    }
}

/// A handle to the writer's thread. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Writer {
    jobs: Sender<Job>,
    counters: Arc<Mutex<Counters>>,
    outbox_changed: Arc<Notify>,
    room: watch::Receiver<Room>,
    damaged: watch::Receiver<bool>,
}

impl Writer {
    /// Starts the thread. Its handle ends after the last [`Writer`] is dropped and everything is committed.
    ///
    /// # Errors
    /// The system's, when it has no more threads.
    pub fn start(store: Store) -> std::io::Result<(Self, JoinHandle<()>)> {
        Self::start_measured(store, Metrics::new())
    }

    /// As [`Self::start`], with its commits measured.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_measured(store: Store, metrics: Metrics) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, waiting) = channel();
        let (room_sender, room) = watch::channel(Room::Enough);
        let (damaged_sender, damaged) = watch::channel(false);
        let writer = Self {
            jobs,
            counters: Arc::new(Mutex::new(store.counters())),
            outbox_changed: Arc::new(Notify::new()),
            room,
            damaged,
        };
        let writing = Loop {
            store,
            metrics,
            waiting,
            queued: VecDeque::new(),
            large: VecDeque::new(),
            clients: 0,
            last_commit: Duration::ZERO,
            room: room_sender,
            damaged: damaged_sender,
            room_looked_at: None,
            room_events: 0,
            counters: writer.counters.clone(),
            outbox_changed: writer.outbox_changed.clone(),
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writing.run())?;
        Ok((writer, thread))
    }

    /// Records events, all of them or none, and answers when they are durable.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was recorded.
    pub async fn record(&self, recordings: Vec<Recording>) -> Result<Vec<Recorded>, StoreError> {
        self.begin_record(recordings)?.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// As [`Self::record`], for a thread that may wait.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn record_blocking(&self, recordings: Vec<Recording>) -> Result<Vec<Recorded>, StoreError> {
        self.begin_record(recordings)?.blocking_recv().unwrap_or(Err(StoreError::Stopped))
    }

    fn begin_record(
        &self,
        recordings: Vec<Recording>,
    ) -> Result<oneshot::Receiver<Result<Vec<Recorded>, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Record { recordings, recorded: Vec::new(), reply }).map_err(|_| StoreError::Stopped)?;
        Ok(answer)
    }

    /// Settles deliveries, and answers when that is durable.
    ///
    /// # Errors
    /// [`StoreError`]; then the claims are released unsettled.
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Settle { settlements, reply }).map_err(|_| StoreError::Stopped)?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Does other work within a transaction, and answers when it is durable. It should be short: recording waits for it.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it was done.
    pub async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.begin_act(act)?.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// As [`Self::act`], for a thread that may wait.
    ///
    /// # Errors
    /// As for [`Self::act`].
    pub fn act_blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.begin_act(act)?.blocking_recv().unwrap_or(Err(StoreError::Stopped))
    }

    /// Writes a note that need not survive a power cut, and answers when it would survive the end of the process.
    ///
    /// # Errors
    /// As for [`Self::act`].
    pub fn note_blocking<T: Send + 'static>(
        &self,
        note: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let note = Act { act: Some(note), done: None, reply };
        self.jobs.send(Job::Note(Box::new(note))).map_err(|_| StoreError::Stopped)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Stopped))
    }

    /// How much room the store has; it tells of changes.
    #[must_use]
    pub fn room(&self) -> watch::Receiver<Room> {
        self.room.clone()
    }

    /// Takes in an error of somebody who reads: if it means that the file is damaged, the next start mends it.
    pub fn report(&self, error: &StoreError) {
        if error.is_corruption() {
            // One that has stopped has nothing more to lose.
            drop(self.jobs.send(Job::Damage));
        }
    }

    /// Turns true when the store's file is found damaged: the next start mends it.
    #[must_use]
    pub fn damaged(&self) -> watch::Receiver<bool> {
        self.damaged.clone()
    }

    fn begin_act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let act = Act { act: Some(act), done: None, reply };
        self.jobs.send(Job::Other(Box::new(act))).map_err(|_| StoreError::Stopped)?;
        Ok(answer)
    }

    /// The numbers as of the last commit.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told after each commit that put something into the outbox.
    #[must_use]
    pub fn outbox_changed(&self) -> Arc<Notify> {
        self.outbox_changed.clone()
    }
}

struct Loop {
    store: Store,
    metrics: Metrics,
    waiting: Receiver<Job>,
    /// What waited when the last commit ended.
    queued: VecDeque<Job>,
    /// Of those that wait, clients with many events.
    large: VecDeque<Job>,
    /// Those who wait for events: in `queued`, or answered by the last commit, and perhaps back soon.
    clients: usize,
    last_commit: Duration,
    room: watch::Sender<Room>,
    damaged: watch::Sender<bool>,
    room_looked_at: Option<Instant>,
    /// Events since then.
    room_events: usize,
    counters: Arc<Mutex<Counters>>,
    outbox_changed: Arc<Notify>,
}

/// The jobs of one transaction.
#[derive(Default)]
struct Group {
    jobs: Vec<Job>,
    clients: usize,
    size: usize,
    /// The size of the small ones among its jobs.
    small: usize,
}

impl Group {
    fn add(&mut self, job: Job) {
        self.clients += usize::from(job.is_client());
        self.size += job.size();
        self.small += if job.is_large() { 0 } else { job.size() };
        self.jobs.push(job);
    }

    /// Events among what it holds.
    fn events(&self) -> usize {
        self.jobs.iter().filter(|job| job.is_client()).map(Job::size).sum()
    }
}

impl Loop {
    fn run(mut self) {
        while let Some(first) = self.first() {
            match first {
                Job::Note(note) => self.note(note),
                Job::Damage => self.damaged(),
                first => self.group(first),
            }
        }
    }

    fn damaged(&self) {
        self.store.suspect();
        self.damaged.send_replace(true);
    }

    fn note(&mut self, mut note: Box<dyn Other>) {
        let mut result = self.store.begin_unsynced().and_then(|()| note.apply(&mut self.store));
        result = result.and_then(|()| self.store.commit()).map_err(|error| self.store.name_bound(error));
        if result.is_err() {
            self.store.roll_back();
        }
        let synced = self.store.sync_again();
        self.publish();
        note.tell(result.and(synced));
    }

    /// Looks whether there is room, from time to time, and before each group as long as there is too little.
    fn look_for_room(&mut self) {
        let is_due = self.room_looked_at.is_none_or(|at| at.elapsed() >= ROOM_TIME)
            || self.room_events >= ROOM_EVENTS
            || *self.room.borrow() != Room::Enough;
        if !is_due {
            return;
        }
        (self.room_looked_at, self.room_events) = (Some(Instant::now()), 0);
        if let Ok(room) = self.store.room() {
            self.room.send_if_modified(|before| std::mem::replace(before, room) != room);
        }
    }

    /// Answers a client at once when there is no room for its events.
    fn refuse(&self, job: Job) -> Option<Job> {
        match *self.room.borrow() {
            Room::Full(full) if job.is_client() => {
                job.tell(&Err(StoreError::Full(full)));
                None
            }
            _ => Some(job),
        }
    }

    /// The job that begins the next transaction. After a client that was alone, it is looked for without going to sleep
    /// for a moment: to fall asleep and be woken costs half as much as its commit.
    fn first(&mut self) -> Option<Job> {
        if let Some(job) = self.large.pop_front().or_else(|| self.queued.pop_front()) {
            return Some(job);
        }
        let begun = Instant::now();
        while self.clients == 1 && begun.elapsed() < AWAKE {
            match self.waiting.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        let job = self.waiting.recv().ok();
        if begun.elapsed() > self.last_commit {
            // Those of the last commit are not coming back.
            self.clients = 0;
        }
        job
    }

    /// One transaction: the first job, and all that wait or come back in time.
    fn group(&mut self, first: Job) {
        self.look_for_room();
        let mut group = Group::default();
        let mut result = self.store.begin();
        let gather_until = Instant::now() + self.last_commit / GATHER_PART;
        let mut next = Some(first);
        while let Some(job) = next.take() {
            if let Some(mut job) = self.refuse(job) {
                result = result.and_then(|()| job.apply(&mut self.store));
                group.add(job);
            }
            if result.is_ok() {
                next = self.next(&group, gather_until);
            }
        }
        self.finish(group, result);
    }

    fn next(&mut self, group: &Group, gather_until: Instant) -> Option<Job> {
        if group.small < GROUP_EVENTS_MAX
            && let Some(job) = self.next_small()
        {
            return self.if_together(job, group);
        }
        if group.size >= GROUP_EVENTS_MAX {
            return None;
        }
        if let Some(job) = self.large.pop_front() {
            return self.if_together(job, group);
        }
        let gap = self.last_commit / GATHER_GAP_PART;
        if group.clients >= self.clients || gap < GATHER_GAP_MIN {
            return None;
        }
        let left = gather_until.checked_duration_since(Instant::now())?;
        let job = self.waiting.recv_timeout(gap.min(left)).ok()?;
        self.if_together(job, group)
    }

    /// The next job that waits and is not large; those that are large are put aside on the way.
    fn next_small(&mut self) -> Option<Job> {
        loop {
            let job = self.queued.pop_front().or_else(|| self.waiting.try_recv().ok())?;
            if !job.is_large() {
                return Some(job);
            }
            self.large.push_back(job);
        }
    }

    /// The job, if it belongs to the group; else the group ends, and the job begins the next.
    fn if_together(&mut self, job: Job, group: &Group) -> Option<Job> {
        if self.go_together(&job, group) {
            return Some(job);
        }
        self.queued.push_front(job);
        None
    }

    /// Whether a job goes in one transaction with a group. A note never does. Events that may find no room must not take others
    /// along when they fail: near the bound they stand apart from what makes room again, and many of one client always do, which
    /// then stand alone.
    fn go_together(&self, job: &Job, group: &Group) -> bool {
        let is_low = *self.room.borrow() == Room::Low;
        let is_same_kind = job.is_client() == (group.clients > 0);
        let is_large = job.is_large() || group.size > group.small;
        match job {
            Job::Note(_) | Job::Damage => false,
            _ if group.jobs.is_empty() => true,
            _ if is_large => is_same_kind && !is_low,
            _ => is_same_kind || !is_low,
        }
    }

    fn finish(&mut self, group: Group, mut result: Result<(), StoreError>) {
        let begun = Instant::now();
        if group.clients > 0 {
            result = result.and_then(|()| self.store.check_room_for_events());
        }
        result = result.and_then(|()| self.store.commit()).map_err(|error| self.store.name_bound(error));
        self.last_commit = begun.elapsed();
        if result.is_ok() {
            self.metrics.committed(self.last_commit, group.events());
        }
        if let Err(error) = &result {
            self.store.roll_back();
            if let StoreError::Full(full) = error {
                // What is left is too little for these; it is looked at again before the next.
                self.room.send_replace(Room::Full(*full));
            }
            if error.is_corruption() {
                self.damaged();
            }
        }
        self.room_events += group.size;
        self.queued.extend(self.waiting.try_iter());
        self.clients = group.clients + self.large.len() + self.queued.iter().filter(|job| job.is_client()).count();
        let has_changed = self.publish();
        for job in group.jobs {
            job.tell(&result);
        }
        if has_changed {
            self.outbox_changed.notify_one();
        }
    }

    /// Shows the numbers as of the last commit. Tells whether they have changed.
    fn publish(&self) -> bool {
        let counters = self.store.counters();
        let before = std::mem::replace(&mut *self.counters.lock().unwrap_or_else(PoisonError::into_inner), counters);
        counters != before
    }
}

impl Job {
    /// Whether somebody waits for the answer, and may come back with more.
    const fn is_client(&self) -> bool {
        matches!(self, Self::Record { .. })
    }

    /// Whether others go before it.
    fn is_large(&self) -> bool {
        self.is_client() && self.size() > SMALL_EVENTS_MAX
    }

    /// Events or deliveries.
    fn size(&self) -> usize {
        match self {
            Self::Record { recordings, .. } => recordings.len(),
            Self::Settle { settlements, .. } => settlements.len(),
            Self::Other(_) | Self::Note(_) | Self::Damage => 0,
        }
    }

    fn apply(&mut self, store: &mut Store) -> Result<(), StoreError> {
        match self {
            Self::Record { recordings, recorded, .. } => {
                for recording in recordings {
                    recorded.push(store.record(recording)?);
                }
                Ok(())
            }
            Self::Settle { settlements, .. } => settlements.iter().try_for_each(|settlement| store.settle(settlement)),
            Self::Other(other) | Self::Note(other) => other.apply(store),
            Self::Damage => Ok(()),
        }
    }

    /// Answers who waits. One that went away has no use for the answer, which is then dropped.
    fn tell(self, result: &Result<(), StoreError>) {
        let result = result.as_ref().copied().map_err(StoreError::repeated);
        match self {
            Self::Record { recorded, reply, .. } => drop(reply.send(result.map(|()| recorded))),
            Self::Settle { settlements, reply } => {
                // Released before the forwarder hears of it, so that it can claim what is still pending.
                drop(settlements);
                drop(reply.send(result));
            }
            Self::Other(other) | Self::Note(other) => other.tell(result),
            Self::Damage => {}
        }
    }
}
