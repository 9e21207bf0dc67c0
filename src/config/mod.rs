//! The configuration: from `agent.toml` as written to valid values.
//!
//! `sources` are read, and merged by `layers`; `document` reads with positions, `sections` and `mappings` define the
//! meaning of each key, `effective` shows the result. All problems are reported at once. Parts below take the few
//! values they need, never a [`Config`].

use std::sync::Arc;

use crate::adobe::Client;
use crate::core::mapping::Mappings;
use crate::device::rights;

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
mod values;

pub use document::{Problem, Problems};
pub use examples::Sample;
#[cfg(feature = "hub")]
pub use node::{DEFAULT_NODE_PATH, NodeConfig, NodeDatabase};
pub use places::{default_data_dir, default_environment, default_path};
pub use privacy::read_key;
pub use secret_places::without_secrets;
pub use sources::{Origin, Place, Sources};
pub use values::{
    AgentConfig, Config, DEFAULT_LISTEN, Example, IntakeConfig, LogConfig, MetricsConfig, PageConfig, PushConfig,
    StoreConfig, TargetConfig,
};

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
