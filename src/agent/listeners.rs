//! Listeners of the intake.

use crate::http::loopback::Loopback;
#[cfg(unix)]
use crate::http::socket::Socket;

/// The agent's listeners, bound by the caller, which therefore knows the addresses.
pub struct Listeners {
    /// Loopback TCP listener.
    pub http: Loopback,
    /// Unix socket, if any.
    #[cfg(unix)]
    pub socket: Option<Socket>,
}
