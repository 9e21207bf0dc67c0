//! Plain values and pure rules. Nothing of ours is below: no file, no socket, no clock; time and chance are arguments.

pub mod limits;

pub mod timestamp;

pub mod wall_clock;

pub mod identity;

pub mod number;

pub mod short_hash;

pub mod packed;

pub mod loopback;

pub mod reason;

pub mod visible;

pub mod verdict;

pub mod words;

pub mod attribute;

pub mod event;

pub mod content_digest;

pub mod tokens;

pub mod operation;

pub mod fleet;

pub mod mapping;

pub mod forwarding;
