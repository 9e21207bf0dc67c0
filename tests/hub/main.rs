//! The hub's tests: with a real PostgreSQL of their own, a database for each test.
#![allow(clippy::unwrap_used)]

mod claims;
mod cluster;
mod device;
mod exactness;
mod forwarding;
mod joining;
mod node;
mod tills;
mod watched;
