//! The forwarder: from the outbox to Target, whenever the link allows.
//!
//! `plan` decides, purely; `pages` claims ahead; `deliver` sends one claim; `run` is the loop that joins them with clock, store and link.

mod aside;
mod deliver;
mod pages;
mod plan;
mod run;

pub use plan::{Step, plan};
pub use run::{Forwarder, ForwarderParts};
