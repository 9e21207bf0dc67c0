//! The local HTTP side: accepts connections, checks callers, and routes requests.

pub mod admission;
pub mod api;
mod content;
pub mod guard;
pub mod loopback;
pub mod page;
mod places;
pub mod problem;
mod query;
pub mod router;
mod seating;
pub mod server;
pub mod sessions;
#[cfg(unix)]
pub mod socket;
