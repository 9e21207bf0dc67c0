//! The owner of the process that listens at an address of this device, and of a socket.
//!
//! Only Linux tells every user. Between the check and a request another process may take the address of one that ends.
//! So this keeps a token from a process that waits for the agent's address, but not from one that is quicker.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// State of a listening socket. Source: `net/tcp_states.h`.
const LISTEN: &str = "0A";

/// Returns the user whose process listens at an address, unless that is root, this user or the owner of `file`. `None`
/// if the system does not say.
#[must_use]
pub fn foreign_listener(address: SocketAddr, file: &Path) -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        let owner = std::fs::metadata(file).map(|found| std::os::unix::fs::MetadataExt::uid(&found)).ok();
        let trusted = [Some(0), Some(rustix::process::geteuid().as_raw()), owner];
        let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
        let table: String = tables.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        listeners(&table, address).into_iter().find(|user| !trusted.contains(&Some(*user)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (address, file);
        None
    }
}

/// Returns why a socket is not the agent's, for people: it must be there, be no link, and belong to the owner of `file`.
#[must_use]
pub fn foreign_socket(socket: &Path, file: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let Ok(found) = socket.symlink_metadata() else { return Some("is not there".to_owned()) };
        let owner = file.symlink_metadata().map(|found| found.uid()).ok();
        if !found.file_type().is_socket() {
            return Some("must be a socket".to_owned());
        }
        (owner != Some(found.uid())).then(|| format!("belongs to the user {}, who is not the agent's", found.uid()))
    }
    #[cfg(not(unix))]
    {
        let _ = (socket, file);
        None
    }
}

/// Returns the users of the processes that listen at an address, from the kernel's tables; if there are none, of those
/// that listen at every address.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn listeners(table: &str, address: SocketAddr) -> Vec<u32> {
    let all: Vec<(IpAddr, u32)> = table.lines().filter_map(|line| listener(line, address.port())).collect();
    let at = |is: &dyn Fn(IpAddr) -> bool| -> Vec<u32> {
        all.iter().filter(|(ip, _)| is(*ip)).map(|(_, user)| *user).collect()
    };
    let exact = at(&|ip| ip == address.ip());
    if exact.is_empty() { at(&|ip| ip.is_unspecified()) } else { exact }
}

/// Reads the address and the user from a line about a socket that listens at `port`.
fn listener(line: &str, port: u16) -> Option<(IpAddr, u32)> {
    let mut fields = line.split_whitespace();
    let (ip, at) = fields.nth(1)?.split_once(':')?;
    if u16::from_str_radix(at, 16).ok()? != port || fields.nth(1)? != LISTEN {
        return None;
    }
    Some((ip_address(ip)?, fields.nth(3)?.parse().ok()?))
}

/// Reads an address as the kernel writes it: words of four bytes, each in the machine's byte order.
fn ip_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1E25 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 51 1 0 100 0 0 10 0
   1: 0100007F:1E25 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1001        0 52 1 0 20 4 30 10 -1
   2: 00000000:1E26 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002        0 53 1 0 100 0 0 10 0
   0: 00000000000000000000000001000000:1E25 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1003        0 54 1 0 100 0 0 10 0
";

    #[test]
    fn who_listens_is_told_from_who_is_connected_and_from_other_addresses() {
        let check = |address: &str, expected: &[u32]| {
            assert_eq!(listeners(TABLE, address.parse().expect("an address")), expected, "{address}");
        };
        check("127.0.0.1:7717", &[998]);
        check("[::1]:7717", &[1003]);
        check("127.0.0.1:7718", &[1002]);
        check("127.0.0.1:7719", &[]);
    }
}
