//! Keepers of the books: a running agent, with its own knowledge; or nobody, and then they can still be changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, watch};

use super::Books;
use crate::adobe::{Client, ClientOptions};
use crate::core::mapping::Mappings;
use crate::core::words::Receiver;
use crate::device::live::Live;
use crate::device::metrics::Metrics;
use crate::device::notices::Notices;
use crate::forward::shown::{Bounds, LinkView, PendingAtStart, ProfileWaits, ReadQuota, RouteCounts};
use crate::inspect::Unanswered;
use crate::inspect::status::PushView;
use crate::inspect::verify::Verifier;
use crate::intake::kinds::SharedKinds;
use crate::store::{Counters, InFlight, Pending, Reader, Store, StoreError, StoreFile, StoreLimits, Writer};

/// Keeper of the books.
pub enum Keeper {
    /// A running agent.
    Agent(Running),
    /// Nobody: the store is at rest.
    Nobody(Box<Resting>),
}

/// Knowledge that only a running agent has; all of it is shared with the parts that it shows.
pub struct Running {
    /// The writer, with its numbers.
    pub writer: Writer,
    /// The way to Target.
    pub client: Client,
    /// Calls of the Fetch API in the last 24 hours.
    pub reads: ReadQuota,
    /// Pending amounts when the writer started, once they are counted.
    pub pending_at_start: Arc<PendingAtStart>,
    /// Claims.
    pub in_flight: InFlight,
    /// The forwarder's view of the link.
    pub link: watch::Receiver<LinkView>,
    /// State of each configured kind of intake.
    pub intake: SharedKinds,
    /// Routes of updates.
    pub route_counts: RouteCounts,
    /// Why profiles wait, each alone.
    pub waits: ProfileWaits,
    /// Told when somebody wants it tried now.
    pub try_now: Arc<Notify>,
    /// Deviations from the configuration.
    pub notices: Notices,
    /// State of the pushing of metrics.
    pub push: Live<Option<PushView>>,
    /// The metrics.
    pub metrics: Metrics,
}

/// A store at rest, and what is configured for it.
pub struct StoreAtRest {
    /// The store's file.
    pub store_file: StoreFile,
    /// The device's name.
    pub device_id: String,
    /// The mappings.
    pub mappings: Arc<Mappings>,
    /// The configured bounds.
    pub bounds: Bounds,
    /// Bounds of the store.
    pub limits: StoreLimits,
    /// Settings of the client for Target.
    pub target: ClientOptions,
}

/// Writer of a store without an agent.
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
    /// Returns the writer of the store, and true if it was just opened.
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
    /// Returns the writer of the store.
    pub(super) fn writer(&self) -> Result<Writer, StoreError> {
        match &self.keeper {
            Keeper::Agent(agent) => Ok(agent.writer.clone()),
            Keeper::Nobody(resting) => {
                let (writer, is_new) = resting.writer(&self.store_file)?;
                if is_new {
                    // With another key of the store the writer has sealed everything again.
                    *self.reader() = Reader::open(&self.store_file)?;
                }
                Ok(writer)
            }
        }
    }

    /// Returns the verifier, which reads profiles back.
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

    /// Returns the receiver of the updates; Target, where the store cannot be read.
    #[must_use]
    pub fn receiver(&self) -> Receiver {
        self.counters().map(|counters| counters.receiver).unwrap_or_default()
    }

    /// The numbers as of the last commit.
    pub(super) fn counters(&self) -> Result<Counters, StoreError> {
        match &self.keeper {
            Keeper::Agent(agent) => Ok(agent.writer.counters()),
            Keeper::Nobody(_) => self.reader().counters(),
        }
    }

    /// Returns the pending amounts as of those numbers.
    pub(super) fn pending(&self, counters: Counters) -> Result<Pending, StoreError> {
        match &self.keeper {
            Keeper::Agent(agent) => Ok(agent.pending_at_start.wait().plus(counters.pending_change)),
            Keeper::Nobody(_) => self.reader().count_pending(),
        }
    }

    /// Returns the claims; a store without an agent has none.
    pub(super) fn in_flight(&self) -> InFlight {
        match &self.keeper {
            Keeper::Agent(agent) => agent.in_flight.clone(),
            Keeper::Nobody(_) => InFlight::default(),
        }
    }
}
