//! The Windows event log: start and stop of the service, and every error.

use std::fmt::{self, Write};

use log::Log;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Source of the entries, in the log "Application".
pub(super) const SOURCE: &str = "Outpost";

/// Module whose lines report start and stop.
const AGENT: &str = "outpost::agent";

/// The event log, if it can be written to.
pub(super) struct EventLog(Option<eventlog::EventLog>);

impl EventLog {
    pub(super) fn open() -> Self {
        Self(eventlog::EventLog::new(SOURCE, log::Level::Info).ok())
    }

    pub(super) fn error(&self, text: &str) {
        self.write(log::Level::Error, text);
    }

    fn write(&self, level: log::Level, text: &str) {
        if let Some(event_log) = &self.0 {
            event_log.log(&log::Record::builder().level(level).args(format_args!("{text}")).build());
        }
    }
}

impl<S: Subscriber> Layer<S> for EventLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR if metadata.target().starts_with(env!("CARGO_PKG_NAME")) => log::Level::Error,
            Level::WARN if metadata.target() == AGENT => log::Level::Warn,
            Level::INFO if metadata.target() == AGENT => log::Level::Info,
            _ => return,
        };
        let mut line = Line(String::new());
        event.record(&mut line);
        self.write(level, &line.0);
    }
}

/// A line as in the log files: the message, followed by its fields.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
