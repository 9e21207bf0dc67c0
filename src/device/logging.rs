//! Logging: one file per day, and stderr when the agent runs in the foreground.
//!
//! Only our own lines are written: those of libraries might contain data that ours never do.

use std::fmt::Debug;
use std::io::{self, IsTerminal};
use std::path::Path;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::core::visible::one_line;
use crate::device::log_files::LogFiles;
use crate::device::log_level::LogLevel;

/// Lines that may wait for the disk; further ones are dropped rather than waited for.
const WAITING_LINES_MAX: usize = 1_024;

/// An additional destination of lines: the event log, for a Windows service.
pub type Elsewhere = Option<Box<dyn Layer<Registry> + Send + Sync>>;

/// Returns no additional destination: lines go only to files and stderr.
#[must_use]
pub fn nowhere_else() -> Elsewhere {
    None
}

/// The notation of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line: `time`, `level`, `message`, and the line's own fields, all texts.
    Json,
}

/// Logging in progress. Waiting lines are written when it is dropped.
pub struct Logging {
    _guard: Option<WorkerGuard>,
    /// Level of lines.
    pub level: LogLevel,
    /// Reason why no files are written, if so: lines then go only to stderr.
    pub fault: Option<io::Error>,
}

/// Starts logging.
///
/// # Errors
/// Logging has been started before.
pub fn start(
    level: Level,
    format: LogFormat,
    (dir, keep_files): (&Path, usize),
    elsewhere: Elsewhere,
) -> io::Result<Logging> {
    let (files, fault) = match LogFiles::open(dir, keep_files) {
        Ok(files) => (Some(files), None),
        Err(error) => (None, Some(error)),
    };
    let non_blocking = |files| NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES_MAX).finish(files);
    let (files, guard) = files.map(non_blocking).unzip();
    let (to_files_filter, files_level) = reload::Layer::new(is_ours(level));
    let (to_stderr_filter, stderr_level) = reload::Layer::new(is_ours(level));
    let to_files = files.map(|files| lines(format, false, files).with_filter(to_files_filter));
    let to_stderr = lines(format, io::stderr().is_terminal(), io::stderr).with_filter(to_stderr_filter);
    tracing_subscriber::registry()
        .with(elsewhere)
        .with(to_files)
        .with(to_stderr)
        .try_init()
        .map_err(io::Error::other)?;
    let set = move |level| {
        // Fails only after logging has ended.
        let _ = files_level.reload(is_ours(level));
        let _ = stderr_level.reload(is_ours(level));
    };
    Ok(Logging { _guard: guard, level: LogLevel::new(level, set), fault })
}

/// Returns the layer that writes lines.
fn lines<S, W>(format: LogFormat, has_colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().fmt_fields(fields()).with_target(false).with_writer(writer);
    match format {
        LogFormat::Text => layer.with_ansi(has_colours).boxed(),
        LogFormat::Json => layer.with_ansi(false).event_format(JsonLine).boxed(),
    }
}

/// A formatter of lines as JSON.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, line: &Event<'_>) -> std::fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let level = line.metadata().level().as_str().to_ascii_lowercase();
        let mut members = Members(vec![("time", time), ("level", level)]);
        line.record(&mut members);
        let texts =
            members.0.iter().map(|(name, value)| format!("{}:{}", Value::from(*name), Value::from(value.as_str())));
        // Escaped as JSON does it, so that it stays valid and keeps its meaning.
        writeln!(writer, "{}", one_line(&format!("{{{}}}", texts.collect::<Vec<_>>().join(","))))
    }
}

/// The members of a line in JSON, in their order.
struct Members(Vec<(&'static str, String)>);

impl Visit for Members {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }
}

/// Returns a formatter that escapes outside text in a line's message and fields.
fn fields() -> impl for<'w> fmt::FormatFields<'w> + Send + Sync + 'static {
    let write = |writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let value = format!("{value:?}");
        match field.name() {
            "message" => write!(writer, "{}", one_line(&value)),
            name => write!(writer, "{name}={}", one_line(&value)),
        }
    };
    fmt::format::debug_fn(write).delimited(" ")
}

fn is_ours(level: Level) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(move |line| *line.level() <= level && line.target().starts_with(env!("CARGO_PKG_NAME")))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_in_json_is_one_object() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = Registry::default().with(super::lines(LogFormat::Json, true, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let error = io::Error::other("a\nforged\u{9b}2J\u{202e}");
            tracing::warn!(%error, count = 3, name = "b \"c\"", "answer {}", "d\u{1b}[2J");
        });
        let lines = String::from_utf8(lines.0.lock().expect("one thread").clone()).expect("text");
        let line: Value = serde_json::from_str(lines.strip_suffix('\n').expect("a line")).expect("JSON");
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{lines}");
        assert_eq!([&line["level"], &line["message"]], ["warn", "answer d\u{1b}[2J"]);
        assert_eq!([&line["error"], &line["count"], &line["name"]], ["a\nforged\u{9b}2J\u{202e}", "3", "b \"c\""]);
        assert_eq!(lines.matches('\n').count(), 1);
        assert!(!lines.contains(['\u{1b}', '\u{9b}', '\u{202e}']));
    }

    #[test]
    fn what_others_wrote_stays_on_its_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer().fmt_fields(fields()).with_ansi(false).without_time().with_target(false);
        let subscriber = Registry::default().with(layer.with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let error = io::Error::other("a\nforged INFO\u{1b}[2J\u{202e}");
            tracing::warn!(%error, count = 3, name = "b\nforged", "answer {}", "c\nforged");
        });
        let lines = lines.0.lock().expect("one thread").clone();
        assert_eq!(
            String::from_utf8(lines).expect("text"),
            " WARN answer c\\u000aforged error=a\\u000aforged INFO\\u001b[2J\\u202e count=3 name=\"b\\nforged\"\n"
        );
    }
}
