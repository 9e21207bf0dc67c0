//! The forwarder: from the outbox to Target, whenever the link allows.
//!
//! `plan` decides, purely; `pages` claims ahead; `deliver` sends one claim, after `shared` has said what is made of a profile that
//! was read; `batches` decides when what goes in bulk is sent, and `jobs` sends it; `run` is the loop that joins them with clock, store and link.

mod aside;
mod batches;
mod deliver;
mod jobs;
mod pages;
mod plan;
mod run;
mod shared;

pub use plan::{Step, plan};
pub use run::{Forwarder, ForwarderParts, ForwarderRules, ForwarderSettings};
