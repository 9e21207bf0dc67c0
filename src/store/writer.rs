//! The handle to the writer's thread: it takes jobs and answers them once they are durable.

use std::ops::Range;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot, watch};

use super::StoreError;
use super::counters::Counters;
use super::group_commit::{GroupCommit, Told};
use super::jobs::{Act, Job, Queue};
use super::journal::{Recorded, Recording};
use super::opening::Store;
use super::room::Room;
use super::settle::Settlement;
use super::transaction::Transaction;
use crate::device::metrics::Metrics;

/// A handle to the writer's thread. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Writer {
    jobs: Sender<Job>,
    counters: Arc<Mutex<Counters>>,
    outbox_changed: Arc<Notify>,
    room: watch::Receiver<Room>,
    damaged: watch::Receiver<bool>,
    failure: Arc<watch::Sender<Option<String>>>,
}

/// The result of a job that the thread has taken, once it is durable.
pub struct Reply<T>(oneshot::Receiver<Result<T, StoreError>>);

impl<T> Reply<T> {
    /// Waits until the job is done.
    ///
    /// # Errors
    /// As for [`Self::wait`].
    async fn done(self) -> Result<T, StoreError> {
        self.0.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Blocks until the job is done.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn wait(self) -> Result<T, StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Stopped))
    }
}

impl Writer {
    /// Starts the thread. It ends once the last [`Writer`] is dropped and everything is committed.
    ///
    /// # Errors
    /// The system's, if it has no more threads.
    pub fn start(store: Store) -> std::io::Result<(Self, JoinHandle<()>)> {
        Self::start_measured(store, Metrics::new())
    }

    /// Starts the thread as [`Self::start`] does, and measures its commits.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_measured(store: Store, metrics: Metrics) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, waiting) = channel();
        let (room_sender, room) = watch::channel(Room::Enough);
        let (damaged_sender, damaged) = watch::channel(false);
        let failure = Arc::new(watch::channel(None).0);
        let counters = Arc::new(Mutex::new(store.counters()));
        let outbox_changed = Arc::new(Notify::new());
        let told = Told {
            counters: counters.clone(),
            outbox_changed: outbox_changed.clone(),
            room: room_sender,
            damaged: damaged_sender,
            failure: failure.clone(),
        };
        let writer = Self { jobs, counters, outbox_changed, room, damaged, failure };
        let writing = GroupCommit::new(store, metrics, Queue::new(waiting), told);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writing.run())?;
        Ok((writer, thread))
    }

    /// Records events, all of them or none, and returns once they are durable.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was recorded.
    pub async fn record(&self, recordings: Vec<Recording>) -> Result<Vec<Recorded>, StoreError> {
        self.begin_record(recordings)?.done().await
    }

    /// Hands over events to be recorded as by [`Self::record`], and returns before they are.
    ///
    /// # Errors
    /// [`StoreError::Stopped`], if the thread has ended.
    pub fn begin_record(&self, recordings: Vec<Recording>) -> Result<Reply<Vec<Recorded>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Record { recordings, recorded: Vec::new(), reply }).map_err(|_| StoreError::Stopped)?;
        Ok(Reply(answer))
    }

    /// Settles deliveries, and returns once that is durable: all at once, or in parts if the store has no room for all.
    ///
    /// # Errors
    /// [`StoreError`]; then the claims that are not settled yet are released unchanged.
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        let settlements = Arc::new(settlements);
        // A vector of one range is intended.
        #[allow(clippy::single_range_in_vec_init)]
        let mut parts = vec![0..settlements.len()];
        while let Some(part) = parts.pop() {
            match self.settle_part(settlements.clone(), part.clone()).await {
                // Settling frees room: the halves may fit although the whole did not.
                Err(StoreError::Full(_)) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                settled => settled?,
            }
        }
        Ok(())
    }

    async fn settle_part(&self, settlements: Arc<Vec<Settlement>>, part: Range<usize>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Settle { settlements, part, reply }).map_err(|_| StoreError::Stopped)?;
        Reply(answer).done().await
    }

    /// Runs other work within a transaction, and returns once it is durable. It should be short, because recording
    /// waits for it.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.begin_act(act)?.done().await
    }

    /// Runs work as [`Self::act`] does, for a thread that may block.
    ///
    /// # Errors
    /// As for [`Self::act`].
    pub fn act_blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.begin_act(act)?.wait()
    }

    /// Writes a note that need not survive a power cut, and returns once it would survive the end of the process.
    ///
    /// # Errors
    /// As for [`Self::act`].
    pub fn note_blocking<T: Send + 'static>(
        &self,
        note: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let note = Act::new(note, reply);
        self.jobs.send(Job::Note(Box::new(note))).map_err(|_| StoreError::Stopped)?;
        Reply(answer).wait()
    }

    /// Returns the room that the store has, as a channel that reports changes.
    #[must_use]
    pub fn room(&self) -> watch::Receiver<Room> {
        self.room.clone()
    }

    /// Returns why the last write failed, until one succeeds. [`Self::room`] reports a lack of room.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// As [`Self::failure`]; it tells of changes.
    #[must_use]
    pub fn failures(&self) -> watch::Receiver<Option<String>> {
        self.failure.subscribe()
    }

    /// Waits for its turn among the jobs without writing anything; but if the last write failed, it tries whether
    /// another succeeds.
    pub async fn take_turn(&self) {
        let has_failed = self.failure.borrow().is_some();
        let turn = self.act(move |store| if has_failed { store.try_writing() } else { Ok(()) });
        if turn.await.is_ok() && has_failed {
            self.failure.send_replace(None);
        }
    }

    /// Takes an error of a reader: if it means that the file is damaged, the next start repairs it.
    pub fn report(&self, error: &StoreError) {
        if error.is_corruption() {
            // A writer that has stopped has nothing more to lose.
            drop(self.jobs.send(Job::Damage));
        }
    }

    /// Returns a channel that turns true once the store's file is found damaged: the next start repairs it.
    #[must_use]
    pub fn damaged(&self) -> watch::Receiver<bool> {
        self.damaged.clone()
    }

    fn begin_act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Reply<T>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let act = Act::new(act, reply);
        self.jobs.send(Job::Other(Box::new(act))).map_err(|_| StoreError::Stopped)?;
        Ok(Reply(answer))
    }

    /// Returns the numbers as of the last commit.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a notification after each commit that added to the outbox.
    #[must_use]
    pub fn outbox_changed(&self) -> Arc<Notify> {
        self.outbox_changed.clone()
    }
}
