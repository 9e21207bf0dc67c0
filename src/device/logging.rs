//! Logging: one file per day, and stderr when the agent runs in the foreground.
//!
//! Only our own lines are written: those of libraries might contain data that ours never do.

use std::fmt::Debug;
use std::io::{self, IsTerminal};
use std::path::Path;

use tracing::field::Field;
use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt;
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
pub fn start(level: Level, dir: &Path, keep_files: usize, elsewhere: Elsewhere) -> io::Result<Logging> {
    let (files, fault) = match LogFiles::open(dir, keep_files) {
        Ok(files) => (Some(files), None),
        Err(error) => (None, Some(error)),
    };
    let non_blocking = |files| NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES_MAX).finish(files);
    let (files, guard) = files.map(non_blocking).unzip();
    let (to_files_filter, files_level) = reload::Layer::new(is_ours(level));
    let (to_stderr_filter, stderr_level) = reload::Layer::new(is_ours(level));
    let to_files = files.map(|files| {
        fmt::layer()
            .fmt_fields(fields())
            .with_ansi(false)
            .with_target(false)
            .with_writer(files)
            .with_filter(to_files_filter)
    });
    let to_stderr = fmt::layer()
        .fmt_fields(fields())
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_writer(io::stderr)
        .with_filter(to_stderr_filter);
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
