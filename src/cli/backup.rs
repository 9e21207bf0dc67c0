//! `outpost backup`: a copy of the store, also while the agent runs.

use std::path::PathBuf;

use super::at_rest::existing_store;
use super::failure::Failure;
use super::load::ConfigArgs;
use super::output::print;
use crate::core::words::counted;
use crate::store::{BackedUp, back_up};

/// Copies the store into a file, even while the agent is running
///
/// The copy is a consistent snapshot, readable only by its owner, and synced to disk when the command ends. An existing file is
/// never overwritten. It contains only the store, not the configuration, tokens, keys or log files. It needs as much room as the
/// store, and the store's write-ahead log may grow while it is made.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost backup /media/usb/outpost-2026-11-26.db")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// The file, which must not exist yet
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let store = existing_store(&args.config.agent()?.data_dir)?.store_path();
    let found = back_up(&store, &args.file).map_err(|error| Failure::failed(&error))?;
    let BackedUp { bytes, schema, events, profiles, pending, rejected, is_sealed } = found;
    let secrecy = if is_sealed {
        "It contains people's data, encrypted with the key of [store]. Without that key it is useless, so keep both, in different places."
    } else {
        "It contains people's data and is not encrypted: protect it like the store, and delete it in time; `outpost forget` does not \
         change it."
    };
    let place = store.display();
    print(&format!(
        "{}: {}, schema {schema}: {}, {} ({pending} with values that wait), {rejected} rejected\n\
         {secrecy}\n\
         To restore it: stop the agent, copy the file to {place}, delete {place}-wal and {place}-shm if they are there, let the file \
         belong to the agent's user as the folder does, and start the agent. What was recorded after the copy is not in it, and what \
         was delivered since is sent again.",
        args.file.display(),
        bytesize::ByteSize(bytes),
        counted(events, "event"),
        counted(profiles, "profile"),
    ))
}
