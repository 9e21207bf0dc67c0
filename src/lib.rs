//! Outpost records what customers do at a device, durably, and forwards it to Adobe Target.
//!
//! # The path of an event
//!
//! intake → record → map → coalesce → deliver → acknowledge. An event arrives at `http` or `cli`, is read by `intake`,
//! given a meaning by `core::mapping`, and handed to `store`, whose one writer journals it and coalesces its changes
//! into profiles in the same commit: only then is it acknowledged. An attribute is **pending** while its version is
//! newer than the version that Target has. `forward` claims pending profiles, sends them through `adobe`, and
//! acknowledges exactly the versions that it sent.
//!
//! # How it is forwarded
//!
//! `forward::core` alone decides what is claimed, read, noted, sent, put in a batch, settled, and when to wake up: a
//! state machine without clock, random numbers or store. Its parts are pure rules: `route` chooses the API, `judge` and
//! `merge` decide what is sent when others write too, `link` whether to send, `adobe::outcome` what an answer means.
//! The courier around it does what the core says, and reports the results back to it.
//!
//! An attempt is accepted, definitely refused, or its answer is lost. Values are noted in the store before they are
//! sent; a refusal undoes the note, and after a lost answer the profile is read back some time later and Target's value
//! decides. Each batch ends in limited time, even without an answer. Deliveries are recorded for one client code and
//! endpoint, and become void with another.
//!
//! # Floors
//!
//! Each folder is a floor. It imports only from itself and from the folders above it in this list, which are the floors
//! below. `tests/tidy.rs` checks this and the rules below.
//!
//! | floor | what it is for |
//! | --- | --- |
//! | `core` | plain values and pure rules: no I/O, no async; time and random numbers are arguments |
//! | `device` | the machine: clocks, network, disks, permissions, metrics, logs |
//! | `store` | the only home of SQL |
//! | `adobe` | Target on the wire |
//! | `sandbox` | a local stand-in for Target |
//! | `intake` | incoming events: CloudEvents, a folder, lines |
//! | `forward` | from the outbox to Target: the core, and its courier |
//! | `inspect` | queries: status, profiles, rejections; and forgetting; on a running agent or a store at rest |
//! | `config` | the configuration file and its overrides |
//! | `http` | the API, the page, the socket |
//! | `hub` | one place for a chain of devices, on PostgreSQL (feature `hub`) |
//! | `agent` | wires the floors below together and keeps the agent running |
//! | `cli` | the commands |
//!
//! # Rules
//!
//! No SQL outside `store` and `hub`; no host or path of Target outside `adobe` and the `sandbox` that plays it; no clock in
//! `core`, nor in `store`, but for the stopwatch with which its writer gathers a group; no identity, value or secret in
//! a log line; nothing unbounded.

pub mod core;

pub mod device;

pub mod store;

pub mod adobe;

pub mod sandbox;

pub mod intake;

pub mod forward;

pub mod inspect;

pub mod config;

pub mod http;

#[cfg(feature = "hub")]
pub mod hub;

pub mod agent;

pub mod cli;
