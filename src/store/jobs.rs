//! Jobs of the writer, and in which order they make up its transactions.
//!
//! Each client has one job at a time. Those with few events go first, and of those with many each group takes one: so that
//! whoever sends much is served steadily, and nobody waits longer for him than for one of his batches.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::StoreError;
use super::journal::{Recorded, Recording};
use super::room::Room;
use super::settle::Settlement;
use super::transaction::Transaction;
use crate::core::limits::{GROUP_EVENTS_MAX, SMALL_EVENTS_MAX};

/// The part of a commit's duration that clients are waited for, as long as they keep coming.
const GATHER_PART: u32 = 2;

/// The part of a commit's duration that the next of them is waited for.
const GATHER_GAP_PART: u32 = 8;

/// Below this, waiting costs more than it gathers.
const GATHER_GAP_MIN: Duration = Duration::from_micros(100);

/// Time for which the writer stays awake after a commit.
const AWAKE: Duration = Duration::from_micros(250);

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// One thing to do within a transaction, and who waits for the answer.
pub(super) enum Job {
    Record {
        recordings: Vec<Recording>,
        recorded: Vec<Recorded>,
        reply: Reply<Vec<Recorded>>,
    },
    Settle {
        settlements: Arc<Vec<Settlement>>,
        part: Range<usize>,
        reply: Reply<()>,
    },
    Other(Box<dyn Other>),
    /// A transaction of its own that is not synced: it survives the end of the process, and perhaps not a power cut.
    Note(Box<dyn Other>),
    /// Somebody who reads found the file damaged.
    Damage,
}

/// Work of another kind, which needs to know nothing of groups.
pub(super) trait Other: Send {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError>;
    fn tell(self: Box<Self>, result: Result<(), StoreError>);
}

/// A closure as such work.
pub(super) struct Act<T, F> {
    act: Option<F>,
    done: Option<T>,
    reply: Reply<T>,
}

impl<T, F> Act<T, F> {
    pub(super) const fn new(act: F, reply: Reply<T>) -> Self {
        Self { act: Some(act), done: None, reply }
    }
}

impl<T: Send, F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send> Other for Act<T, F> {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
        if let Some(act) = self.act.take() {
            self.done = Some(act(transaction)?);
        }
        Ok(())
    }

    fn tell(self: Box<Self>, result: Result<(), StoreError>) {
        let done = self.done.ok_or(StoreError::Stopped);
        // One that went away has no use for the answer.
        drop(self.reply.send(result.and(done)));
    }
}

impl Job {
    /// Returns whether somebody waits for the answer, and may come back with more.
    pub(super) const fn is_client(&self) -> bool {
        matches!(self, Self::Record { .. })
    }

    /// Returns whether others go before it.
    fn is_large(&self) -> bool {
        self.is_client() && self.size() > SMALL_EVENTS_MAX
    }

    /// Events or deliveries.
    fn size(&self) -> usize {
        match self {
            Self::Record { recordings, .. } => recordings.len(),
            Self::Settle { part, .. } => part.len(),
            Self::Other(_) | Self::Note(_) | Self::Damage => 0,
        }
    }

    pub(super) fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
        match self {
            Self::Record { recordings, recorded, .. } => {
                for recording in recordings {
                    recorded.push(transaction.record(recording)?);
                }
                Ok(())
            }
            Self::Settle { settlements, part, .. } => {
                settlements[part.clone()].iter().try_for_each(|settlement| transaction.settle(settlement))
            }
            Self::Other(other) | Self::Note(other) => other.apply(transaction),
            Self::Damage => Ok(()),
        }
    }

    /// Answers who waits. One that went away has no use for the answer, which is then dropped.
    pub(super) fn tell(self, result: Result<(), StoreError>) {
        match self {
            Self::Record { recorded, reply, .. } => drop(reply.send(result.map(|()| recorded))),
            Self::Settle { settlements, reply, .. } => {
                // Released before the forwarder hears of it, so that it can claim what is still pending.
                drop(settlements);
                drop(reply.send(result));
            }
            Self::Other(other) | Self::Note(other) => other.tell(result),
            Self::Damage => {}
        }
    }
}

