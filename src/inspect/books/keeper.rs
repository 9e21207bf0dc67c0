//! Who keeps the books: a running agent, with what only it knows; or nobody, and then they can still be changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, watch};

use super::Books;
use crate::adobe::{Client, ClientOptions};
use crate::core::mapping::Mappings;
use crate::device::live::Live;
use crate::device::metrics::Metrics;
use crate::device::notices::Notices;
use crate::forward::shown::{Bounds, LinkView, PendingAtStart, ProfileWaits, ReadQuota, RouteCounts};
use crate::inspect::Unanswered;
use crate::inspect::status::PushView;
use crate::inspect::verify::Verifier;
use crate::intake::kinds::SharedKinds;
use crate::store::{Counters, InFlight, Pending, Reader, Store, StoreError, StoreFile, StoreLimits, Writer};

/// Who keeps the books.
pub enum Keeper {
    /// A running agent.
    Agent(Running),
    /// Nobody: the store is at rest.
    Nobody(Box<Resting>),
}

/// What only a running agent knows; all of it is shared with the parts that it shows.
pub struct Running {
    /// The writer, with its numbers.
    pub writer: Writer,
    /// The way to Target.
    pub client: Client,
    /// What the last 24 hours have used of the Fetch API.
    pub reads: ReadQuota,
    /// What was pending when the writer started, once it is counted.
    pub pending_at_start: Arc<PendingAtStart>,
    /// What is claimed.
    pub in_flight: InFlight,
    /// The forwarder's view of the link.
    pub link: watch::Receiver<LinkView>,
    /// How each kind of intake is doing that is configured.
    pub intake: SharedKinds,
    /// Which way updates went.
    pub route_counts: RouteCounts,
    /// Why profiles wait, each alone.
    pub waits: ProfileWaits,
    /// Told when somebody wants it tried now.
    pub try_now: Arc<Notify>,
    /// What is not as it is configured.
    pub notices: Notices,
    /// How the pushing of the metrics is doing.
    pub push: Live<Option<PushView>>,
    /// What is measured.
    pub metrics: Metrics,
}

/// A store at rest, and what is configured for it.
pub struct StoreAtRest {
    /// The store's file.
    pub store_file: StoreFile,
    /// The device's name.
    pub device_id: String,
    /// What events mean.
    pub mappings: Arc<Mappings>,
    /// The configured bounds.
    pub bounds: Bounds,
    /// How large the store may grow.
    pub limits: StoreLimits,
    /// How Target is reached.
    pub target: ClientOptions,
}

/// What changes a store at rest.
pub struct Resting {
    target: ClientOptions,
    limits: StoreLimits,
    /// Opened by the first change: looking at a store leaves it as it is.
    opened: Mutex<Option<(Writer, JoinHandle<()>)>>,
}

impl Keeper {
    pub(super) fn nobody(target: ClientOptions, limits: StoreLimits) -> Self {
        Self::Nobody(Box::new(Resting { target, limits, opened: Mutex::new(None) }))
    }
}

impl Resting {
    /// What changes the store; and whether it was opened just now.
    fn writer(&self, file: &StoreFile) -> Result<(Writer, bool), StoreError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((writer, _)) = &*opened {
            return Ok((writer.clone(), false));
        }
        let store = Store::open_within(file, self.limits)?;
        let (writer, thread) = Writer::start(store).map_err(|_| StoreError::Stopped)?;
        *opened = Some((writer.clone(), thread));
        Ok((writer, true))
    }
}

impl Drop for Resting {
    /// Waits until the store is closed: whoever comes next finds no log beside it.
    fn drop(&mut self) {
        if let Some((writer, thread)) = self.opened.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            drop(writer);
            // A writer that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Books {
    /// What changes the store.
    pub(super) fn writer(&self) -> Result<Writer, StoreError> {
        match &self.keeper {
            Keeper::Agent(agent) => Ok(agent.writer.clone()),
            Keeper::Nobody(resting) => {
                let (writer, is_new) = resting.writer(&self.store_file)?;
                if is_new {
                    // With another key of the store the writer has sealed all anew.
                    *self.reader() = Reader::open(&self.store_file)?;
                }
                Ok(writer)
            }
        }
    }

    /// What reads profiles back.
    pub(super) fn verifier(&self) -> Result<Verifier, Unanswered> {
        let writer = self.writer()?;
        let (client, reads) = match &self.keeper {
            Keeper::Agent(agent) => (agent.client.clone(), agent.reads.clone()),
            Keeper::Nobody(resting) => {
                let (reads_per_day, now) = (self.bounds.now().reads_per_day, self.quota_clock.at(self.clock.elapsed()));
                let reads = writer.act_blocking(move |store| store.read_quota(reads_per_day, now))?;
                (Client::new(&resting.target).map_err(Unanswered::Client)?, ReadQuota::new(reads))
            }
        };
        Ok(Verifier { client, writer, clock: self.clock.clone(), quota_clock: self.quota_clock, reads })
    }

    /// The numbers as of the last commit.
    pub(super) fn counters(&self) -> Result<Counters, StoreError> {
        match &self.keeper {
            Keeper::Agent(agent) => Ok(agent.writer.counters()),
            Keeper::Nobody(_) => self.reader().counters(),
        }
    }

    /// What was pending when those numbers stood.
    pub(super) fn pending(&self, counters: Counters) -> Result<Pending, StoreError> {
        match &self.keeper {
            Keeper::Agent(agent) => Ok(agent.pending_at_start.wait().plus(counters.pending_change)),
            Keeper::Nobody(_) => self.reader().count_pending(),
        }
    }

    /// What is claimed: nothing of a store at rest.
    pub(super) fn in_flight(&self) -> InFlight {
        match &self.keeper {
            Keeper::Agent(agent) => agent.in_flight.clone(),
            Keeper::Nobody(_) => InFlight::default(),
        }
    }
}
