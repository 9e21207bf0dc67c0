//! The configuration: from `agent.toml` as written to valid values.
//!
//! `sources` are read, and merged by `layers`; `document` reads with positions, `sections` and `mappings` define the
//! meaning of each key, `effective` shows the result. All problems are reported at once. Parts below take the few
//! values they need, never a [`Config`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adobe::{Client, ClientOptions};
use crate::core::mapping::Mappings;
use crate::core::tokens::Callers;
use crate::device::logging::LogFormat;
use crate::device::rights;
use crate::device::secret::Secret;
use crate::forward::ForwarderRules;
use crate::intake::kinds::Kinds;
use crate::store::StoreKey;

mod defaults;
mod document;
mod effective;
mod examples;
mod folder;
mod hub;
mod intake;
mod layers;
mod lines;
mod mappings;
#[cfg(feature = "hub")]
mod node;
mod places;
mod privacy;
mod secret;
mod secret_places;
mod sections;
mod sources;

pub use document::{Problem, Problems};
pub use examples::{Example, Sample};
#[cfg(feature = "hub")]
pub use node::{DEFAULT_NODE_PATH, NodeConfig, NodeDatabase};
pub use places::{default_data_dir, default_environment, default_path};
pub use privacy::read_key;
pub use secret_places::without_secrets;
pub use sources::{Origin, Place, Sources};

/// Default address of the intake.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7717);

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The section `[agent]`.
    pub agent: AgentConfig,
    /// Destination of updates: the section `[target]` and those below it, or `[hub]`.
    pub target: TargetConfig,
    /// The section `[target]` beside `[hub]`: what is pending for Target goes there first.
    pub before: Option<TargetConfig>,
    /// The sections of `[intake]`.
    pub intake: IntakeConfig,
    /// The section `[store]`.
    pub store: StoreConfig,
    /// The section `[log]`.
    pub log: LogConfig,
    /// The section `[page]`.
    pub page: PageConfig,
    /// Section `[metrics]`.
    pub metrics: MetricsConfig,
    /// The sections `[[mapping]]`, compiled.
    pub mappings: Arc<Mappings>,
    /// The sections `[[mapping.example]]`.
    pub examples: Vec<Example>,
}

/// The section `[agent]`.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Directory of the store, the token and the device's name.
    pub data_dir: PathBuf,
    /// The device's name, if configured.
    pub device_id: Option<String>,
    /// Mount point of the data directory's disk; without the disk there is nowhere to write.
    pub data_disk: Option<PathBuf>,
}

/// Where updates go, and by which rules: the section `[target]` and those below it, or `[hub]`.
#[derive(Clone, Debug)]
pub struct TargetConfig {
    /// Settings of the client, with the destination.
    pub client: ClientOptions,
    /// Rules for forwarding.
    pub forwarding: ForwarderRules,
    /// Single updates per 24 hours, from `[target.quota]`.
    pub updates_per_day: u64,
    /// Calls of the Fetch API per 24 hours, from `[target.quota]`.
    pub reads_per_day: u64,
    /// Time after a delivery from which an unchanged value is sent again when an event repeats it.
    pub resend_after: Duration,
}

impl TargetConfig {
    /// Returns true if this device hands over to a hub.
    #[must_use]
    pub const fn is_hub(&self) -> bool {
        self.client.destination.is_hub()
    }
}

/// The sections of `[intake]`.
#[derive(Clone, Debug)]
pub struct IntakeConfig {
    /// Loopback address of the API.
    pub listen: SocketAddr,
    /// Callers allowed without a token.
    pub callers: Callers,
    /// Path of the Unix socket, if any.
    pub socket: Option<PathBuf>,
    /// The other kinds of intake.
    pub kinds: Kinds,
}

/// The section `[store]`.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Largest size of the store on disk. Units: bytes.
    pub max_bytes: u64,
    /// Space kept free on its disk. Units: bytes.
    pub min_free_disk_bytes: u64,
    /// Time for which an event is kept after its delivery.
    pub keep_events: Duration,
    /// Key that encrypts the columns with personal data.
    pub key: Option<StoreKey>,
    /// Previous key.
    pub old_key: Option<StoreKey>,
}

/// The section `[page]`.
#[derive(Clone, Debug, Default)]
pub struct PageConfig {
    /// Contact for support that the page names.
    pub support: Option<String>,
}

/// The section `[metrics]`.
#[derive(Clone, Debug, Default)]
pub struct MetricsConfig {
    /// Collector that metrics are pushed to, if any.
    pub push: Option<PushConfig>,
}

/// The pushing of metrics.
#[derive(Clone, Debug)]
pub struct PushConfig {
    /// URL of the collector, with its path.
    pub url: String,
    /// Time between two pushes.
    pub every: Duration,
    /// Bearer token, where the collector requires one.
    pub token: Option<Secret>,
}

/// The section `[log]`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Lowest level of lines that are written.
    pub level: tracing::Level,
    /// Directory of the log files.
    pub dir: PathBuf,
    /// Number of daily files to keep.
    pub keep_files: usize,
    /// Notation of the lines.
    pub format: LogFormat,
}

impl Config {
    /// Reads `[agent]`, regardless of errors in other sections.
    ///
    /// # Errors
    /// [`Problems`] of this section, and errors of TOML syntax.
    pub fn agent(sources: &Sources) -> Result<AgentConfig, Problems> {
        let document = document::Document::new(sources);
        let table = document.parse();
        let agent = sections::agent(&document::Table::new(&document, "", &table));
        document.finish()?;
        Ok(agent)
    }

    /// Reads a configuration. `device_id` returns the device's name, as configured or as kept in the data directory,
    /// for attribute names with `{device_id}`.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn parse(sources: &Sources, device_id: impl FnOnce(&AgentConfig) -> String) -> Result<Self, Problems> {
        let document = document::Document::new(sources);
        let table = document.parse();
        let top = document::Table::new(&document, "", &table);
        let agent = sections::agent(&top);
        rights::name_data_dir(&agent.data_dir);
        let hub = hub::hub(&top);
        let has_hub = hub.is_some() || top.value("hub").is_some();
        let target = sections::target(&top, has_hub);
        let intake = intake::read(&top, &agent.data_dir);
        let store = sections::store(&top);
        let log = sections::log(&top, &agent.data_dir);
        let page = sections::page(&top);
        let metrics = sections::metrics(&top);
        let privacy = privacy::read(&top);
        let needs_device_id = sources.contains(mappings::DEVICE_ID);
        let device_id = if needs_device_id { device_id(&agent) } else { String::new() };
        let (mappings, examples) = mappings::read(&top, &privacy, &device_id);
        top.finish();
        document.finish()?;
        let (target, before) = match hub {
            Some(hub) => (hub, target),
            None => (target.expect("a configuration without [target] has a problem"), None),
        };
        Ok(Self {
            agent,
            target,
            before,
            intake,
            store,
            log,
            page,
            metrics,
            mappings: Arc::new(Mappings::new(mappings, privacy.rules)),
            examples,
        })
    }

    /// Sets up the client for updates with the present files and secrets, without sending anything. An agent without a
    /// client still records events.
    ///
    /// # Errors
    /// [`Problems`]: the setting that prevents it.
    pub fn check_client(&self, sources: &Sources) -> Result<(), Problems> {
        let checked = Client::new(&self.target.client).map(|_| ());
        checked.map_err(|error| match error.setting.path() {
            [.., key] if self.target.is_hub() => {
                Problems::of_setting(sources, &["hub", key], format!("{key} in [hub]: {}", error.words))
            }
            path => Problems::of_setting(sources, path, error.to_string()),
        })
    }
}
