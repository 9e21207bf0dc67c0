//! Metrics for a collector of OpenTelemetry.
//!
//! Source: OpenTelemetry protocol 1.3, JSON encoding: names in camel case, 64-bit integers as texts.

use prometheus::proto::{Bucket, Metric, MetricFamily, MetricType};
use serde_json::{Value, json};

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
