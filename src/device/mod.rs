//! The machine: its clocks, network, disks and rights, what watches over the process, and where it tells of itself.

pub mod clock;

pub mod network;

pub mod disk;

pub mod machine;

pub mod rights;

pub mod listener;

pub mod environment;

pub mod secret;

pub mod dir;

pub mod supervisor;

pub mod pulse;

pub mod live;

pub mod notices;

pub mod metrics;

pub mod log_level;

pub mod logging;
