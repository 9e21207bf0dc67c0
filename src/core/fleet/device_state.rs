//! State of a device, as it says itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shown::shown;

/// State of a device, for the list of the fleet. Every member is optional, since an older or newer device may leave it out. A
/// member that cannot be read counts as missing, so that no part has to wait for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value")]
pub struct DeviceState {
    /// Version of its program.
    pub version: String,
    /// Its name.
    pub device_id: String,
    /// Group of devices that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Number of the process, chosen at random at its start: two that take turns are two devices with one token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Profiles with something pending.
    pub pending_profiles: u64,
    /// Age of what waits longest. Units: seconds.
    pub oldest_seconds: u64,
    /// Rejected events and updates.
    pub rejected: u64,
    /// Events that fit no mapping.
    pub unmapped: u64,
    /// Requests that its intake refused.
    pub refused_intake: u64,
    /// Room on its disk. Units: bytes.
    pub disk_free_bytes: u64,
    /// Version of the mappings in use; 0 for those of its own file.
    pub mappings: u64,
    /// Number of the newest erasure that it has carried out.
    pub forgotten: u64,
}

impl From<Value> for DeviceState {
    fn from(value: Value) -> Self {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(shown);
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
        Self {
            version: text("version").unwrap_or_default(),
            device_id: text("device_id").unwrap_or_default(),
            group: text("group"),
            process: text("process"),
            pending_profiles: number("pending_profiles"),
            oldest_seconds: number("oldest_seconds"),
            rejected: number("rejected"),
            unmapped: number("unmapped"),
            refused_intake: number("refused_intake"),
            disk_free_bytes: number("disk_free_bytes"),
            mappings: number("mappings"),
            forgotten: number("forgotten"),
        }
    }
}
