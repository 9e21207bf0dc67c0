//! Opening: everything that can fail before an agent accepts events, each step building on the previous ones.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::course::Course;
use super::destination::{Turning, adopt, tell};
use super::error::AgentError;
use super::settings::Settings;
use crate::adobe::Client;
use crate::core::forwarding::link::Link;
use crate::core::forwarding::pace::first_wait;
use crate::core::forwarding::quota::QuotaClock;
use crate::device::clock::Clock;
use crate::device::metrics::Metrics;
use crate::forward::shown::{PendingAtStart, ReadQuota};
use crate::store::{Reader, Store, StoreError, StoreFile, Writer};

/// The store and the client for Target, with their clocks and quotas. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connected {
    pub(super) writer: Writer,
    pub(super) client: Client,
    pub(super) clock: Arc<Clock>,
    pub(super) quota_clock: QuotaClock,
    pub(super) reads: ReadQuota,
}

/// The open resources; nothing can fail after this.
pub(super) struct Opened {
    /// The effective settings.
    pub(super) settings: Settings,
    pub(super) connected: Connected,
    /// Thread that ends once the last [`Writer`] is dropped and everything is committed.
    pub(super) writer_thread: JoinHandle<()>,
    pub(super) reader: Reader,
    pub(super) pending_at_start: Arc<PendingAtStart>,
    pub(super) metrics: Metrics,
    pub(super) first_link: Link,
    /// The turn to a hub, while what is pending goes to Target first.
    pub(super) next: Option<Turning>,
}

impl Opened {
    /// Opens the store and the client for Target, and starts the writer.
    pub(super) fn open(
        store_file: &StoreFile,
        device_id: &str,
        configured: Settings,
        stop: &watch::Receiver<bool>,
    ) -> Result<Self, AgentError> {
        let Connections { course, mut store, snapshot, reader } = Connections::open(store_file, configured)?;
        let clock = Arc::new(Clock::new(store.counters().recorded_at));
        // Before deliveries, quotas and batches are read.
        let adopted = store.transact(|store| adopt(store, &course, device_id, clock.now()))?;
        let adopted = adopted.expect("nothing was recorded since the course was found");
        course.tell();
        let settings = course.settings.clone();
        let target = &settings.target;
        tell(&adopted, &target.client.destination);
        let (_, quota_time) = store.quota(target.updates_per_day, Clock::system())?;
        let quota_clock = QuotaClock::new(quota_time.at, clock.elapsed());
        let reads = ReadQuota::new(store.read_quota(target.reads_per_day, quota_time.at)?);
        let metrics = Metrics::new();
        let client = Client::measured(&target.client, metrics.clone());
        if let Some(error) = client.fault() {
            tracing::error!(%error, "nothing can be sent; events are recorded, and what is in the way is tried again");
        }
        let pending_at_start = PendingAtStart::count(snapshot).map_err(AgentError::Thread)?;
        let (writer, writer_thread) = Writer::start_measured(store, metrics.clone()).map_err(AgentError::Thread)?;
        tell_pending(pending_at_start.clone(), writer.clone()).map_err(AgentError::Thread)?;
        load_key_filters(Reader::open(store_file)?, writer.clone(), stop.clone()).map_err(AgentError::Thread)?;
        let oldest_pending = reader.oldest_pending()?;
        let backlog_age = oldest_pending.map(|oldest| clock.now().since(oldest));
        let first_link = first_link(backlog_age, device_id, clock.elapsed());
        let connected = Connected { writer, client, clock, quota_clock, reads };
        let next = Turning::of(course);
        Ok(Self { settings, next, connected, writer_thread, reader, pending_at_start, metrics, first_link })
    }
}

/// The connections to the store: one that writes, and several that read.
struct Connections {
    course: Course,
    store: Store,
    /// View of the store as it is now, for counting in the background.
    snapshot: Reader,
    reader: Reader,
}

impl Connections {
    /// Opens a store, repairing it first if it is damaged.
    fn open(file: &StoreFile, configured: Settings) -> Result<Self, StoreError> {
        let is_mended = Store::mend(file, Clock::system())?;
        let (course, store) = Course::open(configured, file)?;
        if is_mended && let Some(salvage) = store.last_salvage()? {
            tracing::error!(%salvage, "the store was damaged");
        }
        Ok(Self { course, snapshot: Reader::open_snapshot(file)?, reader: Reader::open(file)?, store })
    }
}

/// Returns the link at the start. With an old backlog, thousands of devices may start in the same minute.
fn first_link(backlog_age: Option<Duration>, device_id: &str, now: Duration) -> Link {
    let digest = Sha256::digest(device_id);
    // From 0 to 1, specific to the device.
    let chance = f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX);
    match first_wait(backlog_age.unwrap_or_default(), chance) {
        Duration::ZERO => Link::default(),
        wait => {
            tracing::info!(wait_seconds = wait.as_secs(), "the backlog is old; the first request waits for its turn");
            Link::after_outage(now + wait)
        }
    }
}

/// Records in the store's history how much was pending at the start, once that is counted.
fn tell_pending(pending: Arc<PendingAtStart>, writer: Writer) -> std::io::Result<()> {
    let tell = move || {
        let profiles = pending.wait().profiles;
        // If the writer has stopped, there is no history to write.
        let _ = writer.note_blocking(move |store| {
            store.set_pending_at_start(profiles);
            Ok(())
        });
    };
    thread::Builder::new().name("tell-pending".to_owned()).spawn(tell).map(|_| ())
}

/// Loads the filters over old events in the background: without them recording is right, but slower on a large store.
fn load_key_filters(reader: Reader, writer: Writer, stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let load = move || {
        let mut adopt = |filter| {
            let adopted = writer.act_blocking(|store| {
                store.adopt_key_filter(filter);
                Ok(())
            });
            adopted.is_ok() && !*stop.borrow()
        };
        let loaded = reader.load_key_filters(&mut adopt);
        if let Err(error) = loaded {
            tracing::warn!(%error, "the filters over old events could not be loaded; recording is slower");
        }
    };
    thread::Builder::new().name("key-filters".to_owned()).spawn(load).map(|_| ())
}
