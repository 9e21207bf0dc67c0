//! Where this system keeps configuration and data, unless told otherwise.

use std::path::PathBuf;

/// The configuration of the system's agent.
#[must_use]
pub fn default_path() -> PathBuf {
    #[cfg(not(windows))]
    return PathBuf::from("/etc/outpost/agent.toml");
    #[cfg(windows)]
    program_data().join("agent.toml")
}

/// The file of variables that the service's unit reads.
#[must_use]
pub fn default_environment() -> PathBuf {
    default_path().with_file_name("environment")
}

/// Where data is kept unless told otherwise.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    #[cfg(not(windows))]
    return PathBuf::from("/var/lib/outpost");
    #[cfg(windows)]
    program_data().join("data")
}

/// Windows keeps what belongs to no user there.
#[cfg(windows)]
pub(crate) fn program_data() -> PathBuf {
    let base = std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from);
    base.join("Outpost")
}
