//! Outpost records what customers do at a device, durably, and forwards it to Adobe Target.
//!
//! # The way of an event
//!
//! intake → record → map → coalesce → deliver → acknowledge. An event arrives at `http` or `cli`, is read by `intake`,
//! given a meaning by `mapping`, and handed to `store`, whose one writer journals it and coalesces its changes into
//! profiles in the same commit: only then is it acknowledged. An attribute is **pending** while its version is newer
//! than the version that Target has. `forwarder` claims pending profiles, sends them through `target`, and
//! acknowledges exactly the versions that it sent.
//!
//! # How it is forwarded
//!
//! `forwarder::core` alone decides what is claimed, read, noted, sent, put in a batch, settled and when to wake: a state
//! machine without clock, dice or store. Its parts are pure rules: `route` says which way, `judge` and `merge` what is sent
//! where others write too, `link` whether to send, `target::outcome` what an answer means. The courier around it does what
//! the core says, and tells it what came of it.
//!
//! An attempt ends in a yes, a definite no, or a lost answer. What is about to be sent is noted in the store before; a no
//! undoes the note, and after a lost answer what Target shows decides: the profile is read back some time later. Each batch
//! ends in time, also without an answer. Deliveries are noted for one client code and endpoint, and void with another.
//!
//! # Floors
//!
//! A module imports from its own floor or from those below it, never from above, and there is no ring.
//!
//! | floor | modules | what it is for |
//! | --- | --- | --- |
//! | 0 | `limits` `timestamp` `identity` `attribute` `event` `number` `reason` `existence` `shared` | plain values; no I/O, no async |
//! | 1 | `coalesce` `backoff` `quota` `pace` `pulse` `metrics` `link` `mapping` `route` `merge` `tokens` | pure rules; time and chance are arguments |
//! | 2 | `store` | the only home of SQL |
//! | 3 | `clock` `data_dir` `rights` `log_level` `mount` `forget` `network` `target` `status` `supervisor` `judge` `verify` `intake` `rejected` `http` | clocks, files and sockets |
//! | 4 | `forwarder` `housekeeping` `watchdog` | from the outbox to Target, and what keeps the agent well |
//! | 5 | `config` `logging` `sandbox` `agent` | what wires the floors below |
//! | 6 | `cli` | what people type |
//!
//! # What is not there
//!
//! No SQL outside `store`; no host or path of Target outside `target` and the `sandbox` that plays it; no clock below
//! floor 3, but for the stopwatch with which the store's writer gathers a group; no identity, value or secret in a log
//! line; nothing unbounded: every bound stands in `limits`.
//! `tests/tidy.rs` checks the floors and these absences.

// Floor 0
pub mod limits;

pub mod attribute;
pub mod event;
pub mod existence;
pub mod identity;
pub mod number;
pub mod reason;
pub mod shared;
pub mod timestamp;

// Floor 1
pub mod backoff;
pub mod coalesce;
pub mod link;
pub mod mapping;
pub mod merge;
pub mod metrics;
pub mod pace;
pub mod pulse;
pub mod quota;
pub mod route;
pub mod tokens;

// Floor 2
pub mod store;

// Floor 3
pub mod clock;
pub mod data_dir;
pub mod forget;
pub mod http;
pub mod intake;
pub mod judge;
pub mod log_level;
pub mod mount;
pub mod network;
pub mod rejected;
pub mod rights;
pub mod status;
pub mod supervisor;
pub mod target;
pub mod verify;

// Floor 4
pub mod forwarder;
pub mod housekeeping;

pub mod watchdog;

// Floor 5
pub mod agent;
pub mod config;
pub mod logging;
pub mod sandbox;

// Floor 6
pub mod cli;
