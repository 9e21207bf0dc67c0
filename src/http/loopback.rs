//! Listening on loopback, on every address that the name `localhost` may resolve to, so that nobody else receives what
//! is sent to that name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::server::Listener;

/// Ports tried to find one that is free at both addresses.
const PORTS_TRIED: usize = 16;

/// A listener on a loopback address, and on the other address of `localhost`.
#[derive(Debug)]
pub struct Loopback {
    first: TcpListener,
    other: Option<TcpListener>,
}

impl Loopback {
    /// Binds an address and the other address of `localhost` (127.0.0.1 or `::1`) with the same port, if this machine
    /// has it.
    ///
    /// # Errors
    /// The system's, with the address that cannot be bound.
    pub async fn bind(address: SocketAddr) -> Result<Self, (SocketAddr, io::Error)> {
        let mut tried = 1;
        loop {
            let at = |source| (address, source);
            let first = TcpListener::bind(address).await.map_err(at)?;
            let Some(beside) = beside(first.local_addr().map_err(at)?) else { return Ok(Self { first, other: None }) };
            match TcpListener::bind(beside).await {
                Ok(other) => return Ok(Self { first, other: Some(other) }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if address.port() != 0 || tried == PORTS_TRIED {
                        return Err((beside, error));
                    }
                    tried += 1;
                }
                // If the address does not exist, nobody else can have it.
                Err(error) if is_absent(&error) => return Ok(Self { first, other: None }),
                Err(error) => return Err((beside, error)),
            }
        }
    }

    /// Returns the requested address, with its actual port.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.first.local_addr()
    }
}

impl From<TcpListener> for Loopback {
    /// Returns a listener on this address only.
    fn from(first: TcpListener) -> Self {
        Self { first, other: None }
    }
}

impl Listener for Loopback {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let accepted = match &self.other {
            Some(other) => tokio::select! {
                accepted = self.first.accept() => accepted,
                accepted = other.accept() => accepted,
            },
            None => self.first.accept().await,
        };
        let (stream, _) = accepted?;
        // Answers are single small writes: waiting to fill a packet would only delay them.
        stream.set_nodelay(true)?;
        #[cfg(unix)]
        hold_little(&stream);
        Ok(stream)
    }
}

/// Bytes of an answer that the system holds for a client; Linux takes twice as many. Limits: on loopback it would hold megabytes, of
/// which a third must be taken until a client counts as one that reads.
#[cfg(unix)]
const HELD_BYTES: usize = 64 << 10;

/// Keeps the system from holding so much of an answer that a client who reads it slowly looks like one who does not read.
#[cfg(unix)]
pub(super) fn hold_little(stream: &impl std::os::fd::AsFd) {
    // Where it cannot be set, the system's own size applies.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(stream, HELD_BYTES);
}

/// Returns whether an error means that this machine has no such address, or no addresses of its kind.
fn is_absent(error: &io::Error) -> bool {
    let is_unsupported = || {
        // What the standard library has no name for. Source: errno(3), and "Windows Sockets Error Codes".
        let code = if cfg!(windows) {
            10_047
        } else if cfg!(target_os = "macos") {
            47
        } else {
            97
        };
        error.raw_os_error() == Some(code)
    };
    error.kind() == io::ErrorKind::AddrNotAvailable || is_unsupported()
}

/// Returns the other address of `localhost`.
fn beside(address: SocketAddr) -> Option<SocketAddr> {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Ipv4Addr::LOCALHOST.into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, address.port()))
}
