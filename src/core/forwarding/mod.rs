//! The rules of forwarding: when a request may be sent, and which way it goes.

pub mod backoff;

pub mod existence;

pub mod link;

pub mod pace;

pub mod quota;

pub mod route;
