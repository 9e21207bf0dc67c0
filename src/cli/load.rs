//! Which configuration a command runs with: a file, or what `--sandbox` brings along.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, warn};
use crate::config::{AgentConfig, Config, Problems};
use crate::data_dir::{DataDir, DeviceId};

/// The configuration of `--sandbox` without a file.
const SANDBOX_CONFIG: &str = include_str!("sandbox.toml");

/// Where a configuration is looked for, in this order.
const PLACES: [&str; 2] = ["agent.toml", "/etc/outpost/agent.toml"];

/// Where the sandbox listens unless told otherwise.
const SANDBOX_LISTEN: &str = "127.0.0.1:7718";

/// The options that choose a configuration.
#[derive(Clone, Debug, Args)]
pub(super) struct ConfigArgs {
    /// The configuration; without it ./agent.toml, else /etc/outpost/agent.toml
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use the embedded Target simulator, with a configuration of its own unless one is named
    #[arg(long, global = true)]
    pub(super) sandbox: bool,
    /// Where the simulator listens
    #[arg(long, global = true, value_name = "ADDRESS", default_value = SANDBOX_LISTEN, hide_default_value = true)]
    pub(super) sandbox_listen: SocketAddr,
}

/// A configuration, and the text that it was read from.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl ConfigArgs {
    /// Reads and validates the configuration, for a command that changes nothing.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        self.load_with(|agent| {
            let existing = || DataDir::new(&agent.data_dir).existing_device_id();
            agent.device_id.clone().or_else(existing).unwrap_or_else(|| "device".to_owned())
        })
    }

    /// Reads and validates the configuration, for a command that may give the device its name.
    pub(super) fn load_and_name_device(&self) -> Result<Loaded, Failure> {
        let mut failure = None;
        let loaded = self.load_with(|agent| {
            device_id(agent).unwrap_or_else(|error| {
                failure = Some(error);
                String::new()
            })
        });
        match failure {
            Some(failure) => Err(failure),
            None => loaded,
        }
    }

    fn load_with(&self, device_id: impl FnOnce(&AgentConfig) -> String) -> Result<Loaded, Failure> {
        let (path, text) = self.read()?;
        let mut config = Config::parse(&path, &text, device_id).map_err(|problems| report(&problems))?;
        if self.sandbox {
            config.target.endpoint = format!("http://{}", self.sandbox_listen);
            config.target.token = None;
            config.target.proxy = None;
        }
        Ok(Loaded { config, path, text })
    }

    fn read(&self) -> Result<(PathBuf, String), Failure> {
        if let Some(path) = &self.config {
            return Ok((path.clone(), read(path)?));
        }
        if self.sandbox {
            let data_dir = sandbox_data_dir();
            let agent = format!("\n[agent]\ndata_dir = '{}'\n", data_dir.display());
            return Ok((PathBuf::from("sandbox.toml"), format!("{SANDBOX_CONFIG}{agent}")));
        }
        let found = PLACES.iter().map(Path::new).find(|path| path.exists());
        let path = found.ok_or_else(|| {
            Failure::usage(format!(
                "there is no configuration; name one with -c, put it at {}, or try --sandbox, which needs none",
                PLACES.join(" or ")
            ))
        })?;
        Ok((path.to_owned(), read(path)?))
    }
}

/// The device's name: as configured, else as kept, else made now.
pub(super) fn device_id(agent: &AgentConfig) -> Result<String, Failure> {
    match &agent.device_id {
        Some(name) => Ok(name.clone()),
        None => {
            let machine_id = machine_uid::get().ok();
            let id = DataDir::new(&agent.data_dir).device_id(machine_id.as_deref());
            let DeviceId { name, is_cloned } = id.map_err(|error| Failure::failed(&error))?;
            if is_cloned {
                warn(&format!("this disk was copied from another machine; the device is named anew, {name}"));
            }
            Ok(name)
        }
    }
}

/// All problems, a line each, as compilers print them.
pub(super) fn report(problems: &Problems) -> Failure {
    let count = problems.list.len();
    let word = if count == 1 { "problem" } else { "problems" };
    Failure::usage(format!("{count} {word} in the configuration\n{problems}"))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("the configuration {} cannot be read: {error}", path.display())))
}

/// A place in the user's home, since `--sandbox` shall work without any rights.
fn sandbox_data_dir() -> PathBuf {
    let from_env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = from_env("XDG_STATE_HOME")
        .or_else(|| from_env("LOCALAPPDATA"))
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    state.join("outpost-sandbox")
}
