//! The values of a valid configuration, a type for each section.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adobe::ClientOptions;
use crate::core::identity::IdentityKind;
use crate::core::mapping::Mappings;
use crate::core::tokens::Callers;
use crate::device::logging::LogFormat;
use crate::device::secret::Secret;
use crate::forward::ForwarderRules;
use crate::intake::kinds::Kinds;
use crate::store::StoreKey;

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

/// Destination of updates, and the rules for it: the section `[target]` and those below it, or `[hub]`.
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

impl TargetConfig {
    /// Returns true if this device hands over to a hub.
    #[must_use]
    pub const fn is_hub(&self) -> bool {
        self.client.destination.is_hub()
    }
}

/// One example of a mapping: an event, and what must come of it.
#[derive(Clone, Debug)]
pub struct Example {
    /// Position in the file.
    pub(super) span: Range<usize>,
    /// The event as CloudEvents JSON.
    pub(super) event: String,
    /// Expected identity; `None` if no mapping should match.
    pub(super) identity: Option<(IdentityKind, String)>,
    /// Expected attributes.
    pub(super) attributes: Vec<(String, String)>,
}
