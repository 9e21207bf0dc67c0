//! Adobe Target on the wire: what is sent, how answers are read, and the client that does it.
//!
//! The only place that knows Target's hosts, paths and words.

pub mod client;
pub mod outcome;
pub mod single;

pub use client::{Client, ClientError, ClientOptions};
pub use outcome::Outcome;
