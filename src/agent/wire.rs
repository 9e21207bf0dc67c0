//! Wiring: gives each part of an agent what it shares with others. Nothing runs yet.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

use super::changes::LiveParts;
use super::forwarding::ForwardingParts;
use super::housekeeping::Housekeeping;
use super::open::Connected;
use super::push::Push;
use super::settings::LiveSettings;
use super::watchdog::{INTERVAL, LATE_MAX, Verdict, Watchdog};
use crate::device::live::Live;
use crate::device::metrics::Metrics;
use crate::device::notices::Notices;
use crate::device::pulse::Pulse;
use crate::device::supervisor;
use crate::forward::StateReader;
use crate::forward::shown::{LinkView, PendingAtStart, ProfileWaits, RouteCounts};
use crate::inspect::books::{Books, Keeper, Running};
use crate::inspect::status::PushView;
use crate::intake::Intake;
use crate::intake::kinds::SharedKinds;
use crate::store::{InFlight, Reader, StoreFile};

/// The state that parts of an agent share.
pub(super) struct Shared {
    store_file: StoreFile,
    device_id: String,
    pub(super) connected: Connected,
    pub(super) live: LiveSettings,
    link: watch::Sender<LinkView>,
    in_flight: InFlight,
    pulse: Pulse,
    route_counts: RouteCounts,
    waits: ProfileWaits,
    try_now: Arc<Notify>,
    notices: Notices,
    push_view: Live<Option<PushView>>,
}

impl Shared {
    pub(super) fn new(
        connected: Connected,
        store_file: StoreFile,
        device_id: String,
        live: LiveSettings,
        notices: Notices,
    ) -> Self {
        let link = watch::channel(LinkView::unknown(connected.clock.now())).0;
        Self {
            store_file,
            device_id,
            connected,
            live,
            link,
            in_flight: InFlight::default(),
            pulse: Pulse::default(),
            route_counts: RouteCounts::default(),
            waits: ProfileWaits::default(),
            try_now: Arc::default(),
            notices,
            push_view: Live::new(None),
        }
    }

    pub(super) fn push(&self, books: Arc<Books>, metrics: Metrics) -> Push {
        Push { books, metrics, options: self.live.push.subscribe(), view: self.push_view.clone() }
    }

    pub(super) fn intake(&self) -> Intake {
        Intake::new(self.connected.writer.clone(), self.live.mappings.clone(), self.connected.clock.clone())
    }

    pub(super) fn housekeeping(&self) -> Housekeeping {
        Housekeeping::new(
            self.connected.writer.clone(),
            self.store_file.path.clone(),
            self.connected.clock.clone(),
            self.live.keep_events.subscribe(),
        )
    }

    pub(super) fn watchdog(&self, books: Arc<Books>) -> Watchdog {
        Watchdog {
            forwarder: self.pulse.clone(),
            writer: self.connected.writer.clone(),
            clock: self.connected.clock.clone(),
            late_max: LATE_MAX,
            interval: INTERVAL,
            link: self.link.subscribe(),
            verdict: supervisor::listens()
                .then(|| -> Verdict { Arc::new(move || books.status().ok().map(|status| status.verdict.line())) }),
        }
    }

    pub(super) fn forwarding(&self, session_key: Vec<u8>, state: StateReader) -> ForwardingParts {
        ForwardingParts {
            connected: self.connected.clone(),
            in_flight: self.in_flight.clone(),
            store_file: self.store_file.clone(),
            session_key,
            pulse: self.pulse.clone(),
            link_view: self.link.clone(),
            route_counts: self.route_counts.clone(),
            waits: self.waits.clone(),
            try_now: self.try_now.clone(),
            state,
        }
    }

    pub(super) fn books(
        &self,
        (reader, metrics): (Reader, Metrics),
        pending_at_start: Arc<PendingAtStart>,
        intake: SharedKinds,
    ) -> Books {
        Books {
            store_file: self.store_file.clone(),
            reader: Mutex::new(reader),
            device_id: self.device_id.clone(),
            clock: self.connected.clock.clone(),
            quota_clock: self.connected.quota_clock,
            bounds: self.live.bounds.clone(),
            mappings: self.live.mappings.clone(),
            keeper: Keeper::Agent(Running {
                writer: self.connected.writer.clone(),
                client: self.connected.client.clone(),
                reads: self.connected.reads.clone(),
                pending_at_start,
                in_flight: self.in_flight.clone(),
                link: self.link.subscribe(),
                intake,
                route_counts: self.route_counts.clone(),
                waits: self.waits.clone(),
                try_now: self.try_now.clone(),
                notices: self.notices.clone(),
                push: self.push_view.clone(),
                metrics,
            }),
        }
    }

    pub(super) fn into_live_parts(self) -> LiveParts {
        let Self { device_id, connected, live, store_file, .. } = self;
        let data_dir = store_file.path.parent().map(Path::to_owned).unwrap_or_default();
        LiveParts { connected, live, device_id, data_dir }
    }
}
