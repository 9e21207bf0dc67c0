//! The charts of the page: what was recorded, delivered and pending, as lines in a picture. Pure.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::core::timestamp::Timestamp;
use crate::core::words::{Text, Voice, figures};
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
    recorded: String,
    delivered: String,
    pending: String,
    top_recorded: String,
    top_delivered: String,
    top_pending: String,
}

/// A moment: when, recorded, delivered and pending.
type Point = (Timestamp, i64, i64, Option<i64>);

/// Period and content of a chart.
struct Span {
    title: Text,
    begin: Text,
    top: Text,
    step: Duration,
    steps: usize,
}

const HOUR: Span = Span {
    title: figures::LAST_HOUR,
    begin: figures::HOUR_AGO,
    top: figures::TOP_A_MINUTE,
    step: Duration::from_secs(60),
    steps: 60,
};

const DAY: Span = Span {
    title: figures::LAST_DAY,
    begin: figures::DAY_AGO,
    top: figures::TOP_A_QUARTER,
    step: Duration::from_secs(15 * 60),
    steps: 96,
};

/// The charts of the last hour and the last day.
pub(super) fn charts(history: &History, now: Timestamp, voice: &Voice) -> [Chart; 2] {
    [chart(&HOUR, history, now, voice), chart(&DAY, history, now, voice)]
}

fn chart(span: &Span, history: &History, now: Timestamp, voice: &Voice) -> Chart {
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
    let said = |text: Text, count: i64| text.with([count.into()]).words(voice);
    Chart {
        title: span.title.line(voice.language),
        words: [
            said(figures::CHART_RECORDED, sum_recorded),
            said(figures::CHART_DELIVERED, sum_delivered),
            said(figures::CHART_PENDING, pending.last().copied().unwrap_or(0)),
        ]
        .join(", "),
        begin: span.begin.line(voice.language),
        recorded: line(&recorded, top),
        delivered: line(&delivered, top),
        pending: area(&pending),
        top_recorded: said(span.top, max(&recorded)),
        top_delivered: said(figures::TOP_DELIVERED, max(&delivered)),
        top_pending: said(figures::TOP_PENDING, max(&pending)),
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
        let [hour, day] = charts(&History { moments }, now, &Voice::default());
        assert!(hour.pending.starts_with("M0 160L5.0 68.6"), "{}", hour.pending);
        assert_eq!(hour.top_recorded, "recorded, at most 10 in a minute");
        assert_eq!(
            (hour.top_delivered.as_str(), hour.top_pending.as_str()),
            ("delivered, at most 5", "pending, at most 7")
        );
        assert_eq!(hour.words, "12 events recorded, 5 updates delivered, 2 profiles pending now");
        assert_eq!(day.recorded.matches('L').count(), 95);
    }

    #[test]
    fn without_a_history_the_lines_lie_flat() {
        let [hour, _] = charts(&History { moments: Vec::new() }, Timestamp::from_millis(0), &Voice::default());
        assert!(hour.recorded.starts_with("M5.0 160.0L15.0 160.0"), "{}", hour.recorded);
        assert_eq!(hour.pending, "");
    }
}
