//! Outpost records what customers do at a device, durably, and forwards it to Adobe Target.
//!
//! # The way of an event
//!
//! intake → record → map → coalesce → deliver → acknowledge. An event arrives at `http` or `cli`, is read by `intake`,
//! given a meaning by `core::mapping`, and handed to `store`, whose one writer journals it and coalesces its changes into
//! profiles in the same commit: only then is it acknowledged. An attribute is **pending** while its version is newer
//! than the version that Target has. `forward` claims pending profiles, sends them through `adobe`, and
//! acknowledges exactly the versions that it sent.
//!
//! # How it is forwarded
//!
//! `forward::core` alone decides what is claimed, read, noted, sent, put in a batch, settled and when to wake: a state
//! machine without clock, dice or store. Its parts are pure rules: `route` says which way, `judge` and `merge` what is sent
//! where others write too, `link` whether to send, `adobe::outcome` what an answer means. The courier around it does what
//! the core says, and tells it what came of it.
//!
//! An attempt ends in a yes, a definite no, or a lost answer. What is about to be sent is noted in the store before; a no
//! undoes the note, and after a lost answer what Target shows decides: the profile is read back some time later. Each batch
//! ends in time, also without an answer. Deliveries are noted for one client code and endpoint, and void with another.
//!
//! # Floors
//!
//! Each folder is a floor. It imports from the folders above it in this list, which are below it in the house, and from
//! itself; never the other way. `tests/tidy.rs` checks that, and the absences.
//!
//! | floor | what it is for |
//! | --- | --- |
//! | `core` | plain values and pure rules: no I/O, no async; time and chance are arguments |
//! | `device` | what the machine is: clocks, network, disks, rights, metrics, logs |
//! | `store` | the only home of SQL |
//! | `adobe` | Target on the wire |
//! | `sandbox` | the stand-in for Target |
//! | `intake` | what comes in: CloudEvents, a folder, lines |
//! | `forward` | from the outbox to Target: the core, and its courier |
//! | `inspect` | what one asks: status, profiles, what was rejected; and forgetting; of a running agent or a store at rest |
//! | `config` | the file, and what overrides it |
//! | `http` | the API, the page, the socket |
//! | `agent` | what wires the floors below, and keeps the agent well |
//! | `cli` | what people type |
//!
//! # What is not there
//!
//! No SQL outside `store`; no host or path of Target outside `adobe` and the `sandbox` that plays it; no clock in `core`, nor in
//! `store`, but for the stopwatch with which its writer gathers a group; no identity, value or secret in a log line; nothing
//! unbounded.

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

pub mod agent;

pub mod cli;
