//! The command line: one file per command, and shared functions.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::core::visible::{one_line, visible};
use crate::device::rights;
use failure::USAGE;

mod at_rest;
mod backup;
mod check;
mod connect;
mod destination;
mod device;
mod doctor;
mod explain;
mod failure;
#[cfg(feature = "hub")]
mod fleet;
mod forget;
#[cfg(feature = "hub")]
mod hub;
mod init;
mod join;
mod load;
mod log;
mod output;
mod preview;
mod reach;
mod record;
mod rejected;
mod rekey;
mod reload;
mod retry_now;
mod run;
mod runtime;
mod sandbox;
mod service;
mod status;
mod token;
mod verify;
mod watch;

/// Records customer events on this device, durably, and forwards them to Adobe Target.
#[derive(Debug, Parser)]
#[command(
    version = output::VERSION,
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
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return wrong_usage(&error),
    };
    let result = match command {
        Command::Run(args) => run::run(&args, doctor::bundle),
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
        Command::Service(args) => service::run(args, doctor::bundle),
        #[cfg(feature = "hub")]
        Command::Hub(args) => hub::run(&args),
        #[cfg(feature = "hub")]
        Command::Fleet(args) => fleet::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is closed, nobody can be told.
            let _ = writeln!(io::stderr(), "{}", visible(&with_given_shown(failure.to_string())));
            ExitCode::from(failure.exit_code)
        }
    }
}

/// Prints help, or what is wrong with the command line.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let _ = write!(io::stderr(), "{}", visible(&with_given_shown(error.to_string())));
    ExitCode::from(USAGE)
}

/// Returns a message in which the texts given on the command line cannot begin a line: they may be names that others chose.
fn with_given_shown(message: String) -> String {
    let given = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    given.filter(|text| text.contains('\n')).fold(message, |message, text| message.replace(&text, &one_line(&text)))
}
