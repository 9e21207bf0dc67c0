//! `outpost forget`: erases all that the device holds of one identity.

use super::connect::{Connection, Holder, holder};
use super::load::{ConfigArgs, Loaded};
use super::{Failure, print, profile_path, small_runtime};
use crate::config::Config;
use crate::core::identity::Identity;
use crate::inspect::forget::{Forgetting, Forgotten};
use crate::intake::folder::FolderRules;
use crate::store::{InFlight, Reader, Store, StoreError, Writer};

/// Erases all that this device holds of one identity, and says what it erased
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost forget third_party_id:123456")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Whom to forget, such as third_party_id:123456 or pc_id:1368007744041-575948.01_00
    identity: Identity,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Loaded { config, .. } = args.config.load()?;
    let data_dir = super::existing_store(&config)?;
    let forgotten = match holder(&data_dir)? {
        Holder::Agent(connection) => ask(&connection, &args.identity)?,
        Holder::Us(_lock) => at_rest(&config, &args.identity).map_err(|error| Failure::failed(&error))?,
    };
    if args.json {
        return print(&serde_json::to_string_pretty(&forgotten).map_err(|error| Failure::failed(&error))?);
    }
    print(&words(forgotten))?;
    match config.intake.kinds.folder.as_ref().map_or(0, FolderRules::files_kept) {
        0 => Ok(()),
        count => print(&format!(
            "{count} files in done and failed of the folder were not looked at: other software wrote them"
        )),
    }
}

fn ask(connection: &Connection, identity: &Identity) -> Result<Forgotten, Failure> {
    small_runtime()?
        .block_on(connection.delete(&profile_path(identity, "")))?
        .ok_or_else(|| Failure::because("the agent did not say what it erased; is it an older version?"))
}

fn at_rest(config: &Config, identity: &Identity) -> Result<Forgotten, StoreError> {
    let store_file = super::store_file(config);
    let store = Store::open_within(&store_file, super::store_limits(config))?;
    let reader = Reader::open(&store_file)?;
    let (writer, thread) = Writer::start(store).map_err(|_| StoreError::Stopped)?;
    let mappings = config.mappings.clone();
    let forgetting = Forgetting { writer, reader, store_file, in_flight: InFlight::default(), mappings };
    let forgotten = forgetting.forget(identity);
    drop(forgetting);
    let _ = thread.join();
    forgotten
}

fn words(forgotten: Forgotten) -> String {
    let Forgotten { attributes, pending, events, rejected, was_in_flight } = forgotten;
    if (attributes, events, rejected) == (0, 0, 0) {
        return "this device holds nothing of that identity".to_owned();
    }
    let in_flight = if was_in_flight { "\nan update was in flight, and came to its end before" } else { "" };
    format!(
        "erased {attributes} attributes ({pending} of them not yet delivered), {events} events, {rejected} rejected\
         {in_flight}\nlog lines hold nobody's data; Target keeps what it was sent, and has no way to remove an attribute"
    )
}
