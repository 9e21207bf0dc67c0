//! The machine: its clocks, network, disks and permissions, its supervision of the process, and logs and metrics.

pub mod clock;

pub mod network;

pub mod disk;

pub mod machine;

pub mod rights;

pub mod listener;

pub mod environment;

pub mod text_file;

pub mod secret;

pub mod dir;

pub mod supervisor;

pub mod pulse;

pub mod live;

pub mod notices;

pub mod metrics;

pub mod log_level;

pub mod log_files;

pub mod logging;
