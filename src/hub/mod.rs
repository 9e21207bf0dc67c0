//! The hub: one place for a chain of devices, which hand their parts over to it.
//!
//! A node holds nothing: what must be atomic, durable and shared is PostgreSQL's. [`Database`] is a node's way to it, and
//! [`Database::take`] takes what a device hands over in one transaction. `joining` decides what becomes of a part, purely.
//! [`forward`] sends the merged values to Target with the forwarder that devices have, over an outbox in the database.

mod asked;
mod changes;
mod connect;
mod database;
mod devices;
mod early;
mod error;
mod fleet;
mod fold;
mod forwarding;
mod joining;
pub mod node;
mod outbox;
mod parts;
mod present;
mod profile;
mod profile_hash;
mod rows;
mod schema;

pub use database::{Database, DatabaseOptions};
pub use devices::{ATTEMPT_CHARS_MIN, Device, Invitation, JoinRefused, Joining, new_secret};
pub use error::HubError;
pub use fleet::{Member, Standing};
pub use fold::{Audit, Difference, KEEP_CONFIRMED, KEEP_UNCONFIRMED};
pub use forwarding::{ForwardOptions, forward};
pub use profile::HeldAttribute;
pub use schema::VERSION as SCHEMA_VERSION;
