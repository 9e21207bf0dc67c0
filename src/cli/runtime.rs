//! The runtime of commands that make requests.

use super::failure::Failure;

/// Returns a runtime for commands that make a few requests.
pub(super) fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| Failure::failed(&error))
}
