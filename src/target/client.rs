//! The HTTP client: one POST, one [`Outcome`]. TLS by rustls; no redirects, no cookies.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};

use super::outcome::{Answer, Outcome, classify};
use super::single;
use crate::limits::ANSWER_BYTES_MAX;

/// What the client needs to know.
#[derive(Debug)]
pub struct ClientOptions {
    /// Scheme and host, without a slash at the end.
    pub endpoint: String,
    /// The client code.
    pub client_code: String,
    /// The bearer token, where Target requires one.
    pub token: Option<SecretString>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Requests in flight, and connections kept.
    pub connections: usize,
    /// A proxy's URL, perhaps with credentials.
    pub proxy: Option<SecretString>,
    /// Certificates to trust in place of the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and key, in PEM.
    pub client_cert: Option<(PathBuf, PathBuf)>,
}

/// Why no client could be made.
#[derive(Debug)]
pub enum ClientError {
    /// A file cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: reqwest::Error,
    },
    /// The token cannot stand in a header.
    Token,
    /// The proxy's URL cannot be used; it is not shown, as it may hold a password.
    Proxy,
    /// The endpoint and the client code make no URL.
    Endpoint,
    /// TLS cannot be set up.
    Setup(reqwest::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{} cannot be read", path.display()),
            Self::Pem { path, .. } => write!(f, "{} is not a PEM file of the kind that is needed", path.display()),
            Self::Token => f.write_str("the token of [target] holds characters that a header cannot carry"),
            Self::Proxy => f.write_str("the proxy of [target.http] is not a URL such as http://proxy.example:3128"),
            Self::Endpoint => f.write_str("the endpoint of [target] is not a URL such as https://gateway.example"),
            Self::Setup(_) => f.write_str("the HTTP client cannot be set up"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Pem { source, .. } | Self::Setup(source) => Some(source),
            Self::Token | Self::Proxy | Self::Endpoint => None,
        }
    }
}

/// A client of Target with kept-alive connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
}

impl Client {
    /// Sets the client up; nothing is sent.
    ///
    /// # Errors
    /// [`ClientError`], which names the file or the setting.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        // It fails only if there is a provider already, as after the first call.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("outpost/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(options)?)
            .timeout(options.timeout)
            .pool_max_idle_per_host(options.connections)
            .redirect(reqwest::redirect::Policy::none())
            // What is to be tried again is the forwarder's to decide.
            .retry(reqwest::retry::never())
            .dns_resolver(Resolver)
            .no_proxy();
        if let Some(proxy) = &options.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.expose_secret()).map_err(|_| ClientError::Proxy)?);
        }
        if let Some(path) = &options.ca_file {
            let pem = read(path)?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|source| ClientError::Pem { path: path.clone(), source })?;
            builder = builder.tls_certs_only(certificates);
        } else if options.endpoint.starts_with("http://") {
            // Plain HTTP to loopback needs none of the system's certificates, which cost a megabyte to read.
            builder = builder.tls_certs_only([]);
        }
        if let Some((cert, key)) = &options.client_cert {
            let pem = [read(cert)?, read(key)?].concat();
            let identity =
                reqwest::Identity::from_pem(&pem).map_err(|source| ClientError::Pem { path: cert.clone(), source })?;
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(ClientError::Setup)?;
        let url = format!("{}{}", options.endpoint, single::path(&options.client_code));
        Ok(Self { http, url: Url::parse(&url).map_err(|_| ClientError::Endpoint)? })
    }

    /// Sends one update, and reads the answer as far as it is needed.
    pub async fn send(&self, body: String) -> Outcome {
        match self.exchange(body).await {
            Ok(outcome) => outcome,
            Err(error) => explain(&error),
        }
    }

    /// Fails only without an answer, or with half of one.
    async fn exchange(&self, body: String) -> Result<Outcome, reqwest::Error> {
        let mut response = self.http.post(self.url.clone()).body(body).send().await?;
        let mut read = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            read.extend_from_slice(&chunk);
            if read.len() >= ANSWER_BYTES_MAX {
                break;
            }
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let answer = Answer {
            status: response.status().as_u16(),
            retry_after: header(RETRY_AFTER),
            content_type: header(CONTENT_TYPE),
            location: header(LOCATION),
            body: &read,
        };
        Ok(classify(answer, SystemTime::now()))
    }
}

fn headers(options: &ClientOptions) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    if let Some(token) = &options.token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret().trim()))
            .map_err(|_| ClientError::Token)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn read(path: &PathBuf) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|source| ClientError::File { path: path.clone(), source })
}

/// Words for a technician, and never the URL or the body.
fn explain(error: &reqwest::Error) -> Outcome {
    if let Some(tls) = cause::<rustls::Error>(error) {
        return Outcome::Unreachable(explain_tls(tls));
    }
    if cause::<NameError>(error).is_some() {
        return Outcome::Unreachable(
            "the name of Target's host is not found (DNS); check the network cable, the Wi-Fi and the DNS server"
                .to_owned(),
        );
    }
    if error.is_connect() && !error.is_timeout() {
        return Outcome::Unreachable(format!("no connection to Target: {}", root_cause(error)));
    }
    if error.is_connect() {
        return Outcome::Unreachable("no connection to Target in time; a firewall may drop it".to_owned());
    }
    if error.is_timeout() {
        return Outcome::Failing("Target did not answer in time".to_owned());
    }
    Outcome::Broken("the connection to Target broke off before an answer".to_owned())
}

/// What a failed TLS handshake means for whoever stands beside the device.
fn explain_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(problem) = error else {
        return format!("no secure connection to Target: {error}");
    };
    match problem {
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            "the certificate was issued by somebody unknown: a proxy on the network opens TLS, or a login page answers; \
             let Target's host pass, or name the proxy's issuer in ca_file"
        }
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "the certificate has expired, or this device's clock is ahead; check the clock"
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "the certificate is not valid yet, or this device's clock is behind; check the clock"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "the certificate is for another host: something on the network answers in Target's place, perhaps a login page"
        }
        _ => return format!("the certificate is not accepted: {problem}"),
    }
    .to_owned()
}

/// The first cause of a type, also within the system's errors.
fn cause<'e, T: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The system's resolver, whose failures can be told from others.
struct Resolver;

/// A name was not found.
#[derive(Debug)]
struct NameError(std::io::Error);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name is not found")
    }
}

impl std::error::Error for NameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(NameError)?;
            let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}

/// The innermost cause: the system's or the TLS library's own words, which name no URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
