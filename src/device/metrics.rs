//! What is measured, and how it is told to Prometheus. Names are those of the contract, section 4.
//!
//! No label holds anything of a person: only the names of APIs and outcomes, which are few.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::core::timestamp::Timestamp;

/// Upper bounds of the time of a commit. Units: seconds.
const COMMIT_SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// Upper bounds of the events in a commit.
const COMMIT_EVENTS: [f64; 8] = [1.0, 2.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];

/// Upper bounds of the time of a request to Target. Units: seconds.
const REQUEST_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Requests that are kept to be shown.
const RECENT_REQUESTS: usize = 20;

/// The numbers that are known elsewhere, as they stand when somebody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Named after their metrics.
pub struct Numbers {
    pub events_recorded: u64,
    pub events_duplicate: u64,
    pub events_unmapped: u64,
    pub events_rejected: u64,
    pub events_unconsented: u64,
    pub updates_delivered: u64,
    pub attributes_delivered: u64,
    pub pending_profiles: i64,
    pub pending_attributes: i64,
    pub oldest_pending_seconds: i64,
    pub quota_remaining: i64,
    pub store_bytes: i64,
    pub link_up: bool,
    pub updates_unconfirmed: u64,
    pub attributes_superseded: u64,
    pub attributes_verified: u64,
    pub attributes_lost: u64,
    pub rejected: i64,
    pub disk_free_bytes: i64,
    pub uptime_seconds: i64,
}

/// A request that was made lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentRequest {
    /// When it was answered, by this device's clock.
    pub at: Timestamp,
    /// Which API.
    pub api: &'static str,
    /// The name of its outcome.
    pub outcome: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// The metrics of one agent. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: Histogram,
    commit_seconds: Histogram,
    commit_batch_events: Histogram,
    recent: Mutex<VecDeque<RecentRequest>>,
    /// Held while the numbers are set and written out.
    numbers: Mutex<Instruments>,
}

