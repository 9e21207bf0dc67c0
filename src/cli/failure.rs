//! Failures of commands.

use std::error::Error;
use std::fmt;

use crate::core::visible::one_line;

/// Exit code for a wrong command line or configuration.
pub(super) const USAGE: u8 = 2;

/// The reason why a command failed, with its exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) exit_code: u8,
}

impl Failure {
    /// Returns the failure of an operation. The message is the chain of causes.
    pub(super) fn failed(error: &dyn Error) -> Self {
        Self { message: chain(error), exit_code: 1 }
    }

    /// Returns a failure with a message of our own.
    pub(super) fn because(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }

    /// Returns the failure of an invalid configuration or command line.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: USAGE }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outpost: {}", self.message)
    }
}

/// Returns an error with its causes, each after a colon, as part of one line: they may name what others wrote.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    one_line(&text).into_owned()
}
