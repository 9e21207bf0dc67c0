//! The command line: one file per command, and shared functions.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::agent::data_dir::DataDir;
use crate::config::{Config, StoreConfig};
use crate::core::visible::{one_line, visible};
use crate::core::words::{Voice, counted};
use crate::device::rights;
use crate::store::{StoreFile, StoreLimits};

mod backup;
mod check;
mod connect;
mod destination;
mod device;
mod doctor;
mod explain;
#[cfg(feature = "hub")]
mod fleet;
mod forget;
#[cfg(feature = "hub")]
mod hub;
mod init;
mod join;
mod load;
mod log;
mod preview;
mod reach;
mod record;
mod rejected;
mod rekey;
mod reload;
mod retry_now;
mod run;
mod sandbox;
mod service;
mod status;
mod token;
mod verify;
mod watch;

/// Version, with the commit from which it was built.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("OUTPOST_COMMIT"), ")");

/// Records customer events on this device, durably, and forwards them to Adobe Target.
#[derive(Debug, Parser)]
#[command(
    version = VERSION,
    after_help = "Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong\n\nExample:\n  outpost run --sandbox"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Init(init::Args),
    Join(join::Args),
    Record(record::Args),
    Status(status::Args),
    Check(check::Args),
    Preview(preview::Args),
    Rejected(rejected::Args),
    Explain(explain::Args),
    Verify(verify::Args),
    Forget(forget::Args),
    Doctor(doctor::Args),
    Token(token::Args),
    Backup(backup::Args),
    Rekey(rekey::Args),
    Log(log::Args),
    Reload(reload::Args),
    RetryNow(retry_now::Args),
    Sandbox(sandbox::Args),
    Service(service::Args),
    #[cfg(feature = "hub")]
    Hub(hub::Args),
    #[cfg(feature = "hub")]
    Fleet(fleet::Args),
}

/// Returns the command line as a whole, for completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the command of the command line. Exit codes: 0 done, 1 failed, 2 usage or configuration.
#[must_use]
pub fn main() -> ExitCode {
    rights::make_files_private();
    rights::keep_memory_private();
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Join(args) => join::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Preview(args) => preview::run(&args),
        Command::Rejected(args) => rejected::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Forget(args) => forget::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Rekey(args) => rekey::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::RetryNow(args) => retry_now::run(&args),
        Command::Sandbox(args) => sandbox::run(args),
        Command::Service(args) => service::run(args),
        #[cfg(feature = "hub")]
        Command::Hub(args) => hub::run(&args),
        #[cfg(feature = "hub")]
        Command::Fleet(args) => fleet::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is closed, nobody can be told.
            let _ = writeln!(io::stderr(), "{}", visible(&failure.to_string()));
            ExitCode::from(failure.exit_code)
        }
    }
}

/// The reason why a command failed, with its exit code.
#[derive(Debug)]
struct Failure {
    message: String,
    exit_code: u8,
}

impl Failure {
    /// Returns the failure of an operation. The message is the chain of causes.
    fn failed(error: &dyn Error) -> Self {
        Self { message: chain(error), exit_code: 1 }
    }

    /// Returns a failure with a message of our own.
    fn because(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }

    /// Returns the failure of an invalid configuration or command line.
    fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 2 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outpost: {}", self.message)
    }
}

/// Returns an error with its causes, each after a colon, as part of one line: they may name what others wrote.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    one_line(&text).into_owned()
}

/// Prints to stdout. A reader that went away, as `head` does, is not a failure. Data from others that is part of a line
/// must go through [`one_line`] first.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{}", visible(text)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(&error)),
        _ => Ok(()),
    }
}

/// Prints one line, whatever others wrote in it.
fn print_line(text: &str) -> Result<(), Failure> {
    print(&one_line(text))
}

/// Returns the bundle for support, which the agent's page has downloaded. Here, since `doctor` looks for a service, which runs the
/// agent.
fn bundle(args: &load::ConfigArgs) -> Result<Vec<u8>, Failure> {
    doctor::bundle(args)
}

/// Returns a time of a document as people read it: in this device's zone.
fn local(time: &str) -> String {
    one_line(&Voice { zone: Some(TimeZone::system()), ..Voice::default() }.time_of(time)).into_owned()
}

/// Returns a sentence of a document as people read it: the times in it are in this device's zone.
fn with_local_times(text: &str) -> String {
    let each = |word: &str| {
        let time = word.trim_end().trim_end_matches(['.', ',', ';', ':', ')']).trim_start_matches('(');
        if time.ends_with('Z') { word.replace(time, &local(time)) } else { word.to_owned() }
    };
    text.split_inclusive(' ').map(each).collect()
}

/// Prints a document as JSON.
fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(document).map_err(|error| Failure::failed(&error))?)
}

/// Prints a warning to stderr. If stderr is closed, nobody can be told.
fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "outpost: {}", visible(text));
}

/// Returns the data directory, for a command that has nothing to do without a store.
fn existing_store(data_dir: &Path) -> Result<DataDir, Failure> {
    let data_dir = DataDir::new(data_dir);
    if data_dir.has_store() {
        return Ok(data_dir);
    }
    Err(no_store(&data_dir))
}

/// Returns the failure of a command that has nothing to do without a store.
fn no_store(data_dir: &DataDir) -> Failure {
    let path = data_dir.path().display();
    Failure::because(format!("there is no store in {path}; start the agent with `outpost run`"))
}

/// Returns the store's file, with its key.
fn store_file(config: &Config) -> StoreFile {
    let StoreConfig { key, old_key, .. } = &config.store;
    StoreFile { path: DataDir::new(&config.agent.data_dir).store_path(), key: key.clone(), old_key: old_key.clone() }
}

fn store_limits(config: &Config) -> StoreLimits {
    let StoreConfig { max_bytes, min_free_disk_bytes, .. } = config.store;
    StoreLimits {
        max_bytes,
        min_free_disk_bytes,
        resend_after: config.target.resend_after,
        shares_profiles: config.target.forwarding.late_after.is_some(),
    }
}

/// Returns a runtime for commands that make a few requests.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| Failure::failed(&error))
}
