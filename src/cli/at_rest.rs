//! The store that a configuration names, for commands.

use std::path::Path;

use super::failure::Failure;
use crate::agent::data_dir::DataDir;
use crate::config::{Config, StoreConfig};
use crate::store::StoreFile;

/// Returns the data directory, for a command that has nothing to do without a store.
pub(super) fn existing_store(data_dir: &Path) -> Result<DataDir, Failure> {
    let data_dir = DataDir::new(data_dir);
    if data_dir.has_store() {
        return Ok(data_dir);
    }
    Err(no_store(&data_dir))
}

/// Returns the failure of a command that has nothing to do without a store.
pub(super) fn no_store(data_dir: &DataDir) -> Failure {
    let path = data_dir.path().display();
    Failure::because(format!("there is no store in {path}; start the agent with `outpost run`"))
}

/// Returns the store's file, with its key.
pub(super) fn store_file(config: &Config) -> StoreFile {
    let StoreConfig { key, old_key, .. } = &config.store;
    StoreFile { path: DataDir::new(&config.agent.data_dir).store_path(), key: key.clone(), old_key: old_key.clone() }
}
