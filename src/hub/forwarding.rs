//! The forwarder of a node: the same core and courier as a device's, over the hub's outbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::database::Database;
use super::error::HubError;
use super::outbox::{HubOutbox, OutboxOptions};
use crate::adobe::{Client, ClientOptions};
use crate::core::forwarding::backoff::backoff;
use crate::core::forwarding::link::Link;
use crate::core::forwarding::quota::{Quota, QuotaClock};
use crate::device::clock::Clock;
use crate::device::metrics::Metrics;
use crate::device::network::NetworkWatch;
use crate::device::pulse::Pulse;
use crate::forward::shown::{LinkView, ProfileWaits, ReadQuota, RouteCounts};
use crate::forward::{Forwarder, ForwarderParts, ForwarderRules, ForwarderSettings};

/// Settings by which a node sends to Target.
pub struct ForwardOptions {
    /// Target's API.
    pub client: ClientOptions,
    /// Rules for forwarding, without batches.
    pub rules: ForwarderRules,
    /// Updates of all nodes in any 24 hours.
    pub updates_per_day: u64,
    /// Profiles that all nodes read in any 24 hours.
    pub reads_per_day: u64,
}

/// Forwards until `stop` turns true, then lets what is in flight come to its end and releases what is claimed.
pub async fn forward(database: Database, options: ForwardOptions, mut stop: watch::Receiver<bool>) {
    let mut failures = 0;
    let session_key = loop {
        match database.session_key().await {
            Ok(key) => break key,
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, "forwarding cannot begin; it is tried again");
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(backoff(failures, fastrand::f64())) => {}
                }
            }
        }
    };
    let clock = Arc::new(Clock::new(None));
    let quota_clock = QuotaClock::new(Clock::system(), clock.elapsed());
    let now = quota_clock.at(clock.elapsed());
    let reads = ReadQuota::new(Quota::told(u64::MAX, now));
    let (request_timeout, connections) = (options.client.http.timeout, options.client.http.connections);
    let outbox = HubOutbox::new(OutboxOptions {
        database,
        clock: clock.clone(),
        quota_clock,
        reads: reads.clone(),
        updates_per_day: options.updates_per_day,
        reads_per_day: options.reads_per_day,
        connections,
        request_timeout,
    });
    let client = Client::measured(&options.client, Metrics::new());
    if let Some(error) = client.fault() {
        tracing::error!(%error, "nothing can be sent to Target; what is in the way is tried again");
    }
    // The settings of a node change with its next start.
    let (_settings, settings) = watch::channel(settings(options, request_timeout));
    let forwarder = Forwarder::new(ForwarderParts {
        outbox: outbox.clone(),
        client,
        quota: Quota::told(1, now),
        quota_clock,
        link_view: watch::channel(LinkView::unknown(clock.now())).0,
        clock,
        link: Link::default(),
        network: NetworkWatch::begin(),
        pulse: Pulse::default(),
        settings,
        session_key: session_key.into_bytes().to_vec(),
        reads,
        batches: Vec::new(),
        rows_sent: 0,
        route_counts: RouteCounts::default(),
        waits: ProfileWaits::default(),
        try_now: Arc::new(Notify::new()),
    });
    tokio::select! {
        () = forwarder.run(stop) => {}
        () = outbox.tend() => {}
    }
}

fn settings(options: ForwardOptions, request_timeout: Duration) -> ForwarderSettings {
    let ForwardOptions { client, rules, updates_per_day, .. } = options;
    ForwarderSettings {
        rules,
        connections: client.http.connections,
        updates_per_day,
        request_timeout,
        destination: client.destination,
    }
}

impl Database {
    /// Returns the key of the hashes that name sessions of the Delivery API: the same for all nodes.
    async fn session_key(&self) -> Result<Uuid, HubError> {
        let work = async {
            let client = self.client().await?;
            let row = client.query_one("SELECT session_key FROM hub", &[]).await?;
            client.done();
            Ok(row.get("session_key"))
        };
        self.in_time(work).await
    }
}
