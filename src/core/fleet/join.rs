//! Joining a fleet: `POST /v1/hub/join`, with the code of an invitation.

use serde::{Deserialize, Serialize};

use crate::core::timestamp::Timestamp;

/// Path of the request.
pub const JOIN_PATH: &str = "/v1/hub/join";

/// A device's request to join. It holds secrets, and is never shown.
#[derive(Serialize, Deserialize)]
pub struct Join {
    /// Code of the invitation.
    pub code: String,
    /// Name of the device, unique in the fleet.
    pub device_id: String,
    /// Group that it asks for, where the invitation leaves that open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Random text of at least 32 characters, the same whenever the device asks again because an answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
}

/// Path of the request by which a device asks whether the hub knows its token.
pub const DEVICE_PATH: &str = "/v1/hub/device";

/// The hub's answer to a device that it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevice {
    /// Name of the device in the fleet.
    pub device_id: String,
    /// Group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Time of the hub.
    pub time: Timestamp,
}

/// The hub's answer: the device has joined. It holds a secret, and is never shown.
#[derive(Serialize, Deserialize)]
pub struct Joined {
    /// Token of the device, by which the hub knows it.
    pub token: String,
    /// Name of the device in the fleet.
    pub device_id: String,
    /// Group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}
