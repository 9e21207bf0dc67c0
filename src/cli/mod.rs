//! The command line: one file per command, and what they share.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod connect;
mod load;
mod preview;
mod record;
mod run;
mod sandbox;
mod status;

/// Records customer events on this device, durably, and forwards them to Adobe Target.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example:\n  outpost run --sandbox")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Record(record::Args),
    Status(status::Args),
    Check(check::Args),
    Preview(preview::Args),
    Sandbox(sandbox::Args),
}

/// Runs the command of the command line. Exit codes: 0 done, 1 failed, 2 usage or configuration.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Preview(args) => preview::run(&args),
        Command::Sandbox(args) => sandbox::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // When stderr is closed there is nobody left to tell.
            let _ = writeln!(io::stderr(), "{failure}");
            ExitCode::from(failure.exit_code)
        }
    }
}

/// Why a command ended without doing its work.
#[derive(Debug)]
struct Failure {
    message: String,
    exit_code: u8,
}

impl Failure {
    /// Something did not work. The message is the chain of causes.
    fn failed(error: &dyn Error) -> Self {
        Self { message: chain(error), exit_code: 1 }
    }

    /// As [`Self::failed`], in words of our own.
    fn because(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }

    /// The configuration or the command line is wrong.
    fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 2 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outpost: {}", self.message)
    }
}

/// An error with its causes, each after a colon.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Prints to stdout. A reader that went away, as `head` does, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(&error)),
        _ => Ok(()),
    }
}

/// A runtime for commands that make a request or two.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| Failure::failed(&error))
}
