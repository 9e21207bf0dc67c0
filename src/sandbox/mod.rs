//! A strict, local Target with its profile and delivery APIs: for trying out Outpost, for its tests, and for those of
//! other people.
//!
//! Beside Target's own paths it has `/sandbox/…` to read profiles and requests and to set faults.

pub mod batches;
mod control;
pub mod delivery;
mod door;
pub mod exchange;
pub mod faults;
mod handle;
pub mod profiles;
mod routes;
mod server;
pub mod target;
pub mod wire;

pub use faults::duration;
pub use handle::Sandbox;

use crate::core::identity::{Identity, IdentityKind};

/// Identities that a sandbox knows at start by default.
const KNOWN: [(IdentityKind, &str); 4] = [
    (IdentityKind::ThirdPartyId, "123456"),
    (IdentityKind::ThirdPartyId, "123457"),
    (IdentityKind::ThirdPartyId, "123458"),
    (IdentityKind::PcId, "1368007744041-575948.01_00"),
];

/// Returns the identities that a sandbox knows at start.
pub fn known_profiles() -> impl Iterator<Item = Identity> {
    KNOWN.into_iter().map(|(kind, key)| Identity::new(kind, key).expect("the list holds valid keys"))
}
