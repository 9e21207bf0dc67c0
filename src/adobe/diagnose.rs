//! Looking at the way to Target piece by piece, for a person who wants to know where it ends.

use std::time::Duration;

use reqwest::Url;
use reqwest::tls::TlsInfo;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::client::{ClientOptions, Way, builder};
use super::error::ClientError;
use super::tls;
use crate::core::timestamp::Timestamp;

/// Time that each piece may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who vouches for whoever answers in Target's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Whom the certificate names.
    pub subject: String,
    /// Who issued it: of an intercepting proxy, the proxy.
    pub issuer: String,
    /// The pin of its public key.
    pub pin: Option<String>,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// How many addresses the name of Target's host has; none where a proxy looks it up.
///
/// # Errors
/// The system's words.
pub async fn resolve(options: &ClientOptions) -> Result<Option<usize>, String> {
    if options.proxy.is_some() {
        return Ok(None);
    }
    let url = Url::parse(&options.endpoint).map_err(|error| error.to_string())?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|error| error.to_string())?;
    Ok(Some(addresses.count()))
}

/// The certificate of whoever answers at Target's endpoint, whether or not it is to be trusted; none without TLS.
/// Nothing but an empty request is sent, and no token.
///
/// # Errors
/// Why nobody answers.
pub async fn issuer(options: &ClientOptions) -> Result<Option<Issuer>, String> {
    if options.endpoint.starts_with("http://") {
        return Ok(None);
    }
    let client = builder(options).map_err(|error: ClientError| error.to_string())?;
    let client = client.timeout(TIMEOUT).tls_info(true).tls_danger_accept_invalid_certs(true);
    let client = client.build().map_err(|error| error.to_string())?;
    let response = client.head(&options.endpoint).send().await;
    let response = match response {
        Ok(response) => response,
        Err(error) => return Err(Way::new(options).explain(&error).await.reason()),
    };
    let info = response.extensions().get::<TlsInfo>();
    Ok(info.and_then(TlsInfo::peer_certificate).and_then(read))
}

fn read(der: &[u8]) -> Option<Issuer> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let not_after = Timestamp::from_millis(certificate.validity().not_after.timestamp().saturating_mul(1_000));
    Some(Issuer {
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        pin: tls::pin(der),
        not_after,
    })
}

/// The common name, with the organisation where there is one.
fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().filter_map(|part| part.as_str().ok());
    let organisation = name.iter_organization().filter_map(|part| part.as_str().ok());
    let parts: Vec<&str> = common.chain(organisation).collect();
    if parts.is_empty() { "nobody named".to_owned() } else { parts.join(", ") }
}
