//! Loads the configuration of a command: a file, or the built-in one of `--sandbox`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::output::warn;
use crate::agent::data_dir::{DataDir, DeviceId};
use crate::config::{AgentConfig, Config, Problems, Sources, default_environment, default_path};
use crate::core::words::counted;
use crate::device::disk::is_mounted;
use crate::device::environment;
use crate::device::machine;
use crate::device::supervisor::{self, News};

/// Configuration of `--sandbox` without a file.
const SANDBOX_CONFIG: &str = include_str!("sandbox.toml");

/// File that is tried before the system's.
const HERE: &str = "agent.toml";

/// Time between two checks for the disk.
const DISK_INTERVAL: Duration = Duration::from_secs(1);

/// Default address of the sandbox.
const SANDBOX_LISTEN: &str = "127.0.0.1:7718";

/// The options that choose a configuration.
#[derive(Clone, Debug, Args)]
pub(super) struct ConfigArgs {
    /// The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system's
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own
    #[arg(long, global = true)]
    pub(super) sandbox: bool,
    /// Address of the simulator
    #[arg(long, global = true, value_name = "ADDRESS", default_value = SANDBOX_LISTEN, hide_default_value = true)]
    pub(super) sandbox_listen: SocketAddr,
}

/// A configuration, with its sources.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) sources: Sources,
}

