//! A fleet of devices that hand their parts over to a hub: what travels between them.

mod device_state;
mod join;
mod part_id;
mod refused;
mod size;
mod wire;

pub use device_state::DeviceState;
pub use join::{DEVICE_PATH, JOIN_PATH, Join, Joined, KnownDevice};
pub use part_id::PartId;
pub use refused::{Reason, Refused};
pub use wire::{
    ATTRIBUTES_MAX, AttributePart, BODY_BYTES_MAX, Handover, HandoverError, PROFILES_MAX, PROTOCOL, ProfileParts, Taken,
};

/// Longest text that is only shown; longer ones are cut. Units: characters.
const SHOWN_CHARS_MAX: usize = 300;

/// Returns as much of a text as is shown, and as a database takes it.
fn shown(text: &str) -> String {
    text.chars().filter(|next| *next != '\0').take(SHOWN_CHARS_MAX).collect()
}
