//! Adobe Target on the wire: requests, answers, and the client for both.
//!
//! The only place that knows Target's hosts, paths and messages.

pub mod bulk;
pub mod client;
pub mod delivery;
pub mod diagnose;
mod elements;
mod error;
pub mod fetch;
pub mod hub;
pub mod outcome;
pub mod proxy;
pub mod single;
pub mod tls;
pub mod token;
pub mod update;

pub use bulk::{BatchOutcome, BatchStatus};
pub use client::{Client, ClientOptions, Exchange, HttpOptions, host, http_client};
pub use error::{ClientError, Setting};
pub use fetch::{FetchedProfile, Reply};
pub use hub::Handed;
pub use outcome::{Outcome, Refused};
pub use proxy::ProxyOptions;
pub use tls::{Pin, TlsOptions};
pub use update::{Naming, Request};
