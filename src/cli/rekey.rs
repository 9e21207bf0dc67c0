//! `outpost rekey`: encrypts the store with another key, or decrypts it.

use std::path::{Path, PathBuf};

use super::at_rest::{existing_store, store_file};
use super::failure::Failure;
use super::load::{ConfigArgs, Loaded};
use super::output::print;
use crate::config::read_key;
use crate::store::{Store, StoreFile, StoreKey};

/// Encrypts the store with another key; the agent must be stopped
///
/// A key is 32 bytes or more, in hex or base64url, as `openssl rand -hex 32` makes it. If nobody can run a command on
/// the device, set the new key as key and the old one as old_key in the section `store`: the next start does the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost rekey --new-key-file /etc/outpost/store.key.new")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Change {
    /// File with the new key; the configuration has the old one
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// File with the old key; the configuration has the new one
    #[arg(long, value_name = "FILE")]
    old_key_file: Option<PathBuf>,
    /// Decrypt the store; the configuration has the key
    #[arg(long)]
    remove: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Loaded { config, .. } = args.config.load()?;
    let data_dir = existing_store(&config.agent.data_dir)?;
    let _lock = data_dir
        .lock()
        .map_err(|error| Failure::because(format!("{}; stop the agent first", super::failure::chain(&error))))?;
    let StoreFile { path, key, .. } = store_file(&config);
    let read = |file: &Path| read_key(file).map(|secret| StoreKey::new(&secret)).map_err(Failure::usage);
    let (file, then) = match &args.change {
        Change { new_key_file: Some(new), .. } => {
            let then = format!("name the new key in [store], as in key = {{ file = \"{}\" }}", new.display());
            (StoreFile { path, key: Some(read(new)?), old_key: key }, then)
        }
        Change { old_key_file: Some(old), .. } => {
            let missing = || Failure::usage("there is no key in [store] of the configuration; set the new one");
            let key = Some(key.ok_or_else(missing)?);
            (StoreFile { path, key, old_key: Some(read(old)?) }, "start the agent".to_owned())
        }
        _ => (StoreFile { path, key: None, old_key: key }, "remove the key from [store]".to_owned()),
    };
    Store::rekey(&file).map_err(|error| Failure::failed(&error))?;
    let done =
        if args.change.remove { "the store is no longer encrypted" } else { "the store is encrypted with the new key" };
    print(&format!("{done}; {then}"))
}
