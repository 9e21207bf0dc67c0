//! The hub's tests: with a real PostgreSQL of their own, a database for each test.
#![allow(clippy::unwrap_used)]

mod cluster;
mod device;
mod exactness;
mod joining;
mod node;
mod tills;
