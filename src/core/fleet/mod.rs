//! A fleet of devices that hand their parts over to a hub: what travels between them.

mod part_id;
mod wire;

pub use part_id::PartId;
pub use wire::{
    ATTRIBUTES_MAX, AttributePart, BODY_BYTES_MAX, DeviceState, Handover, HandoverError, PROFILES_MAX, PROTOCOL,
    ProfileParts, Refused, Taken,
};
