//! The default places of configuration and data on this system.

use std::path::PathBuf;

/// Returns the path of the system-wide agent's configuration.
#[must_use]
pub fn default_path() -> PathBuf {
    #[cfg(not(windows))]
    return PathBuf::from("/etc/outpost/agent.toml");
    #[cfg(windows)]
    program_data().join("agent.toml")
}

/// Returns the path of the file of variables that the service's unit reads.
#[must_use]
pub fn default_environment() -> PathBuf {
    default_path().with_file_name("environment")
}

/// Returns the default data directory.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    #[cfg(not(windows))]
    return PathBuf::from("/var/lib/outpost");
    #[cfg(windows)]
    program_data().join("data")
}

/// Returns the directory in which Windows keeps data that belongs to no user.
#[cfg(windows)]
pub(crate) fn program_data() -> PathBuf {
    let base = std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from);
    base.join("Outpost")
}
