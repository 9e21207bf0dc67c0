//! The intake: from received bytes to recorded events. Transports are above it, in `http` and `cli`.

pub mod cloudevents;
pub mod folder;
pub mod kind;
pub mod kinds;
pub mod line;
mod numbers;
mod record;
pub mod view;

pub use record::{Answer, Answers, Begun, Intake, Prepared, event_at, record_directly, recording};
