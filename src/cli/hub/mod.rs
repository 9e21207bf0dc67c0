//! `outpost hub`: a node of the hub, and its database.

use clap::Subcommand;

use super::failure::Failure;

mod cluster;
mod init;
mod node_args;
mod run;

pub(super) use node_args::NodeArgs;

/// Runs a node of the hub, one place for a chain of devices
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost hub run --sandbox")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Init(init::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Run(args) => run::run(args),
        Command::Init(args) => init::run(args),
    }
}
