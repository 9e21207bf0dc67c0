//! The forwarder: from the outbox to Target, whenever the link allows.
//!
//! [`core`] decides, purely: it is given events and times, and answers with actions. [`Forwarder`] is the courier that
//! carries them out, with clock, [`Outbox`] and client; `errands` make requests to Target, and `jobs` those of a batch.
//! [`foresight`] finds out what the core would do.

pub mod judge;

pub mod core;

mod courier;
mod errands;
pub mod foresight;
mod handover;
mod jobs;
mod outbox;
pub mod shown;

pub use self::core::{ForwarderRules, ForwarderSettings};
pub use courier::{Forwarder, ForwarderParts};
pub use handover::{StateReader, compressed};
pub use outbox::{Counted, DeviceOutbox, Outbox};
