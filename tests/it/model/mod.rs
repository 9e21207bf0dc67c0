//! A model of Target, strict and unkind, a world of customers around it, and an oracle that says what must come of it.
//!
//! - `wire`: what a device is told, and what gets between: faults, weather, curses.
//! - `journal`: what happened at Target and who was told what.
//! - `target`: the model itself.
//! - `world`: a story as a list of steps, made from a seed; telling it to agents; shrinking one that fails.
//! - `oracle`: what each attribute must be in the end, and what must never happen on the way.
//! - `agents`: a small right agent, and wrong ones that show that the oracle finds something.
//!
//! Nothing here reads a clock, does I/O or knows of the forwarder. All dice are made from the seed and from what is asked, by
//! whom and when: so taking a step out of a story leaves the luck of the others as it was.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use fastrand::Rng;
use outpost::core::identity::{Identity, IdentityKind};

pub mod agents;
pub mod generate;
pub mod journal;
pub mod oracle;
pub mod sets;
pub mod shrink;
pub mod target;
pub mod totals;
pub mod wire;
pub mod world;

mod oracle_tests;
mod target_tests;

/// Dice for one purpose: the same seed and the same purpose throw the same.
pub fn dice(seed: u64, purpose: impl Hash) -> Rng {
    let mut hasher = DefaultHasher::new();
    (seed, purpose).hash(&mut hasher);
    Rng::with_seed(hasher.finish())
}

/// A customer's identity.
pub fn customer(number: usize) -> Identity {
    Identity::new(IdentityKind::ThirdPartyId, format!("customer {number}")).unwrap()
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn mins(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

pub const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}
