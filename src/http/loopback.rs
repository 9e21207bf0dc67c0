//! Listening on loopback: where the name `localhost` may lead elsewhere, there too, so that nobody else gets what is sent by that
//! name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::server::Listener;

/// Ports that are tried where the system is to choose one that is free at both addresses.
const PORTS_TRIED: usize = 16;

/// A listener on a loopback address, and on the other one that `localhost` stands for.
#[derive(Debug)]
pub struct Loopback {
    first: TcpListener,
    other: Option<TcpListener>,
}

impl Loopback {
    /// Binds an address; beside 127.0.0.1 also `::1` with the same port, and the other way round, if this machine has it.
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
                // Where there is no such address, nobody else has it.
                Err(_) => return Ok(Self { first, other: None }),
            }
        }
    }

    /// Returns the address that was asked for, with its port.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.first.local_addr()
    }
}

impl From<TcpListener> for Loopback {
    /// A listener on this address alone.
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
        // Answers are single small writes: waiting to fill a packet only delays them.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// The other address that `localhost` stands for.
fn beside(address: SocketAddr) -> Option<SocketAddr> {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Ipv4Addr::LOCALHOST.into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, address.port()))
}
