//! The forwarder of a running agent. It can be ended and started again: it then continues from the store, as after a
//! start of the process.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::open::Connected;
use crate::core::forwarding::backoff::backoff;
use crate::core::forwarding::link::Link;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::limits::QUOTA_WINDOW;
use crate::device::clock::Clock;
use crate::device::network::NetworkWatch;
use crate::device::pulse::Pulse;
use crate::forward::shown::{LinkView, ProfileWaits, RouteCounts};
use crate::forward::{DeviceOutbox, Forwarder, ForwarderParts, ForwarderSettings, StateReader};
use crate::store::{InFlight, Outbox, StoreError, StoreFile};

/// The resources of every forwarder of the process.
#[derive(Clone)]
pub(super) struct ForwardingParts {
    pub(super) connected: Connected,
    pub(super) in_flight: InFlight,
    pub(super) store_file: StoreFile,
    pub(super) session_key: Vec<u8>,
    pub(super) pulse: Pulse,
    pub(super) link_view: watch::Sender<LinkView>,
    pub(super) route_counts: RouteCounts,
    pub(super) waits: ProfileWaits,
    pub(super) try_now: Arc<Notify>,
    /// Reads how the device is, for a hub.
    pub(super) state: StateReader,
}

/// The running forwarder.
pub(super) struct Forwarding {
    parts: ForwardingParts,
    settings: watch::Sender<ForwarderSettings>,
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Forwarding {
    /// Starts the first one.
    pub(super) fn begin(parts: ForwardingParts, settings: ForwarderSettings, link: Link) -> Self {
        let (stop, _) = watch::channel(false);
        let mut forwarding = Self { parts, settings: watch::channel(settings).0, stop, running: JoinSet::new() };
        forwarding.spawn(link);
        forwarding
    }

    /// Returns the effective settings.
    pub(super) fn settings(&self) -> ForwarderSettings {
        self.settings.borrow().clone()
    }

    /// Changes the settings, but not the destination.
    pub(super) fn change(&self, settings: ForwarderSettings) {
        self.settings.send_replace(settings);
    }

    /// Starts another one after [`Self::end`].
    pub(super) fn begin_again(&mut self) {
        self.parts.link_view.send_replace(LinkView::unknown(self.parts.connected.clock.now()));
        self.parts.waits.replace(HashMap::new());
        self.spawn(Link::default());
    }

    /// Tells the forwarder to end.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Ends the forwarder, and waits until requests in progress have ended and are recorded.
    pub(super) async fn end(&mut self) {
        self.stop();
        while self.running.join_next().await.is_some() {}
    }

    fn spawn(&mut self, link: Link) {
        let (stop, mut stopped) = watch::channel(false);
        self.stop = stop;
        let (parts, settings) = (self.parts.clone(), self.settings.subscribe());
        self.running.spawn(async move {
            let mut failures = 0;
            loop {
                let wait = match parts.clone().forwarder(settings.clone(), link.clone()).await {
                    Ok(forwarder) => return forwarder.run(stopped).await,
                    Err(StoreError::Stopped) => return,
                    Err(error) => {
                        failures += 1;
                        tracing::error!(%error, "forwarding cannot begin; it is tried again");
                        backoff(failures, fastrand::f64())
                    }
                };
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        });
    }
}

impl ForwardingParts {
    /// Returns a forwarder that continues from the store.
    async fn forwarder(
        self,
        settings: watch::Receiver<ForwarderSettings>,
        link: Link,
    ) -> Result<Forwarder<DeviceOutbox>, StoreError> {
        let Connected { writer, client, clock, quota_clock, reads } = self.connected;
        let updates_per_day = settings.borrow().updates_per_day;
        let now = quota_clock.at(clock.elapsed());
        // Quota that the previous one had reserved and not returned may have been used.
        let time = QuotaTime { at: now, wall: Clock::system() };
        let counted = writer.act(move |store| {
            store.count_reserved(time);
            Ok(())
        });
        counted.await?;
        let known = writer.act(move |store| {
            let quota = store.quota_now(updates_per_day, now)?;
            let rows_sent = store.batch_rows_since(now.minus(QUOTA_WINDOW))?;
            Ok((quota, store.open_batches()?, rows_sent, store.fleet_number()?))
        });
        let (quota, batches, rows_sent, number) = known.await?;
        let (store_file, in_flight) = (self.store_file.clone(), self.in_flight);
        let claims = tokio::task::spawn_blocking(move || Outbox::open(&store_file, in_flight));
        let claims = claims.await.expect("opening does not panic")?;
        Ok(Forwarder::new(ForwarderParts {
            outbox: DeviceOutbox::new(claims, writer, self.store_file, self.state, number),
            client,
            quota,
            quota_clock,
            clock,
            link,
            network: NetworkWatch::begin(),
            pulse: self.pulse,
            link_view: self.link_view,
            settings,
            session_key: self.session_key,
            reads,
            batches,
            rows_sent,
            route_counts: self.route_counts,
            waits: self.waits,
            try_now: self.try_now,
        }))
    }
}