/// The jobs of one transaction.
#[derive(Default)]
pub(super) struct Group {
    /// Jobs, each with why it failed alone, if it did.
    pub(super) jobs: Vec<(Job, Option<StoreError>)>,
    pub(super) clients: usize,
    pub(super) size: usize,
    /// The size of the small ones among its jobs.
    small: usize,
}

impl Group {
    pub(super) fn add(&mut self, job: Job, failed: Option<StoreError>) {
        self.clients += usize::from(job.is_client());
        self.size += job.size();
        self.small += if job.is_large() { 0 } else { job.size() };
        self.jobs.push((job, failed));
    }

    /// Events that were recorded in it.
    pub(super) fn events(&self) -> usize {
        let recorded = self.jobs.iter().filter(|(job, failed)| job.is_client() && failed.is_none());
        recorded.map(|(job, _)| job.size()).sum()
    }
}

/// The jobs that wait.
pub(super) struct Queue {
    waiting: Receiver<Job>,
    /// Jobs that waited when the last commit ended.
    queued: VecDeque<Job>,
    /// Of those that wait, clients with many events.
    large: VecDeque<Job>,
    /// Those who wait for events: in `queued`, or answered by the last commit, and perhaps back soon.
    clients: usize,
    last_commit: Duration,
}

impl Queue {
    pub(super) const fn new(waiting: Receiver<Job>) -> Self {
        Self { waiting, queued: VecDeque::new(), large: VecDeque::new(), clients: 0, last_commit: Duration::ZERO }
    }

    /// Takes in what came while a group was committed.
    pub(super) fn committed(&mut self, group: &Group, took: Duration) {
        self.last_commit = took;
        self.queued.extend(self.waiting.try_iter());
        self.clients = group.clients + self.large.len() + self.queued.iter().filter(|job| job.is_client()).count();
    }

    /// Returns until when the next group may gather.
    pub(super) fn gather_until(&self) -> Instant {
        Instant::now() + self.last_commit / GATHER_PART
    }

    /// Returns the job that begins the next transaction; none when the last handle is dropped. After a client that was alone,
    /// it is looked for without going to sleep for a moment: to fall asleep and be woken costs half as much as its commit.
    pub(super) fn first(&mut self) -> Option<Job> {
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

    /// Returns the next job of a group: of those that wait, or come back in time.
    pub(super) fn next(&mut self, group: &Group, gather_until: Instant, room: Room) -> Option<Job> {
        if group.small < GROUP_EVENTS_MAX
            && let Some(job) = self.next_small()
        {
            return self.if_together(job, group, room);
        }
        if group.size >= GROUP_EVENTS_MAX {
            return None;
        }
        if let Some(job) = self.large.pop_front() {
            return self.if_together(job, group, room);
        }
        let gap = self.last_commit / GATHER_GAP_PART;
        if group.clients >= self.clients || gap < GATHER_GAP_MIN {
            return None;
        }
        let left = gather_until.checked_duration_since(Instant::now())?;
        let job = self.waiting.recv_timeout(gap.min(left)).ok()?;
        self.if_together(job, group, room)
    }

    /// Returns the next job that waits and is not large; those that are large are put aside on the way.
    fn next_small(&mut self) -> Option<Job> {
        loop {
            let job = self.queued.pop_front().or_else(|| self.waiting.try_recv().ok())?;
            if !job.is_large() {
                return Some(job);
            }
            self.large.push_back(job);
        }
    }

    /// Returns the job, if it belongs to the group; else the group ends, and the job begins the next.
    fn if_together(&mut self, job: Job, group: &Group, room: Room) -> Option<Job> {
        if go_together(&job, group, room) {
            return Some(job);
        }
        self.queued.push_front(job);
        None
    }
}

/// Returns whether a job goes in one transaction with a group. A note never does. Near the bound events stand apart from what
/// makes room again, since SQLite takes back all of a transaction that finds no room; and many of one client always do, which
/// then stand alone.
fn go_together(job: &Job, group: &Group, room: Room) -> bool {
    let is_low = room == Room::Low;
    let is_same_kind = job.is_client() == (group.clients > 0);
    let is_large = job.is_large() || group.size > group.small;
    match job {
        Job::Note(_) | Job::Damage => false,
        _ if group.jobs.is_empty() => true,
        _ if is_large => is_same_kind && !is_low,
        _ => is_same_kind || !is_low,
    }
}
