//! Hosts that are this device itself.

use std::net::{IpAddr, Ipv6Addr};

/// Returns true if a host, as a URL or a header names it and without a port, is this device: `localhost`, `127.0.0.1` or any
/// other loopback address, one of IPv6 with or without brackets.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => host.parse().ok(),
    };
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_this_device_is_named_or_numbered() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.0.1", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "[127.0.0.1]", "[::1", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example", "::2"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
