//! The rules of forwarding: when a request may be sent, and through which API.

pub mod backoff;

pub mod destination;

pub mod existence;

pub mod link;

pub mod pace;

pub mod quota;

pub mod route;

pub mod why;
