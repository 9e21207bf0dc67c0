//! Metrics for a collector of OpenTelemetry.
//!
//! Source: OpenTelemetry protocol 1.3, JSON encoding: names in camel case, 64-bit integers as texts.

use prometheus::proto::{Bucket, Metric, MetricFamily, MetricType};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::limits::ANSWER_WORDS_CHARS_MAX;
use crate::core::timestamp::Timestamp;

/// Totals since a start, each as a whole. Source: OTLP, `AggregationTemporality`.
const CUMULATIVE: u8 = 2;

/// Returns the body of an `ExportMetricsServiceRequest` for one device.
pub(super) fn request(families: &[MetricFamily], device_id: &str, now: Timestamp) -> String {
    let nanos = (i128::from(now.as_millis()) * 1_000_000).to_string();
    let resource = [
        attribute("service.name", "outpost"),
        attribute("service.instance.id", device_id),
        attribute("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let metrics: Vec<Value> = families.iter().map(|family| metric(family, &nanos)).collect();
    let scope = json!({ "name": "outpost", "version": env!("CARGO_PKG_VERSION") });
    let scope_metrics = json!([{ "scope": scope, "metrics": metrics }]);
    json!({ "resourceMetrics": [{ "resource": { "attributes": resource }, "scopeMetrics": scope_metrics }] })
        .to_string()
}

/// The answer to a push, as far as it says what was refused.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    partial_success: Option<PartialSuccess>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PartialSuccess {
    /// A text or a number, as collectors differ.
    rejected_data_points: Value,
    error_message: String,
}

/// Returns what a collector refused of a push that it answered with success, as a clause about it; `None` if it took all. Its words
/// are cut after [`ANSWER_WORDS_CHARS_MAX`] characters.
pub fn refusal(body: &[u8]) -> Option<String> {
    let Answer { partial_success } = serde_json::from_slice(body).unwrap_or_default();
    let PartialSuccess { rejected_data_points, error_message } = partial_success?;
    let count = rejected_data_points.as_u64().or_else(|| rejected_data_points.as_str()?.parse().ok()).unwrap_or(0);
    let words: String = error_message.chars().take(ANSWER_WORDS_CHARS_MAX).collect();
    match (count, words.as_str()) {
        (0, _) => None,
        (count, "") => Some(format!("it refused {count} numbers, and did not say why")),
        (count, words) => Some(format!("it refused {count} numbers: {words}")),
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn metric(family: &MetricFamily, nanos: &str) -> Value {
    let points = |value: fn(&Metric) -> Value| -> Vec<Value> {
        let point = |metric: &Metric| {
            let labels: Vec<Value> =
                metric.get_label().iter().map(|label| attribute(label.name(), label.value())).collect();
            let mut point = value(metric);
            point["attributes"] = labels.into();
            point["timeUnixNano"] = nanos.into();
            point
        };
        family.get_metric().iter().map(point).collect()
    };
    let mut metric = json!({ "name": family.name(), "description": family.help() });
    match family.get_field_type() {
        MetricType::COUNTER => {
            let points = points(|metric| json!({ "asDouble": metric.get_counter().get_value() }));
            metric["sum"] = json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points });
        }
        MetricType::HISTOGRAM => {
            metric["histogram"] = json!({ "aggregationTemporality": CUMULATIVE, "dataPoints": points(histogram) });
        }
        _ => {
            let points = points(|metric| json!({ "asDouble": metric.get_gauge().get_value() }));
            metric["gauge"] = json!({ "dataPoints": points });
        }
    }
    metric
}

fn histogram(metric: &Metric) -> Value {
    let histogram = metric.get_histogram();
    let buckets = histogram.get_bucket();
    // Those of Prometheus count what is below them too, and have none for what is above all.
    let totals = buckets.iter().map(Bucket::cumulative_count).chain([histogram.get_sample_count()]);
    let counts: Vec<String> =
        totals.scan(0, |before, total| Some((total - std::mem::replace(before, total)).to_string())).collect();
    let bounds: Vec<f64> = buckets.iter().map(Bucket::upper_bound).collect();
    json!({
        "count": histogram.get_sample_count().to_string(),
        "sum": histogram.get_sample_sum(),
        "bucketCounts": counts,
        "explicitBounds": bounds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_refused_is_told_in_its_words_as_far_as_they_go() {
        let check =
            |body: &str, expected: Option<&str>| assert_eq!(refusal(body.as_bytes()).as_deref(), expected, "{body}");
        check("", None);
        check("{}", None);
        check("<html>", None);
        check(r#"{"partialSuccess":null}"#, None);
        check(r#"{"partialSuccess":{}}"#, None);
        check(r#"{"partialSuccess":{"rejectedDataPoints":"0","errorMessage":"use delta"}}"#, None);
        check(r#"{"partialSuccess":{"rejectedDataPoints":3}}"#, Some("it refused 3 numbers, and did not say why"));
        let told = r#"{"partialSuccess":{"rejectedDataPoints":"12","errorMessage":"out of order"}}"#;
        check(told, Some("it refused 12 numbers: out of order"));
        let long = told.replace("out of order", &"é".repeat(10_000));
        assert_eq!(refusal(long.as_bytes()).map(|words| words.chars().count()), Some(23 + ANSWER_WORDS_CHARS_MAX));
    }
}
