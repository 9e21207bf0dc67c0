//! Binding listeners.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::cli::failure::Failure;
use crate::http::loopback::Loopback;

/// Binds the address of the intake, and the other address of `localhost`.
pub(super) async fn bind_intake(address: SocketAddr) -> Result<Loopback, Failure> {
    let bound = Loopback::bind(address).await;
    bound.map_err(|(address, error)| cannot_listen(address, &error, "listen in [intake.http]"))
}

/// Binds an address, and returns the actual one.
pub(in crate::cli) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error: std::io::Error| cannot_listen(address, &error, "another address"))
}

/// Returns the failure to listen at an address; `setting` says where it is set.
fn cannot_listen(address: SocketAddr, error: &std::io::Error, setting: &str) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            format!("another program listens there, perhaps another outpost: end it, or set {setting}")
        }
        ErrorKind::PermissionDenied => format!("this user may not: set {setting} to a port of 1024 or more"),
        _ => format!("set {setting} to a loopback address of this device, such as 127.0.0.1:7717"),
    };
    Failure::because(format!("cannot listen on {address}: {error}; {advice}"))
}
