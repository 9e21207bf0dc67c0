//! Checks the way to Target step by step, to show a person where it fails.

use std::time::Duration;

use reqwest::Url;
use reqwest::tls::TlsInfo;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::client::{ClientOptions, Way, builder};
use super::error::ClientError;
use super::tls;
use crate::core::timestamp::Timestamp;

/// Longest time for each step.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The certificate of whoever answers in Target's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Subject of the certificate.
    pub subject: String,
    /// Issuer of the certificate; an intercepting proxy names itself here.
    pub issuer: String,
    /// Pin of its public key.
    pub pin: Option<String>,
    /// End of its validity.
    pub not_after: Timestamp,
}

/// Resolves the name of Target's host and returns the number of addresses; `None` if a proxy resolves it.
///
/// # Errors
/// The system's message.
pub async fn resolve(options: &ClientOptions) -> Result<Option<usize>, String> {
    if options.http.proxy.is_some() {
        return Ok(None);
    }
    let url = Url::parse(options.destination.endpoint()).map_err(|error| error.to_string())?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|error| error.to_string())?;
    Ok(Some(addresses.count()))
}

/// Returns the certificate presented at Target's endpoint, trusted or not; `None` without TLS. Sends nothing but an
/// empty request, and no token.
///
/// # Errors
/// The reason why nobody answers.
pub async fn issuer(options: &ClientOptions) -> Result<Option<Issuer>, String> {
    let endpoint = options.destination.endpoint();
    if endpoint.starts_with("http://") {
        return Ok(None);
    }
    let client = builder(endpoint, &options.http).map_err(|error: ClientError| error.to_string())?;
    let client = client.timeout(TIMEOUT).tls_info(true).tls_danger_accept_invalid_certs(true);
    let client = client.build().map_err(|error| error.to_string())?;
    let response = client.head(endpoint).send().await;
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

/// Returns the common name, with the organisation if there is one.
fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().filter_map(|part| part.as_str().ok());
    let organisation = name.iter_organization().filter_map(|part| part.as_str().ok());
    let parts: Vec<&str> = common.chain(organisation).collect();
    if parts.is_empty() { "nobody named".to_owned() } else { parts.join(", ") }
}