#[derive(Debug)]
struct Instruments {
    counters: [IntCounter; 11],
    gauges: [IntGauge; 9],
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that stand at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new_custom(Some("outpost".to_owned()), None).expect("the prefix is valid");
        let counter = |name: &str, help: &str| {
            register(&registry, IntCounter::with_opts(Opts::new(name, help)).expect("the name is valid"))
        };
        let gauge = |name: &str, help: &str| {
            register(&registry, IntGauge::with_opts(Opts::new(name, help)).expect("the name is valid"))
        };
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
            register(&registry, Histogram::with_opts(options).expect("the name and the bounds are valid"))
        };
        let requests = Opts::new("requests_total", "Requests to Target since the start, by API and outcome.");
        let requests = IntCounterVec::new(requests, &["api", "outcome"]).expect("the names are valid");
        let numbers = Instruments {
            counters: [
                counter("events_recorded_total", "Events that were recorded and changed a profile."),
                counter("events_duplicate_total", "Events that had been recorded before."),
                counter("events_unmapped_total", "Events that no mapping matched."),
                counter("events_rejected_total", "Events whose mapping failed."),
                counter("events_unconsented_total", "Events that were not stored, since the person did not agree."),
                counter("updates_delivered_total", "Updates of profiles that Target accepted."),
                counter("attributes_delivered_total", "Values in the updates that Target accepted."),
                counter(
                    "updates_unconfirmed_total",
                    "Single updates to profiles of which nobody knew whether Target has them.",
                ),
                counter("attributes_superseded_total", "Values left out since somebody else had a newer one."),
                counter("attributes_verified_total", "Values that were read back and had arrived."),
                counter("attributes_lost_total", "Values that were read back, had not arrived, and were sent again."),
            ],
            gauges: [
                gauge("pending_profiles", "Profiles with a value that Target does not have yet."),
                gauge("pending_attributes", "Values that Target does not have yet."),
                gauge("oldest_pending_seconds", "For how long the longest waiting profile has been pending."),
                gauge("quota_remaining", "Single updates that the quota of 24 hours still allows."),
                gauge("store_bytes", "Bytes that the store takes on disk."),
                gauge("link_up", "1 while Target answers, else 0."),
                gauge("rejected", "Rejected events and updates that wait for a decision."),
                gauge("disk_free_bytes", "Bytes that are free on the disk of the store."),
                gauge("uptime_seconds", "Time since the agent started."),
            ],
        };
        Self(Arc::new(Inner {
            requests: register(&registry, requests),
            request_seconds: histogram("request_seconds", "Time of a request to Target.", &REQUEST_SECONDS),
            commit_seconds: histogram("commit_seconds", "Time of a commit, with its sync.", &COMMIT_SECONDS),
            commit_batch_events: histogram("commit_batch_events", "Events in a commit.", &COMMIT_EVENTS),
            recent: Mutex::new(VecDeque::with_capacity(RECENT_REQUESTS)),
            numbers: Mutex::new(numbers),
            registry,
        }))
    }

    /// A request to Target was made.
    pub fn requested(&self, api: &'static str, outcome: &'static str, took: Duration, at: Timestamp) {
        self.0.requests.with_label_values(&[api, outcome]).inc();
        self.0.request_seconds.observe(took.as_secs_f64());
        let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_REQUESTS {
            recent.pop_front();
        }
        recent.push_back(RecentRequest { at, api, outcome, took });
    }

    /// The last requests, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<RecentRequest> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// A commit was made, with that many events.
    pub fn committed(&self, time: Duration, events: usize) {
        self.0.commit_seconds.observe(time.as_secs_f64());
        if events > 0 {
            #[allow(clippy::cast_precision_loss)] // Some thousands.
            self.0.commit_batch_events.observe(events as f64);
        }
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn text(&self, numbers: &Numbers) -> String {
        let instruments = self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = [
            numbers.events_recorded,
            numbers.events_duplicate,
            numbers.events_unmapped,
            numbers.events_rejected,
            numbers.events_unconsented,
            numbers.updates_delivered,
            numbers.attributes_delivered,
            numbers.updates_unconfirmed,
            numbers.attributes_superseded,
            numbers.attributes_verified,
            numbers.attributes_lost,
        ];
        for (counter, count) in instruments.counters.iter().zip(counted) {
            // These totals survive restarts: they are kept elsewhere.
            counter.reset();
            counter.inc_by(count);
        }
        let measured = [
            numbers.pending_profiles,
            numbers.pending_attributes,
            numbers.oldest_pending_seconds,
            numbers.quota_remaining,
            numbers.store_bytes,
            i64::from(numbers.link_up),
            numbers.rejected,
            numbers.disk_free_bytes,
            numbers.uptime_seconds,
        ];
        for (gauge, value) in instruments.gauges.iter().zip(measured) {
            gauge.set(value);
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text).expect("writing to memory does not fail");
        String::from_utf8(text).expect("names and numbers are text")
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect("each name is registered once");
    collector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_told_as_they_are_kept_and_not_added_up() {
        let metrics = Metrics::new();
        let numbers = Numbers { events_recorded: 7, pending_profiles: 3, link_up: true, ..Numbers::default() };
        let _ = metrics.text(&numbers);
        let text = metrics.text(&numbers);
        assert!(text.contains("\noutpost_events_recorded_total 7\n"), "{text}");
        assert!(text.contains("\noutpost_pending_profiles 3\n") && text.contains("\noutpost_link_up 1\n"));
    }

    #[test]
    fn requests_are_told_by_api_and_outcome() {
        let metrics = Metrics::new();
        metrics.requested("single", "delivered", Duration::from_millis(20), Timestamp::default());
        metrics.committed(Duration::from_millis(3), 64);
        let text = metrics.text(&Numbers::default());
        assert!(text.contains("outpost_requests_total{api=\"single\",outcome=\"delivered\"} 1"), "{text}");
        assert!(text.contains("outpost_request_seconds_bucket{le=\"0.025\"} 1"));
        assert!(text.contains("outpost_commit_batch_events_count 1"));
    }
}
