//! The integration tests: one binary, each test with its own directory, ports and runtime.
#![allow(clippy::unwrap_used)]

mod destination;
mod device;
mod process;
mod support;

mod access;
mod api;
mod bad_input;
mod batch_kills;
mod commands;
mod configuration;
mod damage;
mod delivery;
mod edge;
mod empty_values;
mod endings;
mod folder;
mod forget;
mod invariants;
mod layers;
mod lines;
mod merging;
mod model;
mod network_faults;
mod numbers;
mod openapi;
mod outage;
mod packaging;
mod page;
mod paused_clock;
mod power_cut;
mod privacy;
mod properties;
mod rejected;
mod retention;
mod right_values;
mod sealing;
mod simulation;
mod slow_clients;
mod socket;
mod store;
mod target;
mod transactions;
mod upgrades;
mod watchdog;
