//! The configuration: from `agent.toml` as written to values that are valid.
//!
//! `sources` are read and laid over each other by `layers`; `document` reads with positions, `sections` and `mappings`
//! say what each key means, `effective` shows what holds. All problems are reported at once. Parts below take the few values they need, never a [`Config`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adobe::{Client, ClientOptions};
use crate::core::mapping::Mappings;
use crate::core::tokens::Callers;
use crate::device::rights;
use crate::forward::ForwarderRules;
use crate::intake::kinds::Kinds;
use crate::store::StoreKey;

mod document;
mod effective;
mod examples;
mod folder;
mod intake;
mod layers;
mod lines;
mod mappings;
mod places;
mod privacy;
mod secret;
mod secret_places;
mod sections;
mod sources;

pub use document::{Problem, Problems};
pub use examples::Example;
pub use places::{default_data_dir, default_environment, default_path};
pub use privacy::read_key;
pub use secret_places::without_secrets;
pub use sources::{Origin, Place, Sources};

/// Where the intake listens unless told otherwise.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7717);

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[agent]`.
    pub agent: AgentConfig,
    /// `[target]` and the sections below it.
    pub target: TargetConfig,
    /// The sections of `[intake]`.
    pub intake: IntakeConfig,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[[mapping]]`, compiled.
    pub mappings: Arc<Mappings>,
    /// `[[mapping.example]]`.
    pub examples: Vec<Example>,
}

/// `[agent]`.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Where the store, the token and the device's name are kept.
    pub data_dir: PathBuf,
    /// The device's name, if configured.
    pub device_id: Option<String>,
    /// Where the disk of the data directory is mounted: while it is not, there is nothing to write to.
    pub data_disk: Option<PathBuf>,
}

/// `[target]` and the sections below it.
#[derive(Clone, Debug)]
pub struct TargetConfig {
    /// How Target is reached, with `[target.http]`.
    pub client: ClientOptions,
    /// How updates are forwarded.
    pub forwarding: ForwarderRules,
    /// `[target.quota]`.
    pub updates_per_day: u64,
    /// `[target.quota]`: calls of the Fetch API.
    pub reads_per_day: u64,
    /// Time after its delivery until an unchanged value is sent again, when an event brings it.
    pub resend_after: Duration,
}

/// The sections of `[intake]`.
#[derive(Clone, Debug)]
pub struct IntakeConfig {
    /// A loopback address.
    pub listen: SocketAddr,
    /// Who may call beside those that have a token.
    pub callers: Callers,
    /// The Unix socket, if any.
    pub socket: Option<PathBuf>,
    /// The other kinds of intake.
    pub kinds: Kinds,
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Bytes that the store may take on disk.
    pub max_bytes: u64,
    /// Bytes that stay free on its disk.
    pub min_free_disk_bytes: u64,
    /// Time that an event is kept after its delivery.
    pub keep_events: Duration,
    /// What seals the columns that hold people's data.
    pub key: Option<StoreKey>,
    /// What sealed them before.
    pub old_key: Option<StoreKey>,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// From which level on lines are written.
    pub level: tracing::Level,
    /// Where files are written.
    pub dir: PathBuf,
    /// Number of daily files that are kept.
    pub keep_files: usize,
}

impl Config {
    /// What `[agent]` says, whatever is wrong in other sections.
    ///
    /// # Errors
    /// [`Problems`] of this section, and of what is no TOML.
    pub fn agent(sources: &Sources) -> Result<AgentConfig, Problems> {
        let document = document::Document::new(sources);
        let table = document.parse();
        let agent = sections::agent(&document::Table::new(&document, "", &table));
        document.finish()?;
        Ok(agent)
    }

    /// Reads a configuration. `device_id` gives the device's name, as configured or as kept in the data directory, for
    /// attribute names that hold `{device_id}`.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn parse(sources: &Sources, device_id: impl FnOnce(&AgentConfig) -> String) -> Result<Self, Problems> {
        let document = document::Document::new(sources);
        let table = document.parse();
        let top = document::Table::new(&document, "", &table);
        let agent = sections::agent(&top);
        rights::name_data_dir(&agent.data_dir);
        let target = sections::target(&top);
        let intake = intake::read(&top, &agent.data_dir);
        let store = sections::store(&top);
        let log = sections::log(&top, &agent.data_dir);
        let privacy = privacy::read(&top);
        let needs_device_id = sources.contains(mappings::DEVICE_ID);
        let device_id = if needs_device_id { device_id(&agent) } else { String::new() };
        let (mappings, examples) = mappings::read(&top, &privacy, &device_id);
        top.finish();
        document.finish()?;
        let target = target.expect("a configuration without [target] has a problem");
        Ok(Self {
            agent,
            target,
            intake,
            store,
            log,
            mappings: Arc::new(Mappings::new(mappings, privacy.rules)),
            examples,
        })
    }

    /// Sets up the client that sends, with the files and secrets as they are now; nothing is sent. Without it an agent records
    /// and sends nothing.
    ///
    /// # Errors
    /// [`Problems`]: the setting that is in the way.
    pub fn check_client(&self, sources: &Sources) -> Result<(), Problems> {
        let checked = Client::new(&self.target.client).map(|_| ());
        checked.map_err(|error| Problems::of_setting(sources, error.setting.path(), error.to_string()))
    }
}
