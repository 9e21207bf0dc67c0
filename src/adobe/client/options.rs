//! Settings of the client, and its HTTP client.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use sha2::{Digest, Sha256};

use super::resolver::Resolver;
use crate::adobe::error::{ClientError, Setting};
use crate::adobe::proxy::ProxyOptions;
use crate::adobe::tls::TlsOptions;
use crate::core::forwarding::destination::Destination;
use crate::device::dir;
use crate::device::rights::open_secret;
use crate::device::secret::Secret;

/// The part of a request's time that connecting may take: the rest is for the answer.
///
/// The connector shares it between the addresses of a host, so that a dead one leaves time for
/// the next; it bounds the whole of it too, with the name's resolution and the TLS handshake.
const CONNECT_PART: u32 = 3;

/// Settings of the client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Destination of requests.
    pub destination: Destination,
    /// The bearer token, where one is required.
    pub token: Option<Secret>,
    /// The way there.
    pub http: HttpOptions,
}

/// The way of requests to a host.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Time that one request may take.
    pub timeout: Duration,
    /// Requests in flight, and connections kept.
    pub connections: usize,
    /// The proxy on the way.
    pub proxy: Option<ProxyOptions>,
    /// Trusted certificates and our own.
    pub tls: TlsOptions,
}

/// Returns the host of a URL, for people.
#[must_use]
pub fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

impl HttpOptions {
    /// Returns the same way to another host: pins and a certificate of our own are for the first alone.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        let tls = TlsOptions { ca_file: self.tls.ca_file.clone(), ..TlsOptions::default() };
        Self { tls, ..self.clone() }
    }

    /// Fingerprint of the files that a connection is made with, by which a change is noticed. They are small, and times of files are not to
    /// be relied on. The token is no part of it: it changes without a new connection.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let secrets = self.proxy.iter().flat_map(|proxy| std::iter::once(&proxy.url).chain(&proxy.password));
        let mut hasher = Sha256::new();
        for path in self.tls.files().map(PathBuf::as_path).chain(secrets.filter_map(Secret::file)) {
            hasher.update(dir::open_followed(path).and_then(dir::read_small).unwrap_or_default());
            // Rights that are set right make a difference, too.
            hasher.update([u8::from(open_secret(path).is_ok())]);
        }
        hasher.finalize().into()
    }
}

/// Returns an HTTP client that reaches `endpoint` by the configured proxy and trusts the configured certificates.
///
/// # Errors
/// [`ClientError`], which names the file or the setting.
pub fn http_client(endpoint: &str, options: &HttpOptions) -> Result<reqwest::Client, ClientError> {
    let builder = builder(endpoint, options)?;
    // Plain HTTP to loopback needs none of the system's certificates, which cost a megabyte to read.
    let builder = match endpoint.starts_with("http://") {
        true => builder.tls_certs_only([]),
        false => builder.tls_backend_preconfigured(options.tls.config()?),
    };
    builder.build().map_err(|error| Setting::System.error(format!("no HTTP client: {error}")))
}

/// A client as configured, before it is built.
pub(in crate::adobe) fn builder(endpoint: &str, options: &HttpOptions) -> Result<reqwest::ClientBuilder, ClientError> {
    // It fails only if there is a provider already, as after the first call.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("outpost/", env!("CARGO_PKG_VERSION")))
        .timeout(options.timeout)
        .connect_timeout(options.timeout / CONNECT_PART)
        .pool_max_idle_per_host(options.connections)
        .redirect(reqwest::redirect::Policy::none())
        // What is to be tried again is the forwarder's to decide.
        .retry(reqwest::retry::never())
        .dns_resolver(Resolver)
        .no_proxy();
    if let Some(proxy) = &options.proxy {
        builder = builder.proxy(proxy.proxy(endpoint)?);
    }
    Ok(builder)
}
