//! Where the store's deliveries went, before a command sends its content elsewhere.

use super::{Failure, counted, store_file};
use crate::config::Config;
use crate::core::loopback::is_loopback;
use crate::store::{Destination, Reader};

/// Fails if the store delivered to Adobe Target, before `--sandbox` makes these deliveries void: the next run without it would
/// send everything again, and count totals twice.
pub(super) fn check_sandbox(config: &Config) -> Result<(), Failure> {
    let Some((Destination { endpoint, .. }, updates)) = delivered(config) else { return Ok(()) };
    if is_local(&endpoint) || updates == 0 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the store in {} delivered {} to {endpoint}; --sandbox would make that void, and totals would count twice afterwards; try \
         in another folder: set data_dir in [agent], or OUTPOST_AGENT__DATA_DIR=try",
        config.agent.data_dir.display(),
        counted(updates, "update"),
    )))
}

/// Returns the warning that the store's content would be sent to another place than before. A store that cannot be read is
/// none.
pub(super) fn moves(config: &Config) -> Option<String> {
    let (before, _) = delivered(config)?;
    let now = &config.target.client;
    if (&before.client_code, &before.endpoint) == (&now.client_code, &now.endpoint) {
        return None;
    }
    let tried = if is_local(&before.endpoint) { ", also what was only tried with --sandbox" } else { "" };
    Some(format!(
        "the store in {} was for client code {} at {}; with this configuration everything in it is sent to client code {} at \
         {}{tried}; if it should not be, stop the agent and delete that folder, or set another data_dir",
        config.agent.data_dir.display(),
        before.client_code,
        before.endpoint,
        now.client_code,
        now.endpoint
    ))
}

/// Returns the destination of the store's deliveries, and the number of updates that were delivered; `None` if no store can be
/// read.
fn delivered(config: &Config) -> Option<(Destination, i64)> {
    let file = store_file(config);
    if !file.path.exists() {
        return None;
    }
    let reader = Reader::open(&file).ok()?;
    Some((reader.destination().ok()??, reader.counters().ok()?.totals.updates))
}

/// Returns true if an endpoint is on this device, as a simulator is.
fn is_local(endpoint: &str) -> bool {
    reqwest::Url::parse(endpoint).is_ok_and(|url| is_loopback(url.host_str().unwrap_or_default()))
}
