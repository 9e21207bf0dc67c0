//! Destination of the store's earlier deliveries, compared before a command sends its content elsewhere.

use super::at_rest::store_file;
use super::failure::Failure;
use crate::adobe::host;
use crate::agent::{Course, Next, Settings, notes};
use crate::config::Config;
use crate::core::forwarding::destination::Destination;
use crate::core::loopback::is_loopback;
use crate::core::words::counted;
use crate::device::clock::Clock;
use crate::store::{Noted, Reader};

/// Fails if the store delivered to Adobe Target, before `--sandbox` makes these deliveries void: the next run without it would
/// send everything again, and count totals twice.
pub(super) fn check_sandbox(config: &Config) -> Result<(), Failure> {
    let Some((was, updates)) = delivered(config) else { return Ok(()) };
    if is_local(&was) || updates == 0 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the store in {} delivered {} to {}; --sandbox would make that void, and totals would count twice afterwards; try \
         in another folder: set data_dir in [agent], or OUTPOST_AGENT__DATA_DIR=try",
        config.agent.data_dir.display(),
        counted(updates, "update"),
        was.endpoint(),
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
    /// The standing of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        let (Course { settings, next }, noted) = course(config);
        let to = &settings.target.client.destination;
        match (next, noted.destination) {
            (Next::HubUnconfigured, Some(hub)) => Self::LacksHub(format!(
                "the section [hub] is missing, and this device has joined {hub}: it continues to hand over there; write \
                 agent.d/90-hub.toml again with `outpost join`, or set another data_dir"
            )),
            (_, Some(was)) if !to.is_hub() && *to != was => {
                let tried = if is_local(&was) { ", also what was only tried with --sandbox" } else { "" };
                Self::Moves(format!(
                    "the store in {} was for {was}; with this configuration everything in it is sent to {to}{tried}; if it \
                     should not be, stop the agent and delete that folder, or set another data_dir",
                    config.agent.data_dir.display(),
                ))
            }
            (Next::Hub(turned), _) => {
                let hub = turned.target.client.destination;
                Self::TurnsToHub(format!("{hub}, once what is pending has gone to {to}"))
            }
            (_, None) => Self::Same(format!("{to}; nothing has been sent yet")),
            (_, Some(was)) if *to == was => Self::Same(to.to_string()),
            (_, Some(was)) => Self::TurnsToHub(format!("{to}; until now it was at {}", was.endpoint())),
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

/// Returns the course of a configuration, and what it follows from. A store that cannot be read notes nothing.
pub(super) fn course(config: &Config) -> (Course, Noted) {
    let (noted, now) = notes(&store_file(config)).unwrap_or_else(|_| (Noted::default(), Clock::system()));
    (Course::of(Settings::of(config.clone()), &noted, now, &config.agent.data_dir), noted)
}

/// Returns the destination of the store's deliveries, and the number of updates that were delivered; `None` if no store can be
/// read.
fn delivered(config: &Config) -> Option<(Destination, i64)> {
    let file = store_file(config);
    if !file.path.exists() {
        return None;
    }
    let reader = Reader::open(&file).ok()?;
    Some((reader.noted().ok()?.destination?, reader.counters().ok()?.totals.updates))
}

/// Returns true if a destination is on this device, as a simulator is.
fn is_local(destination: &Destination) -> bool {
    is_loopback(&host(destination.endpoint()))
}
