//! Output of commands.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::failure::Failure;
use crate::core::visible::{one_line, visible};
use crate::core::words::Voice;

/// Prints to stdout. A reader that went away, as `head` does, is not a failure. Data from others that is part of a line
/// must go through [`one_line`] first.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{}", visible(text)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(&error)),
        _ => Ok(()),
    }
}

/// Prints one line, whatever others wrote in it.
pub(super) fn print_line(text: &str) -> Result<(), Failure> {
    print(&one_line(text))
}

/// Returns a time of a document as people read it: in this device's zone.
pub(super) fn local(time: &str) -> String {
    one_line(&here().time_of(time)).into_owned()
}

/// Returns a sentence of a document as people read it: the times in it are in this device's zone.
pub(super) fn with_local_times(text: &str) -> String {
    here().with_times(text)
}

/// Returns the voice of commands: English, with times in this device's zone.
pub(super) fn here() -> Voice {
    Voice { zone: Some(TimeZone::system()), ..Voice::default() }
}

/// Prints a document as JSON.
pub(super) fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(document).map_err(|error| Failure::failed(&error))?)
}

/// Prints a warning to stderr. If stderr is closed, nobody can be told.
pub(super) fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "outpost: {}", visible(text));
}

/// Version, with the commit from which it was built.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("OUTPOST_COMMIT"), ")");
