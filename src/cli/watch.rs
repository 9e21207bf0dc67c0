//! `outpost status --watch`: a calm live view in a terminal, and plain lines elsewhere.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::output::with_local_times;
use crate::core::verdict::Level;
use crate::core::visible::one_line;
use crate::inspect::status::Status;

/// Samples kept for rates and sparklines.
const SAMPLES: usize = 60;

/// Samples over which a rate is averaged, so that it does not jump.
const RATE_SAMPLES: usize = 5;

/// Bars from nothing to the maximum.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The samples so far.
pub(super) struct Watch {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    recorded: i64,
    delivered: i64,
    pending: i64,
}

impl Watch {
    pub(super) const fn new() -> Self {
        Self { samples: VecDeque::new() }
    }

    /// Adds a sample.
    pub(super) fn look(&mut self, status: &Status, at: Instant) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        let (recorded, delivered, pending) =
            (status.events.recorded, status.delivered.updates, status.pending.profiles);
        self.samples.push_back(Sample { at, recorded, delivered, pending });
    }

    /// Returns the view for a terminal: each line is cleared to its end, so that nothing flickers.
    pub(super) fn screen(&self, status: &Status) -> String {
        let colour = match status.verdict.level {
            Level::Well => 32,
            Level::Waiting => 90,
            Level::Attention => 33,
            Level::Refusing => 31,
        };
        let reason = status.link_reason.as_deref().map(|reason| format!("  {}", one_line(reason))).unwrap_or_default();
        let quota = &status.quota;
        let mut lines = vec![
            format!("\x1b[1mOutpost\x1b[0m  {}  {}", one_line(&status.device_id), one_line(&status.version)),
            String::new(),
            format!(
                "verdict    \x1b[{colour}m● {}\x1b[0m  {}",
                status.verdict.level.name(),
                one_line(&with_local_times(&status.verdict.text))
            ),
            format!("link       {}{reason}", one_line(&status.link)),
            format!(
                "recorded   {:>9}  {:>7.1}/s  {}",
                status.events.recorded,
                self.rate(|it| it.recorded),
                self.steps(|it| it.recorded)
            ),
            format!(
                "delivered  {:>9}  {:>7.1}/s  {}",
                status.delivered.updates,
                self.rate(|it| it.delivered),
                self.steps(|it| it.delivered)
            ),
            format!(
                "pending    {:>9}  {:>9}  {}",
                status.pending.profiles,
                format!("{} s", status.pending.oldest_seconds),
                spark(&self.samples.iter().map(|it| it.pending).collect::<Vec<_>>())
            ),
            format!("rejected   {:>9}", status.rejected.events + status.rejected.updates),
            format!(
                "quota      {}  {} of {} left",
                bar(quota.remaining, quota.updates_per_day),
                quota.remaining,
                quota.updates_per_day
            ),
        ];
        lines.extend(status.intake.shown().map(|shown| one_line(&shown.line()).into_owned()));
        lines.extend([String::new(), "Ctrl-C ends".to_owned()]);
        let mut screen = "\x1b[H".to_owned();
        for line in lines {
            // Writing to a string does not fail.
            let _ = write!(screen, "{line}\x1b[K\r\n");
        }
        screen.push_str("\x1b[J");
        screen
    }

    /// Returns one line, for a file or another program.
    pub(super) fn line(&self, status: &Status) -> String {
        format!(
            "verdict={} link={} recorded={} delivered={} pending={} oldest_seconds={} rejected={} quota_remaining={}",
            status.verdict.level.name(),
            one_line(&status.link),
            status.events.recorded,
            status.delivered.updates,
            status.pending.profiles,
            status.pending.oldest_seconds,
            status.rejected.events + status.rejected.updates,
            status.quota.remaining
        )
    }

    #[allow(clippy::cast_precision_loss)] // A tenth is all that is shown.
    fn rate(&self, number: fn(&Sample) -> i64) -> f64 {
        let Some(last) = self.samples.back() else { return 0.0 };
        let first = self.samples.iter().rev().nth(RATE_SAMPLES).or(self.samples.front()).unwrap_or(last);
        let time = last.at.duration_since(first.at).max(Duration::from_millis(1));
        (number(last) - number(first)).max(0) as f64 / time.as_secs_f64()
    }

    fn steps(&self, number: fn(&Sample) -> i64) -> String {
        let numbers: Vec<i64> = self.samples.iter().map(number).collect();
        spark(&numbers.windows(2).map(|pair| (pair[1] - pair[0]).max(0)).collect::<Vec<_>>())
    }
}

/// Returns a line of bars, scaled to the largest number.
fn spark(numbers: &[i64]) -> String {
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let top = BARS.len() as i64 - 1;
    numbers.iter().map(|number| BARS[usize::try_from((number * top + most - 1) / most).unwrap_or(0).min(7)]).collect()
}

fn bar(part: u64, whole: u64) -> String {
    let filled = usize::try_from(part.saturating_mul(20) / whole.max(1)).unwrap_or(20).min(20);
    format!("{}{}", "█".repeat(filled), "░".repeat(20 - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_go_from_nothing_to_the_most() {
        assert_eq!(spark(&[0, 1, 50, 100]), "▁▂▅█");
        assert_eq!(spark(&[0, 0]), "▁▁");
        assert_eq!(spark(&[]), "");
        assert_eq!((bar(1, 2), bar(9, 0)), (format!("{}{}", "█".repeat(10), "░".repeat(10)), "█".repeat(20)));
    }

    #[test]
    fn a_rate_is_taken_over_some_looks() {
        let mut watch = Watch::new();
        let begun = Instant::now();
        for second in 0..10 {
            let at = begun + Duration::from_secs(second);
            let recorded = i64::try_from(second).unwrap_or(0) * 3;
            watch.samples.push_back(Sample { at, recorded, delivered: 0, pending: 0 });
        }
        assert!((watch.rate(|it| it.recorded) - 3.0).abs() < 1e-9);
    }
}
