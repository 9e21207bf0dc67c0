//! The charts of the page: what was recorded, delivered and pending, as lines in a picture. Pure.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::view::counted;
use crate::core::timestamp::Timestamp;
use crate::inspect::history::History;

/// The picture's size, without a unit: it is stretched.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 160.0;

/// One chart, as the template shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Chart {
    title: &'static str,
    words: String,
    begin: &'static str,
    step: &'static str,
    recorded: String,
    delivered: String,
    pending: String,
    recorded_max: i64,
    delivered_max: i64,
    pending_max: i64,
}

/// A moment: when, recorded, delivered and pending.
type Point = (Timestamp, i64, i64, Option<i64>);

/// What a chart covers.
struct Span {
    title: &'static str,
    begin: &'static str,
    step_words: &'static str,
    step: Duration,
    steps: usize,
}

const HOUR: Span =
    Span { title: "Last hour", begin: "an hour ago", step_words: "a minute", step: Duration::from_secs(60), steps: 60 };

const DAY: Span = Span {
    title: "Last day",
    begin: "a day ago",
    step_words: "a quarter of an hour",
    step: Duration::from_secs(15 * 60),
    steps: 96,
};

/// The charts of the last hour and the last day.
pub(super) fn charts(history: &History, now: Timestamp) -> [Chart; 2] {
    [chart(&HOUR, history, now), chart(&DAY, history, now)]
}

fn chart(span: &Span, history: &History, now: Timestamp) -> Chart {
    let moments: Vec<Point> = history
        .moments
        .iter()
        .filter_map(|moment| {
            Some((Timestamp::parse(&moment.at).ok()?, moment.recorded, moment.delivered, moment.pending))
        })
        .collect();
    // How the numbers stood at the end of each step: as of the last moment before.
    let at = |step: usize| {
        let end = now.minus(span.step * u32::try_from(span.steps - step).unwrap_or(0));
        moments.iter().rev().find(|(at, ..)| *at <= end).or(moments.first())
    };
    let each =
        |number: fn(&Point) -> i64| -> Vec<i64> { (0..=span.steps).map(|step| at(step).map_or(0, number)).collect() };
    let growth = |totals: Vec<i64>| -> Vec<i64> { totals.windows(2).map(|pair| (pair[1] - pair[0]).max(0)).collect() };
    let recorded = growth(each(|moment| moment.1));
    let delivered = growth(each(|moment| moment.2));
    // Nothing is known of what was pending before the first moment.
    let first = moments.first().map_or(now, |(at, ..)| *at);
    let is_known = |step: usize| now.minus(span.step * u32::try_from(span.steps - step).unwrap_or(0)) >= first;
    let pending = each(|moment| moment.3.unwrap_or(0)).into_iter().enumerate();
    let pending: Vec<i64> = pending.skip(1).map(|(step, count)| if is_known(step) { count } else { 0 }).collect();
    let max = |numbers: &[i64]| numbers.iter().copied().max().unwrap_or(0);
    let top = max(&recorded).max(max(&delivered));
    let (sum_recorded, sum_delivered) = (recorded.iter().sum::<i64>(), delivered.iter().sum::<i64>());
    Chart {
        title: span.title,
        words: format!(
            "{} recorded, {} delivered; {} pending now",
            counted(sum_recorded, "event"),
            counted(sum_delivered, "update"),
            counted(pending.last().copied().unwrap_or(0), "profile")
        ),
        begin: span.begin,
        step: span.step_words,
        recorded: line(&recorded, top),
        delivered: line(&delivered, top),
        pending: area(&pending),
        recorded_max: max(&recorded),
        delivered_max: max(&delivered),
        pending_max: max(&pending),
    }
}

/// A line through the middle of each step.
#[allow(clippy::cast_precision_loss)] // Nobody sees a fraction of a point.
fn line(numbers: &[i64], top: i64) -> String {
    let width = WIDTH / numbers.len().max(1) as f64;
    let mut path = String::new();
    for (place, number) in numbers.iter().enumerate() {
        let (x, y) = ((place as f64 + 0.5) * width, HEIGHT - HEIGHT * *number as f64 / top.max(1) as f64);
        // Writing to a text does not fail.
        let _ = write!(path, "{}{x:.1} {y:.1}", if place == 0 { 'M' } else { 'L' });
    }
    path
}

/// An area below a line of its own scale.
fn area(numbers: &[i64]) -> String {
    let top = numbers.iter().copied().max().unwrap_or(0);
    if top == 0 {
        return String::new();
    }
    let line = line(numbers, top).replacen('M', "L", 1);
    format!("M0 {HEIGHT}{line}L{WIDTH} {HEIGHT}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::history::HistoryMoment;

    #[test]
    fn a_chart_shows_growth_by_the_step_and_what_is_pending() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let moment = |minutes_ago: u64, recorded, delivered, pending| HistoryMoment {
            at: now.minus(Duration::from_secs(60 * minutes_ago)).to_string(),
            recorded,
            delivered,
            pending,
        };
        let moments = vec![
            moment(300, 100, 90, Some(4)),
            moment(30, 110, 90, None),
            moment(1, 110, 95, Some(7)),
            moment(0, 112, 95, Some(2)),
        ];
        let [hour, day] = charts(&History { moments }, now);
        assert!(hour.pending.starts_with("M0 160L5.0 68.6"), "{}", hour.pending);
        assert_eq!((hour.recorded_max, hour.delivered_max, hour.pending_max), (10, 5, 7));
        assert_eq!(hour.words, "12 events recorded, 5 updates delivered; 2 profiles pending now");
        assert_eq!((day.recorded_max, day.recorded.matches('L').count()), (10, 95));
    }

    #[test]
    fn without_a_history_the_lines_lie_flat() {
        let [hour, _] = charts(&History { moments: Vec::new() }, Timestamp::from_millis(0));
        assert!(hour.recorded.starts_with("M5.0 160.0L15.0 160.0"), "{}", hour.recorded);
        assert_eq!(hour.pending, "");
    }
}
