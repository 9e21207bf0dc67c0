//! A fleet of devices that hand their parts over to a hub: what travels between them.

mod device_state;
mod join;
mod part_id;
mod refused;
mod shown;
mod size;
mod wire;

pub use device_state::DeviceState;
pub use join::{DEVICE_PATH, JOIN_PATH, Join, Joined, KnownDevice};
pub use part_id::PartId;
pub use refused::{Reason, Refused};
pub use wire::{
    ATTRIBUTES_MAX, AttributePart, BODY_BYTES_MAX, Handover, HandoverError, PARTS_PATH, PROFILES_MAX, PROTOCOL,
    ProfileParts, Taken,
};
