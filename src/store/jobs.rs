//! The writer's jobs, and the order in which they form transactions.
//!
//! Each client has one job at a time. Jobs with few events go first, and each group takes one job with many: so a
//! client that sends much is served steadily, and nobody waits longer for it than for one of its batches.

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

/// The time that clients are waited for while they keep coming, as a divisor of a commit's duration.
const GATHER_PART: u32 = 2;

/// The time that the next client is waited for, as a divisor of a commit's duration.
const GATHER_GAP_PART: u32 = 8;

/// Shortest wait; a shorter one would cost more than it gathers.
const GATHER_GAP_MIN: Duration = Duration::from_micros(100);

/// Time for which the writer stays awake after a commit.
const AWAKE: Duration = Duration::from_micros(250);

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A job within a transaction, with the channel for its answer.
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
    /// A separate transaction that is not synced: it survives the end of the process but perhaps not a power cut.
    Note(Box<dyn Other>),
    /// A reader found the file damaged.
    Damage,
}

/// Any other work, which does not need to know about groups.
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
        // A caller that went away needs no answer.
        drop(self.reply.send(result.and(done)));
    }
}

impl Job {
    /// Returns true if a client waits for the answer and may come back with more.
    pub(super) const fn is_client(&self) -> bool {
        matches!(self, Self::Record { .. })
    }

    /// Returns true if small jobs go before it.
    fn is_large(&self) -> bool {
        self.is_client() && self.size() > SMALL_EVENTS_MAX
    }

    /// Returns the number of events or deliveries.
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

    /// Answers the waiting caller. If it has gone away, the answer is dropped.
    pub(super) fn tell(self, result: Result<(), StoreError>) {
        match self {
            Self::Record { recorded, reply, .. } => drop(reply.send(result.map(|()| recorded))),
            Self::Settle { settlements, reply, .. } => {
                // Released before the forwarder is notified, so that it can claim what is still pending.
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
    /// Jobs, each with the reason if it failed alone.
    pub(super) jobs: Vec<(Job, Option<StoreError>)>,
    pub(super) clients: usize,
    pub(super) size: usize,
    /// Total size of its small jobs.
    small: usize,
}

impl Group {
    pub(super) fn add(&mut self, job: Job, failed: Option<StoreError>) {
        self.clients += usize::from(job.is_client());
        self.size += job.size();
        self.small += if job.is_large() { 0 } else { job.size() };
        self.jobs.push((job, failed));
    }

    /// Returns the number of events recorded in the group.
    pub(super) fn events(&self) -> usize {
        let recorded = self.jobs.iter().filter(|(job, failed)| job.is_client() && failed.is_none());
        recorded.map(|(job, _)| job.size()).sum()
    }
}

/// The waiting jobs.
pub(super) struct Queue {
    waiting: Receiver<Job>,
    /// Jobs that were waiting when the last commit ended.
    queued: VecDeque<Job>,
    /// Waiting jobs of clients with many events.
    large: VecDeque<Job>,
    /// Clients with events: those in `queued`, and those answered by the last commit that may return soon.
    clients: usize,
    last_commit: Duration,
}

impl Queue {
    pub(super) const fn new(waiting: Receiver<Job>) -> Self {
        Self { waiting, queued: VecDeque::new(), large: VecDeque::new(), clients: 0, last_commit: Duration::ZERO }
    }

    /// Takes the jobs that arrived during a commit.
    pub(super) fn committed(&mut self, group: &Group, took: Duration) {
        self.last_commit = took;
        self.queued.extend(self.waiting.try_iter());
        self.clients = group.clients + self.large.len() + self.queued.iter().filter(|job| job.is_client()).count();
    }

    /// Returns the time until which the next group may gather.
    pub(super) fn gather_until(&self) -> Instant {
        Instant::now() + self.last_commit / GATHER_PART
    }

    /// Returns the job that begins the next transaction; `None` once the last handle is dropped. After a group of a
    /// single client, it looks for the client's next job briefly without sleeping: falling asleep and waking up costs
    /// half as much as its commit.
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
            // The clients of the last commit are not coming back.
            self.clients = 0;
        }
        job
    }

    /// Returns the next job of a group, from those that wait or arrive in time.
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

    /// Returns the next waiting job that is not large, setting large ones aside on the way.
    fn next_small(&mut self) -> Option<Job> {
        loop {
            let job = self.queued.pop_front().or_else(|| self.waiting.try_recv().ok())?;
            if !job.is_large() {
                return Some(job);
            }
            self.large.push_back(job);
        }
    }

    /// Returns the job if it belongs to the group; otherwise the group ends, and the job begins the next.
    fn if_together(&mut self, job: Job, group: &Group, room: Room) -> Option<Job> {
        if go_together(&job, group, room) {
            return Some(job);
        }
        self.queued.push_front(job);
        None
    }
}

/// Returns true if a job can share a transaction with a group. A note never can. Near the bound, events are kept apart
/// from jobs that free room, since SQLite rolls back a whole transaction that finds no room; and many events of one
/// client always stand alone there.
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
