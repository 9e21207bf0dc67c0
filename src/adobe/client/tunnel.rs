//! Asking a proxy for a tunnel, to hear with which status it refuses: the HTTP client does not tell.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::adobe::proxy::ProxyOptions;

/// Time that the proxy may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest first line of an answer that is read. Units: bytes.
const LINE_BYTES_MAX: u64 = 1_024;

/// The status with which a proxy answers to `CONNECT`; none where it does not answer, or is itself reached by TLS.
pub(super) async fn status(endpoint: &Url, proxy: &ProxyOptions) -> Option<u16> {
    tokio::time::timeout(TIMEOUT, ask(endpoint, proxy)).await.ok().flatten()
}

async fn ask(endpoint: &Url, proxy: &ProxyOptions) -> Option<u16> {
    let (proxy, credentials) = proxy.address()?;
    let host = format!("{}:{}", endpoint.host_str()?, endpoint.port_or_known_default()?);
    let credentials = credentials.map_or_else(String::new, |credentials| {
        format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(credentials))
    });
    let mut stream = TcpStream::connect(proxy).await.ok()?;
    let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{credentials}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line).await.ok()?;
    line.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?.parse().ok()
}