/// Returns a text as it is typed in a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl ConfigArgs {
    /// Returns the same options for another command, as they are typed in a shell.
    pub(super) fn typed(&self) -> String {
        let mut typed = String::new();
        if let Some(config) = &self.config {
            typed.push_str(" -c ");
            typed.push_str(&quoted(&config.display().to_string()));
        }
        if self.sandbox {
            typed.push_str(" --sandbox");
        }
        if self.sandbox_listen.to_string() != SANDBOX_LISTEN {
            typed.push_str(&format!(" --sandbox-listen {}", self.sandbox_listen));
        }
        typed
    }

    /// Returns true for `--sandbox` without a configuration, which has a built-in one.
    pub(super) const fn is_built_in(&self) -> bool {
        self.sandbox && self.config.is_none()
    }

    /// Reads and validates the configuration, for a command that changes nothing.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        self.load_with(self.sources()?, |agent| {
            let existing = || DataDir::new(&agent.data_dir).existing_device_id();
            agent.device_id.clone().or_else(existing).unwrap_or_else(|| "device".to_owned())
        })
    }

    /// Waits until the disk of the data directory is mounted, if the configuration names one.
    pub(super) fn wait_for_disk(&self) -> Result<(), Failure> {
        let disk = self.agent()?.data_disk;
        let Some(disk) = disk.filter(|disk| !is_mounted(disk)) else { return Ok(()) };
        let words = format!("waiting until the disk of the data directory is mounted at {}", disk.display());
        warn(&words);
        supervisor::tell(News::Status(&words));
        while !is_mounted(&disk) {
            std::thread::sleep(DISK_INTERVAL);
        }
        Ok(())
    }

    /// Returns the path of the configuration file.
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        Ok(self.sources()?.path().to_owned())
    }

    /// Reads only `[agent]`, for a command that asks an agent.
    pub(super) fn agent(&self) -> Result<AgentConfig, Failure> {
        Config::agent(&self.sources()?).map_err(|problems| report(&problems))
    }

    /// Reads `[agent]` as [`Self::agent`] does, for a command that may create a store: its disk must be mounted.
    pub(super) fn mounted_agent(&self) -> Result<AgentConfig, Failure> {
        mounted(self.agent()?)
    }

    /// Reads and validates the configuration, for a command that may name the device and create a store.
    pub(super) fn load_and_name_device(&self) -> Result<Loaded, Failure> {
        let sources = self.sources()?;
        mounted(Config::agent(&sources).map_err(|problems| report(&problems))?)?;
        let mut failure = None;
        let loaded = self.load_with(sources, |agent| {
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

    fn load_with(&self, sources: Sources, device_id: impl FnOnce(&AgentConfig) -> String) -> Result<Loaded, Failure> {
        let mut config = Config::parse(&sources, device_id).map_err(|problems| report(&problems))?;
        if self.sandbox && config.target.is_hub() {
            return Err(Failure::usage(
                "this device hands over to the hub of [hub], and --sandbox stands in for Target; try without that section: with \
                 another file, and another data_dir in [agent]"
                    .to_owned(),
            ));
        }
        if self.sandbox {
            config.target.client.destination.move_to(format!("http://{}", self.sandbox_listen));
            config.target.client.token = None;
            config.target.client.http.proxy = None;
        }
        Ok(Loaded { config, sources })
    }

    /// Returns the files, overridden by environment variables.
    fn sources(&self) -> Result<Sources, Failure> {
        let mut sources = self.read()?;
        if sources.path() == default_path() {
            environment::adopt(&default_environment());
        }
        sources.add_variables(environment::variables().into_iter()).map_err(|name| {
            Failure::usage(format!("the environment variable {name} is not valid UTF-8; set it again, or unset it"))
        })?;
        Ok(sources)
    }

    fn read(&self) -> Result<Sources, Failure> {
        if let Some(path) = &self.config {
            return read(path);
        }
        if self.sandbox {
            let data_dir = sandbox_data_dir();
            let agent = format!("\n[agent]\ndata_dir = '{}'\n", data_dir.display());
            return Ok(Sources::of_text(Path::new("sandbox.toml"), &format!("{SANDBOX_CONFIG}{agent}")));
        }
        let places = [PathBuf::from(HERE), default_path()];
        let found = places.iter().find(|path| path.exists());
        let path = found.ok_or_else(|| {
            Failure::usage(format!(
                "there is no configuration; name one with -c, put it at {HERE} or {}, or try --sandbox, which needs none",
                default_path().display()
            ))
        })?;
        read(path)
    }
}

/// Warns about environment variables that were meant for the configuration but are not part of it.
pub(super) fn warn_of_variables() {
    for (name, meant) in Sources::misspelled(environment::variables().into_keys()) {
        warn(&format!("the variable {name} is no part of the configuration; if it is meant to be, name it {meant}"));
    }
}

/// The same, if the disk of its data directory is there.
fn mounted(agent: AgentConfig) -> Result<AgentConfig, Failure> {
    match agent.data_disk.as_ref().filter(|disk| !is_mounted(disk)) {
        None => Ok(agent),
        Some(disk) => Err(Failure::because(format!(
            "the disk of the data directory is not mounted at {}; mount it, or remove data_disk from [agent]",
            disk.display()
        ))),
    }
}

/// Returns the device's name: as configured, else as kept, else a new one.
pub(super) fn device_id(agent: &AgentConfig) -> Result<String, Failure> {
    match &agent.device_id {
        Some(name) => Ok(name.clone()),
        None => {
            let machine_id = machine::id();
            let id = DataDir::new(&agent.data_dir).device_id(machine_id.as_deref());
            let DeviceId { name, is_cloned } = id.map_err(|error| Failure::failed(&error))?;
            if is_cloned {
                warn(&format!("this disk was copied from another machine; the device has the new name {name}"));
            }
            Ok(name)
        }
    }
}

/// Returns all problems, one per line, as compilers print them.
pub(super) fn report(problems: &Problems) -> Failure {
    let count = counted(problems.0.len(), "problem");
    Failure::usage(format!("{count} in the configuration\n{problems}"))
}

fn read(path: &Path) -> Result<Sources, Failure> {
    Sources::read(path).map_err(|(path, error)| {
        Failure::usage(format!("the configuration {} cannot be read: {error}", path.display()))
    })
}

/// Returns a directory in the user's home, since `--sandbox` must work without special permissions.
fn sandbox_data_dir() -> PathBuf {
    let from_env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = from_env("XDG_STATE_HOME")
        .or_else(|| from_env("LOCALAPPDATA"))
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    state.join("outpost-sandbox")
}
