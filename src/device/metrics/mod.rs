//! Measurements, and their text for Prometheus. Dashboards depend on the names.
//!
//! No label holds anything of a person: only names of our own, which are few.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::core::timestamp::Timestamp;

mod otlp;

pub use otlp::refusal as otlp_refusal;

/// Upper bounds of the histogram of commit times. Units: seconds.
const COMMIT_SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// Upper bounds of the histogram of events per commit.
const COMMIT_EVENTS: [f64; 8] = [1.0, 2.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];

/// Upper bounds of the histogram of request times. Units: seconds.
const REQUEST_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Requests that are kept for display.
const RECENT_REQUESTS: usize = 20;

/// A number that is kept elsewhere, with its value at the time of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Name of its metric, without the prefix.
    name: &'static str,
    /// Explanation for a person.
    help: &'static str,
    kind: NumberKind,
    /// Names and values, few of each.
    labels: Vec<(&'static str, String)>,
    value: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberKind {
    /// A number that only grows and survives restarts.
    Total,
    /// Returns a number that goes up and down.
    Gauge,
}

impl Number {
    /// Returns a number that only grows.
    #[must_use]
    pub const fn total(name: &'static str, help: &'static str, value: i64) -> Self {
        Self { name, help, kind: NumberKind::Total, labels: Vec::new(), value }
    }

    /// Returns a number that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: i64) -> Self {
        Self { name, help, kind: NumberKind::Gauge, labels: Vec::new(), value }
    }

    /// Returns the number with labels.
    #[must_use]
    pub fn with<const N: usize>(self, labels: [(&'static str, &str); N]) -> Self {
        Self { labels: labels.map(|(name, value)| (name, value.to_owned())).into(), ..self }
    }

    fn register(&self, registry: &Registry) {
        let labels = self.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let options = Opts::new(self.name, self.help).const_labels(labels.collect());
        match self.kind {
            NumberKind::Total => {
                let counter = register(registry, IntCounter::with_opts(options).expect("the name is valid"));
                counter.inc_by(u64::try_from(self.value).unwrap_or(0));
            }
            NumberKind::Gauge => {
                register(registry, IntGauge::with_opts(options).expect("the name is valid")).set(self.value);
            }
        }
    }
}

/// A recent request to the receiver of updates, for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentRequest {
    /// Time of the answer, by this device's clock.
    pub at: Timestamp,
    /// Name of the API.
    pub api: &'static str,
    /// Name of the outcome.
    pub outcome: &'static str,
    /// Duration of the request.
    pub took: Duration,
}

/// Why events that were sent here were not taken: the status of the answer, and the name of its problem.
pub type Refusal = (u16, &'static str);

/// Refusals that are told before there is one, so that their growth is seen from the first on.
const REFUSALS_TOLD: [Refusal; 3] = [(503, "busy"), (503, "store-unavailable"), (507, "store-full")];

/// The metrics of one agent. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: IntCounterVec,
    request_seconds: Histogram,
    commit_seconds: Histogram,
    commit_batch_events: Histogram,
    recent: Mutex<VecDeque<RecentRequest>>,
    refused: Mutex<BTreeMap<Refusal, u64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Returns metrics that are all zero.
    #[must_use]
    pub fn new() -> Self {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
            Histogram::with_opts(options).expect("the name and the bounds are valid")
        };
        let requests = Opts::new("requests_total", "Requests to Target since the start, by API and outcome.");
        Self(Arc::new(Inner {
            requests: IntCounterVec::new(requests, &["api", "outcome"]).expect("the names are valid"),
            request_seconds: histogram("request_seconds", "Time of a request to Target.", &REQUEST_SECONDS),
            commit_seconds: histogram("commit_seconds", "Time of a commit, with its sync.", &COMMIT_SECONDS),
            commit_batch_events: histogram("commit_batch_events", "Events in a commit.", &COMMIT_EVENTS),
            recent: Mutex::new(VecDeque::with_capacity(RECENT_REQUESTS)),
            refused: Mutex::default(),
        }))
    }

    /// Counts a request to Target.
    pub fn requested(&self, api: &'static str, outcome: &'static str, took: Duration, at: Timestamp) {
        self.0.requests.with_label_values(&[api, outcome]).inc();
        self.0.request_seconds.observe(took.as_secs_f64());
        let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_REQUESTS {
            recent.pop_front();
        }
        recent.push_back(RecentRequest { at, api, outcome, took });
    }

    /// Returns the last requests, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<RecentRequest> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Counts a refused request with events.
    pub fn refused(&self, refusal: Refusal) {
        *self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(refusal).or_default() += 1;
    }

    /// Returns the refused requests with events since the start.
    #[must_use]
    pub fn refusals(&self) -> BTreeMap<Refusal, u64> {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a commit of `events` events.
    pub fn committed(&self, time: Duration, events: usize) {
        self.0.commit_seconds.observe(time.as_secs_f64());
        if events > 0 {
            #[allow(clippy::cast_precision_loss)] // Some thousands.
            self.0.commit_batch_events.observe(events as f64);
        }
    }

    /// Returns all metrics, with `numbers`, in Prometheus' text format.
    #[must_use]
    pub fn text(&self, numbers: &[Number]) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry(numbers).gather(), &mut text)
            .expect("writing to memory does not fail");
        String::from_utf8(text).expect("names and numbers are text")
    }

    /// Returns all metrics, with `numbers`, as the body of a request to an OTLP collector: in JSON, for one device.
    #[must_use]
    pub fn otlp(&self, numbers: &[Number], device_id: &str, now: Timestamp) -> String {
        otlp::request(&self.registry(numbers).gather(), device_id, now)
    }

    fn registry(&self, numbers: &[Number]) -> Registry {
        let Inner { requests, request_seconds, commit_seconds, commit_batch_events, .. } = &*self.0;
        let registry = Registry::new_custom(Some("outpost".to_owned()), None).expect("the prefix is valid");
        register(&registry, requests.clone());
        for histogram in [request_seconds, commit_seconds, commit_batch_events] {
            register(&registry, histogram.clone());
        }
        numbers.iter().for_each(|number| number.register(&registry));
        let mut refused: BTreeMap<Refusal, u64> = REFUSALS_TOLD.into_iter().map(|refusal| (refusal, 0)).collect();
        refused.extend(self.refusals());
        for ((status, reason), requests) in refused {
            let help = "Requests with events that were refused since the start, by status and reason.";
            let number = Number::total("intake_refused_total", help, i64::try_from(requests).unwrap_or(i64::MAX));
            number.with([("status", &status.to_string()), ("reason", reason)]).register(&registry);
        }
        registry
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
        let numbers =
            [Number::total("events_recorded_total", "Events.", 7), Number::gauge("pending_profiles", "Profiles.", 3)];
        let _ = metrics.text(&numbers);
        let text = metrics.text(&numbers);
        assert!(text.contains("\noutpost_events_recorded_total 7\n"), "{text}");
        assert!(text.contains("\noutpost_pending_profiles 3\n"));
    }

    #[test]
    fn requests_are_told_by_api_and_outcome() {
        let metrics = Metrics::new();
        metrics.requested("single", "delivered", Duration::from_millis(20), Timestamp::default());
        metrics.committed(Duration::from_millis(3), 64);
        let text = metrics.text(&[]);
        assert!(text.contains("outpost_requests_total{api=\"single\",outcome=\"delivered\"} 1"), "{text}");
        assert!(text.contains("outpost_request_seconds_bucket{le=\"0.025\"} 1"));
        assert!(text.contains("outpost_commit_batch_events_count 1"));
    }
}
