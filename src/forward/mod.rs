//! The forwarder: from the outbox to Target, whenever the link allows.
//!
//! [`core`] decides, purely: it is told what happens and when, and answers with actions. [`Forwarder`] is the courier that
//! does them, with clock, store and client; `errands` are the ways to Target, and `jobs` those of a batch.
//! [`foresight`] asks the core what it would do.

pub mod judge;

pub mod core;

mod courier;
mod errands;
pub mod foresight;
mod jobs;
pub mod shown;

pub use self::core::{ForwarderRules, ForwarderSettings};
pub use courier::{Forwarder, ForwarderParts};
