//! Destination of the store's earlier deliveries, compared before a command sends its content elsewhere.

use super::at_rest::store_file;
use super::failure::Failure;
use crate::config::Config;
use crate::core::loopback::is_loopback;
use crate::core::words::counted;
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

/// Configured destination, compared with that of the store's deliveries.
pub(super) enum Standing {
    /// The same, or there is none yet; the text says which.
    Same(String),
    /// A hub takes over from Adobe Target, or has another URL.
    TurnsToHub(String),
    /// Another client code or endpoint: all deliveries become void.
    Moves(String),
    /// The device has joined a hub, and `[hub]` is missing.
    LacksHub(String),
}

impl Standing {
    /// The standing of a configuration. A store that cannot be read has no destination.
    pub(super) fn of(config: &Config) -> Self {
        let (now, code) = (&config.target.client.endpoint, &config.target.client.client_code);
        let Some((before, _)) = delivered(config) else {
            return Self::Same(format!("{}; nothing has been sent yet", named(code, now)));
        };
        let was = named(&before.client_code, &before.endpoint);
        match (before.is_hub(), code.is_empty()) {
            _ if (&before.client_code, &before.endpoint) == (code, now) => Self::Same(was),
            (true, false) => Self::LacksHub(format!(
                "the section [hub] is missing, and this device has joined {was}: it continues to hand over there; write \
                 agent.d/90-hub.toml again with `outpost join`, or set another data_dir"
            )),
            (true, true) => Self::TurnsToHub(format!("{}; until now it was at {}", named(code, now), before.endpoint)),
            (false, true) => Self::TurnsToHub(format!("{}, once what is pending has gone to {was}", named(code, now))),
            (false, false) => {
                let tried = if is_local(&before.endpoint) { ", also what was only tried with --sandbox" } else { "" };
                Self::Moves(format!(
                    "the store in {} was for {was}; with this configuration everything in it is sent to {}{tried}; if it \
                     should not be, stop the agent and delete that folder, or set another data_dir",
                    config.agent.data_dir.display(),
                    named(code, now)
                ))
            }
        }
    }

    /// Returns the warning that somebody needs before the agent starts, if any.
    pub(super) fn warning(self) -> Option<String> {
        match self {
            Self::Same(_) | Self::TurnsToHub(_) => None,
            Self::Moves(words) | Self::LacksHub(words) => Some(words),
        }
    }
}

/// Returns the name of a destination; a hub has no client code.
fn named(client_code: &str, endpoint: &str) -> String {
    match client_code {
        "" => format!("the hub at {endpoint}"),
        code => format!("client code {code} at {endpoint}"),
    }
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
